"""What this process knows of the decisions in the database, kept up to date by the clock."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from threading import Lock

from django.db import DatabaseError, transaction
from django.db.models import F

from cachemgmt.engine.clock import CLOCK_NAME, Knowledge, Rule
from cachemgmt.engine.errors import StoreError
from cachemgmt.ledger import release_connection
from cachemgmt.models import Clock, FlushRecord, TtlRule

logger = logging.getLogger(__name__)

LoadRevisions = Callable[[], Mapping[str, str]]


def no_revisions() -> Mapping[str, str]:
    """Return no published revision: nothing registered any."""
    return {}


class Snapshot:
    """A `KnowledgeSource` over the database. Thread-safe; at most one thread loads at a time."""

    def __init__(self) -> None:
        self.load_revisions: LoadRevisions = no_revisions
        self._known: Knowledge | None = None
        self._lock = Lock()

    def known(self, at_least: int | None = None) -> Knowledge:
        """Return what is known, loading it first if that is older than `at_least`.

        While the database cannot be read, what is known to be outdated says that the cache is off:
        nothing is reused rather than something flushed.
        """
        known = self._known
        if known is not None and (at_least is None or known.clock >= at_least):
            return known
        with self._lock:
            known = self._known
            if known is not None and (at_least is None or known.clock >= at_least):
                return known  # another thread has loaded it meanwhile
            try:
                self._known = known = self._load()
            except DatabaseError:
                logger.warning(
                    "The cache's rules cannot be read; nothing is reused", extra={"action": "load"}
                )
                return replace(known or Knowledge(), is_on=False)
        return known

    def _load(self) -> Knowledge:
        try:
            with transaction.atomic():  # one consistent view
                clock = Clock.objects.filter(pk=1).first() or Clock()
                flushes = FlushRecord.objects.order_by("clock")
                return Knowledge(
                    clock=clock.number,
                    is_on=clock.is_cache_on,
                    flushes=tuple(row.as_flush() for row in flushes),
                    rules={
                        (rule.level, rule.intent): Rule(ttl_s=rule.ttl_s, is_enabled=rule.is_enabled)
                        for rule in TtlRule.objects.all()
                    },
                    revisions=dict(self.load_revisions()),
                )
        finally:
            release_connection()

    def catch_up(self) -> int:
        """Read the clock's row, load what is new, and return the clock. Called once a second by the server:
        changes are learnt without the store, too. Raises DatabaseError."""
        number = Clock.objects.filter(pk=1).values_list("number", flat=True).first() or 0
        return self.known(at_least=number).clock

    def forget(self) -> None:
        """Know nothing: the next question loads everything."""
        with self._lock:
            self._known = None


@cache
def snapshot() -> Snapshot:
    """Return this process's snapshot."""
    return Snapshot()


def advance_clock() -> int:
    """Raise the clock by one and return it. Call it inside the transaction that makes the change.

    Other processes learn of it after the commit: over the shared store at their next look-up, without it
    within a second. Raises RuntimeError outside a transaction.
    """
    if not transaction.get_connection().in_atomic_block:
        raise RuntimeError("advance_clock() belongs inside the transaction of the change")
    Clock.objects.get_or_create(pk=1)
    Clock.objects.filter(pk=1).update(number=F("number") + 1)
    number = Clock.objects.values_list("number", flat=True).get(pk=1)
    transaction.on_commit(lambda: announce_clock(number))
    return number


def announce_clock(number: int) -> None:
    """Tell the store the clock, never lowering it. One that is out is told by the server, each second."""
    from cachemgmt.assembly import cache_engine

    try:
        cache_engine().store.raise_number(CLOCK_NAME, number)
    except StoreError:
        logger.warning("The store could not be told the clock", extra={"action": "announce"})
