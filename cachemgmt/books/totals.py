"""Sums over all that is in the books, cheap enough to be asked for every few seconds."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock
from typing import Any

from django.db import OperationalError, models
from django.db.models import Count, F, Min, Q, Sum
from django.db.models.functions import Cast, Round

from cachemgmt.models import UNTOLD, LlmCall, MetricBucket

SETTLED_AFTER = timedelta(days=2)
"""Rows from before are added up once in a process. A server whose database was out writes late, but not so
late."""

STRETCH = timedelta(days=30)
"""What one query adds up: a server gives none more than `DATABASE_TIMEOUT_S`, however old the books are."""

WAIT_S = 5.0
MICRO = 10**6
"""Seconds are summed in whole microseconds…"""

USD_UNITS = 10**8
"""…and amounts in the last digit the books keep: a sum of fractions depends on its order, and a counter that
goes down by a hair counts as started anew."""

Labels = tuple[str, ...]
Sums = dict[Labels, Counter[str]]
"""Amounts by name, for each combination of labels. Whole numbers."""


def whole(field: str, units: int) -> Sum:
    """Return the exact sum of a field in such units, each row rounded."""
    product = models.ExpressionWrapper(F(field) * units, models.FloatField())
    return Sum(Cast(Round(product), models.BigIntegerField()))


@dataclass(frozen=True, kw_only=True, slots=True)
class Book:
    """A table whose rows are never removed, nor made smaller. Each row is of one time."""

    model: type[models.Model]
    time: str
    labels: Labels
    sums: Mapping[str, Any]

    def begins(self) -> datetime | None:
        """Return the time of the first row, None where there is none. One query. Raises DatabaseError."""
        first: datetime | None = self.model._default_manager.aggregate(first=Min(self.time))["first"]
        return first

    def read(self, since: datetime, until: datetime | None) -> Sums:
        """Return the sums of the rows in that time. One query. Raises DatabaseError."""
        rows = self.model._default_manager.order_by().filter(**{f"{self.time}__gte": since})
        if until:
            rows = rows.filter(**{f"{self.time}__lt": until})
        found = rows.values(*self.labels).annotate(**self.sums)
        return {
            tuple(row[name] for name in self.labels): Counter({name: row[name] or 0 for name in self.sums})
            for row in found
        }


OUTCOMES = Book(
    model=MetricBucket,
    time="minute",
    labels=("level", "outcome", "reason"),
    sums={
        "n": Sum("count"),
        "micro_s": whole("seconds", MICRO),
        "saved": whole("saved_usd", USD_UNITS),
        "saved_micro_s": whole("saved_s", MICRO),
        "unknown_savings": Sum("unknown_savings"),
    },
)
CALLS = Book(
    model=LlmCall,
    time="made_at",
    labels=("stage", "model", "outcome", "purpose"),
    sums={
        "n": Count("pk"),
        "unpriced": Count("pk", filter=Q(cost_usd=None)),
        "untold": Count("pk", filter=Q(cost_usd=None) & UNTOLD),
        "micro_s": whole("seconds", MICRO),
        "spent": whole("cost_usd", USD_UNITS),
        "prompt": Sum("prompt_tokens"),
        "cached": Sum("cached_tokens"),
        "completion": Sum("completion_tokens"),
    },
)


class Totals:
    """A book's sums since its first row. Thread-safe; every process comes to the same ones."""

    def __init__(self, book: Book, *, wait_s: float = WAIT_S) -> None:
        """`wait_s`: for how long one waits for another who is reading."""
        self._book = book
        self._wait_s = wait_s
        self._settled: Sums = {}
        self._settled_until: datetime | None = None
        self._lock = Lock()

    def read(self, now: datetime) -> Sums:
        """Return the sums. Reads everything the first time, a stretch at a time, then the last days. Raises
        DatabaseError, also where another has been reading for too long: a database that hangs may hold one
        thread, not all. Whatever was read until then need not be read again."""
        if not self._lock.acquire(timeout=self._wait_s):
            raise OperationalError("somebody else is still reading the books")
        try:
            until = (now - SETTLED_AFTER).replace(hour=0, minute=0, second=0, microsecond=0)
            if self._settled_until is None:
                self._settled_until = min(self._book.begins() or until, until)
            while self._settled_until < until:
                end = min(self._settled_until + STRETCH, until)
                self._settled = added(self._settled, self._book.read(self._settled_until, end))
                self._settled_until = end
            return added(self._settled, self._book.read(self._settled_until, None))
        finally:
            self._lock.release()


def added(one: Sums, other: Sums) -> Sums:
    """Return both together."""
    return {labels: one.get(labels, Counter()) + other.get(labels, Counter()) for labels in one | other}
