"""Counting in sliding windows, in this process's memory and shared between processes once a second.

Counted locally, so that a stored answer costs no round trip for it; each process brings what it counted to
Django's cache and learns there what the others did. So a limit may be overshot by what the other processes
count within a second. While the shared cache is out, each process counts for itself. A window slides as
Cloudflare's do: the last one counts for the share of it that is still within reach.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from threading import Lock

from django.core.cache import BaseCache

MOST_NAMES = 100_000
SHARED_FROM = 20
LEAST_SHARED = 5
"""A name is shared once this process alone has counted a 20th of its limit, and five. Fewer cannot exceed it
together with fewer than 20 processes by much, and one who looks in once costs nothing."""


@dataclass(slots=True)
class Count:
    """What was counted under one name in the window `number` and the one before it."""

    number: int
    window_s: float
    limit: int
    own: int = 0
    others: int = 0
    sent: int = 0
    before: int = 0


class Rates:
    """Counts by name. Thread-safe. Without a cache they are this process's alone."""

    def __init__(self, cache: BaseCache | None, *, now: Callable[[], float] = time.time) -> None:
        self._cache = cache
        self._now = now
        self._counts: dict[str, Count] = {}
        self._lock = Lock()

    def take(self, name: str, *, limit: int, window_s: float) -> float | None:
        """Count one more, and return None; or count nothing where that would be above the limit, and return
        the seconds after which it would not."""
        with self._lock:
            count = self._count(name, limit, window_s)
            passed = self._now() / window_s - count.number
            current = count.own + count.others
            if count.before * (1 - passed) + current + 1 <= limit:
                count.own += 1
                return None
            if count.before and current + 1 <= limit:
                free_at = 1 - (limit - current - 1) / count.before
                return max(1.0, (free_at - passed) * window_s)
            return max(1.0, (1 - passed) * window_s)

    def add(self, name: str, more: int, *, limit: int, window_s: float) -> None:
        """Count so many more (or fewer), whatever the limit."""
        with self._lock:
            count = self._count(name, limit, window_s)
            count.own = max(0, count.own + more)  # what is given back may have been taken in the last window

    def share(self) -> None:
        """Bring what was counted to the shared cache, and learn what others counted. One or two round trips
        for each name that is anywhere near its limit. Forgets windows that are over."""
        with self._lock:
            over = [name for name, count in self._counts.items() if self._age(count) > 1]
            for name in over:
                del self._counts[name]
            near = {
                name: (
                    count.number,
                    count.own,
                    count.own - count.sent,
                    count.others,
                    ceil(2 * count.window_s),
                )
                for name, count in self._counts.items()
                if self._age(count) == 0 and self._is_near(count)
            }
        if self._cache is None:
            return
        for name, (number, own, unsent, others, keep_s) in near.items():
            key = f"rate:{name}:{number}"
            total = _added(self._cache, key, unsent, keep_s)
            if total < own + others:  # the shared count was lost meanwhile: what is known of it is put back
                total = _added(self._cache, key, own + others - total, keep_s)
            with self._lock:
                count = self._counts.get(name)
                if count and count.number == number:
                    count.sent += unsent
                    count.others = max(0, total - count.sent)

    @staticmethod
    def _is_near(count: Count) -> bool:
        return count.own >= min(count.limit, max(LEAST_SHARED, count.limit / SHARED_FROM))

    def _count(self, name: str, limit: int, window_s: float) -> Count:
        number = int(self._now() / window_s)
        count = self._counts.get(name)
        if count is None or count.window_s != window_s:
            if len(self._counts) >= MOST_NAMES:
                del self._counts[next(iter(self._counts))]
            count = self._counts[name] = Count(number=number, window_s=window_s, limit=limit)
        if number != count.number:
            followed = number == count.number + 1
            count.before = count.own + count.others if followed else 0
            count.number, count.own, count.others, count.sent = number, 0, 0, 0
        count.limit = limit
        return count

    def _age(self, count: Count) -> int:
        return int(self._now() / count.window_s) - count.number


def _added(cache: BaseCache, key: str, more: int, keep_s: float) -> int:
    """Add to a shared count, making it where it is not there; return what it is then."""
    for _ in range(2):
        try:
            return cache.incr(key, more)
        except ValueError:
            if cache.add(key, more, timeout=keep_s):
                break
    return more
