"""`manage.py cache_switch on|off`: use the cache or not, in all processes, at run time."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from cachemgmt.flushing.flush import switch_cache
from cachemgmt.server.threads import let_servers_learn


class Command(BaseCommand):
    help = "Switch the cache on or off in all processes. Stored results are kept, and good again afterwards."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("state", choices=["on", "off"])

    def handle(self, *args: Any, **options: Any) -> None:
        changed = switch_cache(is_on=options["state"] == "on")
        let_servers_learn()
        self.stdout.write(f"The cache is {options['state']}{'' if changed else ' already'}.")
        if not settings.CACHE_ENABLED:
            self.stdout.write("CACHE_ENABLED=0 in this environment keeps it off whatever the switch says.")
