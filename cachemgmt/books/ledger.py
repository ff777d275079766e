"""The books: what each call cost, what each outcome saved.

Money spent is written to the database the moment a call returns. Outcomes are summed in memory and written
every few seconds: a hit costs no query.
"""

import logging
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from threading import Event, Lock

from django.db import Error as DatabaseFailure
from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone

from cachemgmt.books.calls import ProviderCall
from cachemgmt.books.pricing import cost_usd, missing_for_cost
from cachemgmt.connections import release_connection
from cachemgmt.models import LlmCall, MetricBucket

logger = logging.getLogger(__name__)

BucketKey = tuple[datetime, str, str, str, str]


class Bill:
    """What one request spends. Used by the one thread that serves the request."""

    def __init__(self, *, purpose: str, collection: str) -> None:
        self._purpose = purpose
        self._collection = collection
        self.spent_usd: Decimal | None = Decimal(0)
        """USD so far; None once a call's cost was not known."""
        self.llm_call_count = 0
        """Calls to a language model; embedding a text is none, though it may cost."""

    def for_refresh(self) -> "Bill":
        """Return the bill of what is made anew behind the customer's back, in another thread."""
        return Bill(purpose="refresh", collection=self._collection)

    def since(self, spent_before_usd: Decimal | None) -> Decimal | None:
        """Return what was spent since the bill stood at that amount, None where a price was not known."""
        if self.spent_usd is None or spent_before_usd is None:
            return None
        return self.spent_usd - spent_before_usd

    def book(self, call: ProviderCall) -> None:
        """Write the call down, with its cost. A database that fails keeps it waiting, never the answer."""
        now = timezone.now()
        row = LlmCall(
            made_at=now,
            stage=call.stage,
            model=call.model,
            outcome=call.outcome,
            purpose=self._purpose,
            collection=self._collection,
            prompt_tokens=call.prompt_tokens,
            cached_tokens=call.cached_tokens,
            completion_tokens=call.completion_tokens,
            seconds=call.seconds,
        )
        self.llm_call_count += call.stage != "embed"
        try:
            if _is_out.is_set():  # the database is out: this one need not wait for it, too
                _unbooked.append(row)
                self.spent_usd = None
                return
            row.cost_usd = cost_usd(call, now.date())
            with _impatient():
                _write(row)
        except UNBOOKABLE as error:
            extra = {"action": "book", "outcome": type(error).__name__}
            logger.warning("Calls cannot be booked; they are booked later", extra=extra)
            if isinstance(error, DatabaseFailure):
                _is_out.set()
            _unbooked.append(row)
            self.spent_usd = None
            return
        finally:
            release_connection()
        if row.cost_usd is None:
            _warn_of_unknown_cost(call)
        total = self.spent_usd
        self.spent_usd = None if total is None or row.cost_usd is None else total + row.cost_usd


def _warn_of_unknown_cost(call: ProviderCall) -> None:
    """Log what is missing to know what calls to the model cost: once in a process for each such thing."""
    missing = missing_for_cost(call)
    if (call.model, missing) not in _warned:
        _warned.add((call.model, missing))
        extra = {"action": "book", "model": call.model, "outcome": "unknown-cost"}
        logger.warning("What calls to %s cost is not known: %s", call.model, missing, extra=extra)


_warned: set[tuple[str, str]] = set()

UNBOOKABLE = (DatabaseFailure, ArithmeticError, ValueError)
"""What a database can make of a call: out (a connection that is gone raises InterfaceError, which is no
DatabaseError), or of no use for numbers or names as large as these."""

BUSY_S = 2.0
_unbooked: deque[LlmCall] = deque()
_is_out = Event()
"""Set from a booking that the database failed until one that it did not: `write_counts` tries."""


@dataclass(slots=True)
class _Sum:
    count: int = 0
    seconds: float = 0.0
    saved_usd: Decimal = Decimal(0)
    saved_s: float = 0.0
    unknown_savings: int = 0


_sums: dict[BucketKey, _Sum] = {}
_lock = Lock()


def count(
    *,
    level: str,
    outcome: str,
    reason: str | None,
    collection: str,
    seconds: float,
    saved_usd: Decimal | None,
    saved_s: float = 0.0,
) -> None:
    """Count one outcome. No query, no waiting: `write_counts` brings it to the database.

    `saved_usd` is None where it is not known, 0 where nothing was saved.
    """
    minute = timezone.now().replace(second=0, microsecond=0)
    key = (minute, level, outcome, reason or "", collection)
    with _lock:
        total = _sums.setdefault(key, _Sum())
        total.count += 1
        total.seconds += seconds
        total.saved_usd += saved_usd or Decimal(0)
        total.saved_s += saved_s
        total.unknown_savings += saved_usd is None


def write_counts() -> None:
    """Add what was counted since the last time to the buckets, and book what could not be booked.

    Several threads and processes may write at once. If the database fails, nothing is lost: it is added
    next time. One that hangs in the very moment of the commit may have it twice.
    """
    global _sums
    with _lock:
        taken, _sums = _sums, {}
    try:
        with transaction.atomic():
            for key, total in taken.items():
                _add_to_bucket(key, total)
    except DatabaseFailure:
        logger.warning("Metrics could not be written; they are written later", extra={"action": "count"})
        with _lock:
            for key, total in taken.items():
                newer = _sums.setdefault(key, _Sum())
                newer.count += total.count
                newer.seconds += total.seconds
                newer.saved_usd += total.saved_usd
                newer.saved_s += total.saved_s
                newer.unknown_savings += total.unknown_savings
    _book_waiting()


def _book_waiting() -> None:
    """Try once more to book each waiting call; those that fail again go on waiting, behind the others."""
    _is_out.clear()
    for _ in range(len(_unbooked)):
        try:
            row = _unbooked.popleft()
        except IndexError:
            return  # another thread took the last
        try:
            row.cost_usd = cost_usd(row, row.made_at.date())
            _write(row)
        except UNBOOKABLE as error:
            _unbooked.append(row)
            if isinstance(error, DatabaseFailure):
                _is_out.set()
                return  # nor the others


def _write(row: LlmCall) -> None:
    """Write the call down, unless it was: a database that hung may have carried out what was given up on."""
    # Not `ignore_conflicts`: SQLite would then leave out a row that breaks any rule, and say nothing.
    LlmCall.objects.bulk_create(
        [row], update_conflicts=True, unique_fields=["call_id"], update_fields=["call_id"]
    )


def _add_to_bucket(key: BucketKey, total: _Sum) -> None:
    minute, level, outcome, reason, collection = key
    bucket, _ = MetricBucket.objects.get_or_create(
        minute=minute, level=level, outcome=outcome, reason=reason, collection=collection
    )
    MetricBucket.objects.filter(pk=bucket.pk).update(
        count=F("count") + total.count,
        seconds=F("seconds") + total.seconds,
        saved_usd=F("saved_usd") + total.saved_usd,
        saved_s=F("saved_s") + total.saved_s,
        unknown_savings=F("unknown_savings") + total.unknown_savings,
    )


@contextmanager
def _impatient() -> Iterator[None]:
    """Wait for a database that another process is writing to for `BUSY_S` only: a customer waits, too."""
    if connection.vendor != "sqlite" or connection.in_atomic_block:
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute(f"PRAGMA busy_timeout = {BUSY_S * 1000:.0f}")
        try:
            yield
        finally:
            patience_s = connection.settings_dict["OPTIONS"].get("timeout", 5)
            cursor.execute(f"PRAGMA busy_timeout = {patience_s * 1000:.0f}")
