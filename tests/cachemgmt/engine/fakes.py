"""What the engine's tests stand on: a time that is set, a source of knowledge, a store that can fail."""

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from typing import Any, TypeVar

from cachemgmt.engine.errors import StoreError
from cachemgmt.engine.filling.cache import Cache
from cachemgmt.engine.filling.filling import Filler
from cachemgmt.engine.filling.flight import Flight, Flights
from cachemgmt.engine.filling.lease import LEASE_S, RENEWALS
from cachemgmt.engine.filling.results import CacheRequest, FillOutcome, FillResult
from cachemgmt.engine.keys import Key
from cachemgmt.engine.reuse.freshness import JITTER, Directives
from cachemgmt.engine.reuse.knowledge import CLOCK_NAME, Flush, Flushes, FlushKind, Knowledge
from cachemgmt.engine.stores.base import Renewal, Store
from cachemgmt.engine.stores.memory import MemoryStore

T = TypeVar("T")
BEAT_S = LEASE_S / RENEWALS
WITHIN_S = 30.0
"""For how long a test waits for another thread before it fails."""


class FakeTime:
    """A time in seconds that stands still until a test moves it. While it passes, `hearts` beat."""

    def __init__(self, at: float = 1_700_000_000.0) -> None:
        self.at = at
        self.hearts: list[Callable[[], object]] = []
        self._next_beat = at + BEAT_S

    def __call__(self) -> float:
        return self.at

    def advance(self, seconds: float) -> None:
        end = self.at + seconds
        while self.hearts and self._next_beat <= end:
            self.at = max(self.at, self._next_beat)
            self._next_beat = self.at + BEAT_S
            for beat in self.hearts:
                beat()
        self.at = end


class FakeSource:
    """A `KnowledgeSource` whose database is `truth`: it loads that only when asked for something newer.

    `is_confirmed`: whether the database has said within the last second that this is all.
    """

    def __init__(self, **truth: Any) -> None:
        self.truth = Knowledge(**truth)
        self.loads = 0
        self.is_database_out = False
        self.is_confirmed = True
        self._flushes: list[Flush] = []
        self._seen = self.truth

    def known(self, at_least: int | None = None) -> Knowledge:
        if at_least is not None and at_least > self._seen.clock and not self.is_database_out:
            self.loads += 1
            self._seen = self.truth
        return self._seen

    def is_current(self, told: int | None) -> bool:
        if told == self._seen.clock:
            return True
        return self.is_confirmed and (told is None or told < self._seen.clock or not self.is_database_out)

    def decide(self, store: Store | None = None, **changes: Any) -> None:
        """Change the truth and raise its clock; `store` is told, where one is given."""
        self.truth = replace(self.truth, clock=self.truth.clock + 1, **changes)
        if store is not None:
            store.raise_number(CLOCK_NAME, self.truth.clock)

    def flush(self, store: Store | None = None, kind: FlushKind = "all", match: str = "") -> None:
        """Flush, as an operator in another process does."""
        self._flushes.append(Flush(clock=self.truth.clock + 1, kind=kind, match=match))
        self.decide(store, flushes=Flushes(self._flushes))


class StagedStore(MemoryStore):
    """A memory store that several caches share. It fails when told to, keeps copies when told to (`spares`),
    and lets a test step in right after a read."""

    is_shared = True

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.fails: dict[str, StoreError] = {}
        self.spares: dict[str, bytes] | None = None
        self.after_read: Callable[[], object] | None = None
        self.asked: list[list[str]] = []
        """The names of each read, the clock's left out."""

    def _may_fail(self, method: str) -> None:
        if method in self.fails:
            raise self.fails[method]

    def spare(self, name: str) -> bytes | None:
        return (self.spares or {}).get(name)

    def note(self, name: str, value: bytes) -> None:
        if self.spares is not None:
            self.spares[name] = value

    def get_many(self, names: Sequence[str]) -> list[bytes | None]:
        self._may_fail("get_many")
        self.asked.append([name for name in names if name != CLOCK_NAME])
        found = super().get_many(names)
        step_in, self.after_read = self.after_read, None
        if step_in is not None:
            step_in()
        return found

    def set(self, name: str, value: bytes, ttl_s: float) -> None:
        self._may_fail("set")
        self.note(name, value)
        super().set(name, value, ttl_s)

    def delete(self, names: Sequence[str]) -> int:
        self._may_fail("delete")
        return super().delete(names)

    def remove(self, read: Mapping[str, bytes]) -> int:
        self._may_fail("remove")
        return super().remove(read)

    def take_lease(
        self, lease: str, token: bytes, ttl_s: float, *, reading: Sequence[str]
    ) -> tuple[bytes | None, list[bytes | None]]:
        self._may_fail("take_lease")
        return super().take_lease(lease, token, ttl_s, reading=reading)

    def renew_leases(self, renewals: Sequence[Renewal]) -> list[bool]:
        self._may_fail("renew_leases")
        return super().renew_leases(renewals)

    def end_lease(self, lease: str, token: bytes, *, note: bytes = b"", note_ttl_s: float = 0.0) -> None:
        self._may_fail("end_lease")
        super().end_lease(lease, token, note=note, note_ttl_s=note_ttl_s)

    def set_leased(self, name: str, value: bytes, ttl_s: float, *, lease: str, token: bytes) -> bool:
        self._may_fail("set_leased")
        return super().set_leased(name, value, ttl_s, lease=lease, token=token)


