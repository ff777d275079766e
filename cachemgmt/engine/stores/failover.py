"""Redis while it can be reached, this process's memory while it cannot."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from threading import Lock
from typing import Self, TypeVar

from cachemgmt.engine.errors import StoreBusy, StoreError, StoreRefused, StoreUnavailable
from cachemgmt.engine.reuse.freshness import RETENTION_S
from cachemgmt.engine.stores.base import Page, Renewal, Store
from cachemgmt.engine.stores.breaker import Breaker

logger = logging.getLogger(__name__)
T = TypeVar("T")

REQUEST_S = 0.1
"""Once a request has spent so long on a slow store, it asks it no more, but to end the lease that it gave:
below 0.3 s in all, as no command lasts longer than its own time-out of 0.15 s."""

SLOW_S = 0.075
"""A store is slow whose latest commands all took longer. On a machine that is out of breath some do, too,
but not all: who waits for his turn must not take that for the store's fault, and pay for an answer twice."""

LATEST = 16
SETTLED_S = 5.0
"""A full store keeps a small result whenever another runs out: it is no longer full once it has refused none
for so long."""


class FailoverStore:
    """A store over two: `first` while the breaker lets it be asked, else `second`, this process's memory.

    No store error leaves it. What was read from `first` or written is copied to `second`, so that the hot
    entries are there when `first` is not: `spare` returns them at any time, and whether they may still be
    reused is decided as for any other. A refusal (full, read-only) or a full pool sends only that call to
    `second`, and does not open the breaker.
    """

    kind = "failover"
    is_shared = True

    def __init__(
        self,
        first: Store,
        second: Store,
        breaker: Breaker,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._first = first
        self._second = second
        self._breaker = breaker
        self._monotonic = monotonic
        self._writing = _Writing(monotonic)
        self._pace = _Pace()

    def session(self) -> "FailoverStore":
        return _Session(self)

    def _may_ask(self, *, is_owed: bool) -> bool:
        return self._breaker.allows()

    def _ask(self, on: Callable[[Store], T], *, is_write: bool = False, is_owed: bool = False) -> T:
        """Return what `first` says; raise a StoreError where it is not to be asked, or fails. `is_owed`:
        others wait for it, so that `first` is asked though it is slow."""
        if not self._may_ask(is_owed=is_owed):
            raise StoreUnavailable
        return self._try(on, is_write=is_write)

    def _try(self, on: Callable[[Store], T], *, is_write: bool) -> T:
        started = self._monotonic()
        try:
            result = on(self._first)
        except StoreUnavailable:
            self._breaker.fail()
            raise
        except StoreBusy:
            raise
        except StoreRefused as error:
            self._breaker.succeed()
            if is_write:
                self._writing.refuse(error)
            raise
        self._breaker.succeed()
        self._pace.note(self._monotonic() - started)
        return result

    def _either(self, on: Callable[[Store], T], *, is_write: bool = False) -> T:
        try:
            return self._ask(on, is_write=is_write)
        except StoreError:
            return on(self._second)

    def get(self, name: str) -> bytes | None:
        return self.get_many([name])[0]

    def get_many(self, names: Sequence[str]) -> list[bytes | None]:
        return self._either(lambda store: store.get_many(names)) if names else []

    def spare(self, name: str) -> bytes | None:
        return self._second.get(name)

    def note(self, name: str, value: bytes) -> None:
        self._second.set(name, value, RETENTION_S)

    def set(self, name: str, value: bytes, ttl_s: float) -> None:
        self._second.set(name, value, ttl_s)
        try:
            self._ask(lambda store: store.set(name, value, ttl_s), is_write=True)
        except StoreError:
            return  # it is kept in memory
        self._writing.succeed()

    def exists(self, name: str) -> bool:
        return self._either(lambda store: store.exists(name))

    def delete(self, names: Sequence[str]) -> int:
        if not names:
            return 0  # nothing to ask, and so nothing to learn of the store
        removed = self._second.delete(names)
        return max(removed, self._either(lambda store: store.delete(names), is_write=True))

    def remove(self, read: Mapping[str, bytes]) -> int:
        if not read:
            return 0
        removed = self._second.remove(read)
        return max(removed, self._either(lambda store: store.remove(read), is_write=True))

    def names(self, pattern: str = "*") -> Iterator[str]:
        return iter(self._either(lambda store: list(store.names(pattern))))

    def scan(self, cursor: str = "", pattern: str = "*", count: int = 100) -> Page:
        """Once `first` is back, a cursor that memory gave raises ValueError: the caller begins again."""
        return self._either(lambda store: store.scan(cursor, pattern, count))

    def clear_all(self, pattern: str = "*") -> int:
        removed = self._second.clear_all(pattern)
        return max(removed, self._either(lambda store: store.clear_all(pattern), is_write=True))

    def take_lease(
        self, lease: str, token: bytes, ttl_s: float, *, reading: Sequence[str]
    ) -> tuple[bytes | None, list[bytes | None]]:
        return self._either(
            lambda store: store.take_lease(lease, token, ttl_s, reading=reading), is_write=True
        )

    def renew_leases(self, renewals: Sequence[Renewal]) -> list[bool]:
        """A lease that was taken while `first` was out is held in memory, and taken in `first` once it is
        back and nobody else was given it."""
        if not renewals:
            return []
        try:
            held = self._ask(lambda store: store.renew_leases(renewals))
        except StoreError:
            return self._second.renew_leases(renewals)
        lost = [
            replace(one, or_take=False) for one, is_held in zip(renewals, held, strict=True) if not is_held
        ]
        held_here = iter(self._second.renew_leases(lost))
        return [is_held or next(held_here) for is_held in held]

    def end_lease(self, lease: str, token: bytes, *, note: bytes = b"", note_ttl_s: float = 0.0) -> None:
        self._second.end_lease(lease, token, note=note, note_ttl_s=note_ttl_s)
        try:
            self._ask(lambda store: store.end_lease(lease, token, note=note, note_ttl_s=note_ttl_s))
        except StoreError:
            return  # it runs out

    def set_leased(self, name: str, value: bytes, ttl_s: float, *, lease: str, token: bytes) -> bool:
        """What was computed is kept in memory where `first` fails; nowhere, where it, or else memory, says
        that another has the lease."""
        held_here = self._second.set_leased(name, value, ttl_s, lease=lease, token=token)
        try:
            is_kept = self._ask(
                lambda store: store.set_leased(name, value, ttl_s, lease=lease, token=token),
                is_write=True,
                is_owed=not held_here,
            )
        except StoreError:
            if held_here or self._second.get(lease) is None:
                self._second.set(name, value, ttl_s)
                return True
            return False
        if is_kept:
            self._writing.succeed()
            self._second.set(name, value, ttl_s)
        elif held_here:  # the lease was taken while `first` could not be asked for it
            self.set(name, value, ttl_s)
        return is_kept or held_here

    def raise_number(self, name: str, number: int) -> None:
        """Not in memory: nobody else could raise it there, so it would tell nothing."""
        try:
            self._ask(lambda store: store.raise_number(name, number), is_write=True)
        except StoreError:
            return  # each server process tells it again, every second

    def get_info(self) -> Mapping[str, object]:
        info = self._either(lambda store: store.get_info())
        kept = self._second.get_info()
        return {**info, "breaker": self._breaker.state, "spare_entries": kept["entries"]}

    def health_check(self) -> Mapping[str, object]:
        """Ask `first`, whatever the breaker says: its own time-outs bound that."""
        first = self._first.health_check()
        facts = {**first, "breaker": self._breaker.state}
        if not first["is_healthy"]:
            return {**facts, "store": self._second.kind, "instead_of": self._first.kind}
        if self._writing.refused:
            return {**facts, "is_healthy": False, "detail": self._writing.refused}
        return facts


class _Session(FailoverStore):
    """The store as one request sees it: after its first failure, or `REQUEST_S` spent on a slow one, `first`
    is asked no more for this request."""

    def __init__(self, whole: FailoverStore) -> None:
        self._first = whole._first
        self._second = whole._second
        self._breaker = whole._breaker
        self._monotonic = whole._monotonic
        self._writing = whole._writing
        self._pace = whole._pace
        self._has_failed = False
        self._spent_s = 0.0

    def session(self) -> Self:
        return self

    def _may_ask(self, *, is_owed: bool) -> bool:
        is_spent = self._spent_s >= REQUEST_S and self._pace.is_slow
        if self._has_failed or (is_spent and not is_owed):
            return False
        return super()._may_ask(is_owed=is_owed)

    def _try(self, on: Callable[[Store], T], *, is_write: bool) -> T:
        started = self._monotonic()
        try:
            result = super()._try(on, is_write=is_write)
        except StoreUnavailable:
            self._has_failed = True
            raise
        finally:
            self._spent_s += self._monotonic() - started
        return result


class _Pace:
    """How long the latest commands took, whoever gave them. Thread-safe without a lock: a lost note is no
    loss."""

    def __init__(self) -> None:
        self._latest_s = [0.0] * LATEST
        self._next = 0

    def note(self, took_s: float) -> None:
        self._latest_s[self._next % LATEST] = took_s
        self._next += 1

    @property
    def is_slow(self) -> bool:
        return min(self._latest_s) > SLOW_S


class _Writing:
    """Whether `first` keeps what it is given, and why not. A change is logged once.

    Only what was kept tells that it does: a full one still removes.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self.refused = ""
        self._monotonic = monotonic
        self._refused_at = 0.0
        self._lock = Lock()

    def refuse(self, error: StoreError) -> None:
        with self._lock:
            is_change = not self.refused
            self.refused = str(error)
            self._refused_at = self._monotonic()
        if is_change:
            logger.warning("The shared cache refuses to keep results: %s", error, extra={"action": "refuse"})

    def succeed(self) -> None:
        if not self.refused:
            return
        with self._lock:
            is_change = bool(self.refused) and self._monotonic() - self._refused_at >= SETTLED_S
            self.refused = "" if is_change else self.refused
        if is_change:
            logger.warning("The shared cache keeps results again", extra={"action": "accept"})
