"""`manage.py flush_cache`: remove stored results."""

import getpass
import re
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.core.management import CommandError
from django.core.management.base import BaseCommand

from cachemgmt.decisions.database import snapshot
from cachemgmt.flushing.flush import (
    EVERYTHING,
    Target,
    age_target,
    collection_target,
    count_all,
    entry_targets,
    flush_all,
    level_target,
    pattern_target,
    tag_target,
)
from cachemgmt.flushing.removal import remove_dead
from cachemgmt.models import FlushRecord
from cachemgmt.server.threads import let_servers_learn

UNITS_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}

NAMED: Mapping[str, Callable[[str], Sequence[Target]]] = {
    "level": lambda level: [level_target(level)],
    "collection": lambda collection: [collection_target(collection)],
    "customer": lambda customer: [tag_target(f"customer:{customer}")],
    "tag": lambda tag: [tag_target(tag)],
    "entry": entry_targets,
    "pattern": lambda pattern: [pattern_target(pattern)],
}
"""What each option's text says is to be flushed. They raise ValueError for a text that says nothing."""


class Command(BaseCommand):
    help = "Flush a level, a collection, a customer, a tag, one entry, an age, a pattern, or everything."

    def add_arguments(self, parser: ArgumentParser) -> None:
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument("--level", help="response, intent, policy, reply or vector")
        what.add_argument("--collection")
        what.add_argument("--customer", metavar="ID", help="what is kept for this customer alone")
        what.add_argument("--tag", help="such as intent:refund_policy, doc:refunds, customer:17, entry:1f2e…")
        what.add_argument(
            "--entry", metavar="ID", help="one entry, with what it was made from and what was made of either"
        )
        what.add_argument(
            "--older-than",
            metavar="AGE",
            type=seconds,
            help="what was made longer ago than 90s, 30m, 2h or 7d",
        )
        what.add_argument("--pattern", help="over level:collection:question, such as 'response:*:*refund*'")
        what.add_argument("--all", action="store_true")
        parser.add_argument("--dry-run", action="store_true", help="only count")
        parser.add_argument("--reason", default="", help="for the record")

    def handle(self, *args: Any, **options: Any) -> None:
        targets = targets_of(options)
        self._warn_of_unknown(options["collection"])
        counted = count_all(targets)
        told = "an unknown number of" if counted is None else str(counted.total)
        what = " and ".join(str(target) for target in targets)
        if counted is None:
            self.stdout.write(
                "Redis is not set or cannot be reached: the entries are in the server's memory and cannot be "
                "counted from here."
            )
        if options["dry_run"]:
            self.stdout.write(f"Would flush {what}: {told} entries. Nothing was changed.")
            return
        records = flush_all(targets, actor=getpass.getuser(), reason=options["reason"], counted=counted)
        let_servers_learn()
        self.stdout.write(f"Flushed {what}: {told} entries, clock {records[-1].clock}.")
        remove_dead(rest=0)
        self.stdout.write(removed(records))

    def _warn_of_unknown(self, collection: str | None) -> None:
        """Say so where there is no such collection. What was in one that is gone is flushed all the same."""
        known = snapshot().known()
        if collection and known.is_complete and collection not in known.revisions:
            there_are = ", ".join(sorted(known.revisions)) or "none at all"
            self.stderr.write(f"There is no collection {collection!r}. There are: {there_are}.")


def targets_of(options: Mapping[str, Any]) -> Sequence[Target]:
    """Return what the options say is to be flushed; raise CommandError naming the one that says nothing."""
    if options["all"]:
        return [EVERYTHING]
    if options["older_than"] is not None:
        return [age_target(options["older_than"])]
    name = next(name for name in NAMED if options[name] is not None)
    if not options[name].strip():
        raise CommandError(f"--{name}: may not be empty")
    try:
        return NAMED[name](options[name])
    except ValueError as error:
        raise CommandError(f"--{name}: {error}") from None


def removed(records: Sequence[FlushRecord]) -> str:
    """Return how many of the dead entries were removed from the store, as far as it is known yet."""
    counts = FlushRecord.objects.filter(pk__in=[record.pk for record in records])
    known = list(counts.exclude(removed_at=None).values_list("removed_count", flat=True))
    if len(known) < len(records) or None in known:
        return "The server removes them from the store in the background."
    return f"Removed {sum(count or 0 for count in known)} entries from the store."


def seconds(text: str) -> int:
    """Return an age such as 2h in seconds; raise ArgumentTypeError for what is none."""
    found = re.fullmatch(r"([0-9]{1,9})([smhd])", text)
    if not found:
        raise ArgumentTypeError(f"{text!r} is no age: a whole number and s, m, h or d, such as 30m or 7d")
    return int(found[1]) * UNITS_S[found[2]]