class WatchedFlights(Flights[T]):
    """Flights that tell how many callers have joined: from then on each of them leads or waits."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        super().__init__(monotonic)
        self._joined = threading.Semaphore(0)

    def join(self, key: str, deadline: float) -> tuple[Flight[T], bool]:
        joined = super().join(key, deadline)
        self._joined.release()
        return joined

    def await_joined(self, count: int, *, within_s: float = WITHIN_S) -> None:
        """Wait until `count` more callers have joined a flight."""
        for _ in range(count):
            assert self._joined.acquire(timeout=within_s), "too few callers came"


class Threads:
    """Runs calls in threads of their own. Leaving the block waits for all of them."""

    def __init__(self, most: int = 100) -> None:
        self._pool = ThreadPoolExecutor(most)

    def __enter__(self) -> "Threads":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()

    def start(self, work: Callable[[], T]) -> "Future[T]":
        return self._pool.submit(work)

    def start_together(self, count: int, work: Callable[[], T]) -> "list[Future[T]]":
        """Start `count` calls that begin at the same moment."""
        barrier = threading.Barrier(count)

        def begin() -> T:
            barrier.wait(WITHIN_S)
            return work()

        return [self.start(begin) for _ in range(count)]


def make_key(message: str = "fee?", *, level: str = "reply", collection: str = "policies") -> Key:
    return Key(level, collection, {"message": message}, "v1")


def make_made(key: Key | None, value: Any = "made", **fields: Any) -> FillResult:
    defaults: dict[str, Any] = {"cost_usd": Decimal("0.06"), "question": "fee", "keep_under": key}
    return FillResult(value=value, **{**defaults, **fields})


KEY = make_key()


def visit(**directives: Any) -> CacheRequest:
    return CacheRequest(directives=Directives(**directives))


def keep(cache: Cache, key: Key = KEY, value: object = "made", **fields: Any) -> bool:
    return cache.keep(key, make_made(key, value, **fields), visit())[1]


def reason(cache: Cache, key: Key = KEY, **directives: Any) -> str | None:
    """Return why a look-up finds nothing, None if it finds something."""
    found = cache.lookup([key], visit(**directives))
    assert bool(found) == (found.reason is None)
    return found.reason


def fresh_s(key: Key = KEY, ttl_s: float = 1800) -> float:
    """Return for how long the key's entry stays fresh: its TTL less its jitter."""
    return ttl_s * (1 - JITTER * int(key.entry_id[:4], 16) / 0xFFFF)


class Fill:
    """A fill that counts its calls and numbers its results. `during` happens inside the first call."""

    def __init__(
        self,
        key: Key | None = KEY,
        during: Callable[[], object] = lambda: None,
        error: BaseException | None = None,
    ) -> None:
        self.key = key
        self.during = during
        self.error = error
        """What it raises instead of making something."""
        self.calls = 0

    def __call__(self) -> FillResult:
        self.calls += 1
        call = self.calls
        if call == 1:
            self.during()
        if self.error is not None:
            raise self.error
        return make_made(self.key, f"made {call}", reason=None if self.key else "personal")


class Hung(Fill):
    """A fill whose first call hangs until it is let go."""

    def __init__(self) -> None:
        super().__init__(during=self._hang)
        self.began, self.let_go = threading.Event(), threading.Event()

    def _hang(self) -> None:
        self.began.set()
        assert self.let_go.wait(WITHIN_S)


def never() -> FillResult:
    raise AssertionError("nothing was to be filled")


def take(filler: Filler, fill: Callable[[], FillResult], *keys: Key, **directives: object) -> FillOutcome:
    return filler.get_or_fill(keys or (KEY,), fill, visit(**directives))


class Background:
    """What is to be done in the background, until a test does it."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], None]] = []

    def __call__(self, work: Callable[[], None]) -> None:
        self.waiting.append(work)

    def run(self) -> None:
        """Do what waits, and what comes of it."""
        while self.waiting:
            self.waiting.pop(0)()
