"""`manage.py cache_info`: what the cache is, knows and did."""

import json
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from cachemgmt.assembly import cache_engine
from cachemgmt.engine.errors import StoreError
from cachemgmt.flushing import can_see_entries
from cachemgmt.metrics import metrics
from cachemgmt.snapshot import snapshot


class Command(BaseCommand):
    help = "Show the cache's store, rules, clock and the last 24 hours."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        info = self._info()
        if options["json"]:
            self.stdout.write(json.dumps(info))
            return
        for name, value in info.items():
            if isinstance(value, dict):
                self.stdout.write(f"{name}")
                for inner, detail in value.items():
                    self.stdout.write(f"  {inner:<22} {self._plain(detail)}")
            else:
                self.stdout.write(f"{name:<24} {value}")

    def _plain(self, detail: Any) -> str:
        if isinstance(detail, dict):
            return ", ".join(
                f"{name} {value}" for name, value in detail.items() if value not in (None, 0, "0")
            )
        return str(detail)

    def _info(self) -> dict[str, Any]:
        snapshot().catch_up()
        known = snapshot().known()
        store = cache_engine().store
        try:
            facts = (
                dict(store.get_info())
                if can_see_entries()
                else {
                    "store": "memory of the server",
                    "note": "without Redis it cannot be seen from another process; see /api/cache/health",
                }
            )
        except StoreError as error:
            facts = {"store": store.kind, "error": str(error)}
        return {
            "enabled": settings.CACHE_ENABLED,
            "switched_on": known.is_on,
            "clock": known.clock,
            "store": {**facts, "health": dict(store.health_check())},
            "ttl_s": {
                f"{level}{f'/{intent}' if intent else ''}": rule.ttl_s if rule.is_enabled else "off"
                for (level, intent), rule in sorted(known.rules.items())
            },
            "revisions": dict(known.revisions),
            "last_24_hours": metrics(),
        }
