"""`manage.py cache_info`: what the cache is, knows and did, or one of its entries."""

import json
from argparse import ArgumentParser
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from django.conf import settings
from django.core.management import CommandError
from django.core.management.base import BaseCommand

from cachemgmt.assembly import cache_engine
from cachemgmt.books.metrics import metrics, plain
from cachemgmt.decisions.database import snapshot
from cachemgmt.engine.errors import SourceUnavailable, StoreError
from cachemgmt.engine.stores.base import count_entries
from cachemgmt.flushing.flush import can_see_entries
from cachemgmt.inspecting.inspector import inspector


class Command(BaseCommand):
    help = "Show the cache's store, rules, clock and the last 24 hours, or one entry."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--entry", metavar="ID", help="show this entry, by its id or its name in the store"
        )
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        info = self._info() if options["entry"] is None else self._entry(options["entry"])
        if options["json"]:
            self.stdout.write(json.dumps(info))
            return
        self._write(info)

    def _write(self, facts: Mapping[str, Any], depth: int = 0) -> None:
        """Write a line for each fact; a group below its name, the innermost ones each in a line."""
        for name, value in facts.items():
            label = "  " * depth + name
            is_group = isinstance(value, dict)
            if is_group and (depth == 0 or any(isinstance(inner, dict) for inner in value.values())):
                self.stdout.write(label)
                self._write(value, depth + 1)
            else:
                self.stdout.write(f"{label:<24} {self._plain(value)}")

    def _plain(self, detail: Any) -> str:
        if isinstance(detail, dict):
            return ", ".join(
                f"{name} {value}" for name, value in detail.items() if value not in (None, 0, "0")
            )
        return str(detail)

    def _entry(self, name_or_id: str) -> dict[str, Any]:
        try:
            found = inspector().get(name_or_id)
        except ValueError as error:
            raise CommandError(f"--entry: {error}") from None
        if found.entry is None:
            raise CommandError(f"--entry: {name_or_id} is not stored. {found.problem}".strip())
        cost = found.entry.cost_usd
        return {
            **asdict(found.entry),
            "cost_usd": None if cost is None else plain(cost),
            "value": found.value,
            **({"problem": found.problem} if found.problem else {}),
        }

    def _info(self) -> dict[str, Any]:
        try:
            snapshot().catch_up()
        except SourceUnavailable as error:
            raise CommandError(str(error)) from None
        known = snapshot().known()
        rules = {
            f"{level}{f'/{intent}' if intent else ''}": rule
            for (level, intent), rule in sorted(known.rules.items())
        }
        store = cache_engine().store
        try:
            facts = (
                {**store.get_info(), "entries": count_entries(store)}
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
            "ttl_s": {name: rule.ttl_s if rule.is_enabled else "off" for name, rule in rules.items()},
            "stale_while_revalidate_s": {name: rule.stale_while_revalidate_s for name, rule in rules.items()},
            "stale_if_error_s": {name: rule.stale_if_error_s for name, rule in rules.items()},
            "revisions": dict(known.revisions),
            "last_24_hours": metrics(),
        }
