"""The decisions in the database, as this process knows them."""

import contextlib
import logging
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from django.db import Error as DatabaseFailure
from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from cachemgmt.connections import release_connection
from cachemgmt.engine.errors import SourceUnavailable
from cachemgmt.engine.reuse.knowledge import Flush, Flushes, Knowledge
from cachemgmt.engine.reuse.watched_knowledge import WatchedKnowledge
from cachemgmt.models import Clock, FlushRecord, TtlRule

logger = logging.getLogger(__name__)

MAX_FLUSHES = 5000
"""Different flushes that a process knows; entries older than the ones before these are not reused."""

LoadRevisions = Callable[[], Mapping[str, str]]
Load = Callable[[], Any]


def no_revisions() -> Mapping[str, str]:
    """Return no published revision: nothing registered any."""
    return {}


class Decisions:
    """The engine's view of the database."""

    def __init__(self) -> None:
        self.load_revisions: LoadRevisions = no_revisions
        self.load_others: dict[str, Load] = {}

    def clock(self) -> tuple[int, str]:
        """Return the clock, and when it was raised to that; raise SourceUnavailable."""
        try:
            return _told(Clock.objects.filter(pk=1).first() or Clock())
        except DatabaseFailure as error:
            raise SourceUnavailable from error
        finally:
            release_connection()

    def knowledge(self) -> Knowledge:
        """Return all that is decided; raise SourceUnavailable."""
        try:
            return self._read()
        except DatabaseFailure as error:
            raise SourceUnavailable from error
        finally:
            release_connection()

    def outrun(self, told: int) -> None:
        """Raise the clock above `told`, a number of another history, and the floor with it: nothing is reused
        that was made before, under either. Does nothing where the clock is no longer below. Raises
        DatabaseError."""
        above = {"number": told + 1, "floor": told + 1, "changed_at": timezone.now()}
        try:
            with transaction.atomic():
                Clock.objects.get_or_create(pk=1)
                is_raised = Clock.objects.filter(pk=1, number__lt=told).update(**above)
        finally:
            release_connection()
        if is_raised:
            logger.warning(
                "The database is older than what is cached: nothing that was made before is reused",
                extra={"action": "outrun"},
            )

    def _read(self) -> Knowledge:
        with transaction.atomic():
            # The clock first: what is read after it may be newer than it says, never older.
            clock = Clock.objects.filter(pk=1).first() or Clock()
            words = FlushRecord.objects.order_by().values_list("kind", "match")
            newest = list(words.annotate(newest=Max("clock")).order_by("-newest")[: MAX_FLUSHES + 1])
            left_out = newest[MAX_FLUSHES][2] if len(newest) > MAX_FLUSHES else 0
            number, mark = _told(clock)
            return Knowledge(
                clock=number,
                mark=mark,
                floor=max(clock.floor, left_out),
                is_on=clock.is_cache_on,
                flushes=Flushes(
                    Flush(clock=raised_to, kind=kind, match=match)
                    for kind, match, raised_to in newest[:MAX_FLUSHES]
                ),
                rules={(rule.level, rule.intent): rule.as_rule() for rule in TtlRule.objects.all()},
                revisions=dict(self.load_revisions()),
                others={name: load() for name, load in self.load_others.items()},
            )


def _told(clock: Clock) -> tuple[int, str]:
    return clock.number, clock.changed_at.isoformat() if clock.changed_at else ""


@cache
def decisions() -> Decisions:
    """Return this process's view of the database."""
    return Decisions()


@cache
def snapshot() -> WatchedKnowledge:
    """Return this process's snapshot."""
    return WatchedKnowledge(decisions())


def learn_from_database() -> None:
    """Let this process know at once what was changed. Others learn it over Redis."""
    with contextlib.suppress(SourceUnavailable):
        snapshot().catch_up()
