"""`manage.py flush_cache`: remove stored results."""

import getpass
from argparse import ArgumentParser
from typing import Any

from django.core.management import CommandError
from django.core.management.base import BaseCommand

from cachemgmt.background import let_servers_learn
from cachemgmt.flushing import (
    EVERYTHING,
    Target,
    collection_target,
    count_matching,
    flush,
    level_target,
)


class Command(BaseCommand):
    help = "Flush a level, a collection, a tag, a pattern over readable names, or everything."

    def add_arguments(self, parser: ArgumentParser) -> None:
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument("--level", help="response, intent, policy, reply or vector")
        what.add_argument("--collection")
        what.add_argument("--tag", help="such as intent:refund_policy, doc:refunds, customer:17, entry:1f2e…")
        what.add_argument("--pattern", help="over level:collection:question, such as 'response:*:*refund*'")
        what.add_argument("--all", action="store_true")
        parser.add_argument("--dry-run", action="store_true", help="only count")
        parser.add_argument("--reason", default="", help="for the record")

    def handle(self, *args: Any, **options: Any) -> None:
        target = self._target(options)
        matched = count_matching(target)
        told = "an unknown number of" if matched is None else str(matched)
        if matched is None:
            self.stdout.write(
                "Redis is not set or cannot be reached: the entries are in the server's memory and cannot be "
                "counted from here."
            )
        if options["dry_run"]:
            self.stdout.write(f"Would flush {target}: {told} entries. Nothing was changed.")
            return
        record = flush(target, actor=getpass.getuser(), reason=options["reason"], matched_count=matched)
        let_servers_learn()
        self.stdout.write(f"Flushed {target}: {told} entries, clock {record.clock}.")

    def _target(self, options: dict[str, Any]) -> Target:
        if options["all"]:
            return EVERYTHING
        for name in ("level", "collection", "tag", "pattern"):
            if options[name] is not None and not options[name].strip():
                raise CommandError(f"--{name}: may not be empty")
        if options["level"]:
            try:
                return level_target(options["level"])
            except ValueError as error:
                raise CommandError(f"--level: {error}") from None
        if options["collection"]:
            return collection_target(options["collection"])
        if options["tag"]:
            if ":" not in options["tag"]:
                raise CommandError("--tag: a tag is kind:value, such as intent:refund_policy")
            return Target(kind="tag", match=options["tag"])
        return Target(kind="pattern", match=options["pattern"])
