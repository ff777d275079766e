"""What this process knows of the decisions in the database, kept up to date by the clock."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from threading import Lock

from django.db import DatabaseError, transaction
from django.db.models import F
from django.utils import timezone

from cachemgmt.engine.clock import CLOCK_NAME, Knowledge, Rule
from cachemgmt.engine.errors import StoreError
from cachemgmt.ledger import release_connection
from cachemgmt.models import Clock, FlushRecord, TtlRule

logger = logging.getLogger(__name__)

RETRY_AFTER_S = 1.0
MAX_FLUSHES = 1000
"""Flushes a process looks through. Entries older than these are not reused."""

LoadRevisions = Callable[[], Mapping[str, str]]


def no_revisions() -> Mapping[str, str]:
    """Return no published revision: nothing registered any."""
    return {}


class Snapshot:
    """A `KnowledgeSource` over the database. Thread-safe; at most one thread loads at a time.

    A failed load is not tried again for `RETRY_AFTER_S`, and a number that the database's clock has not
    reached is not looked for again before the clock is next read: no look-up pays for either again.
    """

    def __init__(self, *, now: Callable[[], float] = time.monotonic) -> None:
        self.load_revisions: LoadRevisions = no_revisions
        self._known: Knowledge | None = None
        self._lock = Lock()
        self._now = now
        self._retry_at = 0.0
        self._looked_for = 0

    def known(self, at_least: int | None = None) -> Knowledge:
        """Return what is known, loading it first if that is older than `at_least`.

        While the database cannot be read, what is known to be outdated says that the cache is off:
        nothing is reused rather than something flushed.
        """
        known = self._known
        if known is not None and (at_least is None or at_least <= max(known.clock, self._looked_for)):
            return known
        with self._lock:
            known = self._known
            if known is not None and (at_least is None or at_least <= max(known.clock, self._looked_for)):
                return known  # another thread has loaded it meanwhile
            loaded = self._try_load()
            if loaded is None:
                return replace(known or Knowledge(is_complete=False), is_on=False)
            self._looked_for = at_least or 0
        return loaded

    def _try_load(self) -> Knowledge | None:
        """Load and keep what the database says; None while it cannot be read. Called under the lock."""
        if self._now() < self._retry_at:
            return None
        try:
            self._known = self._load()
        except DatabaseError:
            self._retry_at = self._now() + RETRY_AFTER_S
            logger.warning("The cache's rules cannot be read; nothing is reused", extra={"action": "load"})
            return None
        return self._known

    def _load(self) -> Knowledge:
        try:
            with transaction.atomic():
                # The clock first: what is read after it may be newer than it says, never older.
                clock = Clock.objects.filter(pk=1).first() or Clock()
                newest = list(FlushRecord.objects.order_by("-clock")[: MAX_FLUSHES + 1])
                return Knowledge(
                    clock=clock.number,
                    floor=newest[MAX_FLUSHES].clock if len(newest) > MAX_FLUSHES else 0,
                    is_on=clock.is_cache_on,
                    flushes=tuple(row.as_flush() for row in reversed(newest[:MAX_FLUSHES])),
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
        changes are learnt without the store, too. A row that went back (a database made anew or restored)
        is believed. Raises DatabaseError."""
        number = Clock.objects.filter(pk=1).values_list("number", flat=True).first() or 0
        with self._lock:
            self._looked_for = 0
            if self._known is None or self._known.clock != number:
                self._try_load()
        return self.known().clock

    def forget(self) -> None:
        """Know nothing: the next question loads everything."""
        with self._lock:
            self._known = None
            self._retry_at = 0.0
            self._looked_for = 0


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
    Clock.objects.filter(pk=1).update(number=F("number") + 1, changed_at=timezone.now())
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
