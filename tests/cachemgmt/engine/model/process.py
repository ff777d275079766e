"""One server process: the real engine, over its own way to the one Redis and the one database."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

from cachemgmt.engine.errors import SourceUnavailable
from cachemgmt.engine.filling.cache import Cache, as_clock
from cachemgmt.engine.filling.filling import Filler
from cachemgmt.engine.filling.lease import LEASE_S, RENEWALS, Heartbeat
from cachemgmt.engine.filling.refreshing import Refreshes
from cachemgmt.engine.reuse.knowledge import CLOCK_NAME
from cachemgmt.engine.reuse.watched_knowledge import WATCH_EVERY_S, WatchedKnowledge
from cachemgmt.engine.stores.base import Store
from cachemgmt.engine.stores.breaker import Breaker
from cachemgmt.engine.stores.failover import FailoverStore
from cachemgmt.engine.stores.memory import MemoryStore
from tests.cachemgmt.engine.model.database import Reader, SharedDatabase
from tests.cachemgmt.engine.model.schedule import InOrder, Schedule, TurnCondition, TurnLock
from tests.cachemgmt.engine.model.shared_redis import Line, SharedRedis

FILL_S = 8.0


class ProviderDown(Exception):
    """The provider failed."""


class ProviderFailures:
    """`ProviderDown` is the provider's failure, and no other error is."""

    def note(self, error: Exception) -> str | None:
        return "down" if isinstance(error, ProviderDown) else None

    def error(self, note: str) -> Exception:
        assert note == "down"
        return ProviderDown("elsewhere")

    def allows_stale(self, error: Exception) -> bool:
        return isinstance(error, ProviderDown)


@dataclass(slots=True)
class Call:
    """One call of the engine: what its process was told in it. `told`: the highest clock that Redis told it;
    `told_last`: the latest, None where Redis told none."""

    began_at: float
    told: int = -1
    told_last: int | None = None
    told_at: float = 0.0
    decided_at: float = 0.0
    ended_at: float = 0.0


class Process:
    """A process. `is_watched`: it is a server; else one that asks the database itself, as commands do."""

    def __init__(
        self,
        name: str,
        schedule: Schedule,
        redis: SharedRedis,
        database: SharedDatabase,
        *,
        is_watched: bool,
        memory_bytes: int,
    ) -> None:
        self.name = name
        self.is_alive = True
        self.is_watched = is_watched
        self.redis = redis
        self.line = Line(redis, self)
        self.reader = Reader(database)
        self.memory = MemoryStore(now=schedule.time, max_bytes=memory_bytes)
        self.breaker = Breaker(now=schedule.time)
        self.store = FailoverStore(
            cast("Store", self.line), self.memory, self.breaker, monotonic=schedule.time
        )
        self.snapshot = WatchedKnowledge(self.reader, monotonic=schedule.time)
        self.snapshot._asking = cast("Any", TurnLock(schedule))
        self.snapshot._answered = cast("Any", TurnCondition(schedule))
        self.cache = Cache(store=self.store, source=self.snapshot, now=schedule.time)
        self.heartbeat = Heartbeat(self.store, schedule.time, is_threaded=False)
        self.heartbeat._held = cast("Any", InOrder())
        self.heartbeat._renewing = cast("Any", TurnLock(schedule))
        self.filler = Filler(
            self.cache,
            failures=ProviderFailures(),
            fill_s=FILL_S,
            monotonic=schedule.time,
            sleep=schedule.pause,
            refreshes=Refreshes(self.in_background),
            heartbeat=self.heartbeat,
        )
        self.questions = 0
        """How many it is at."""
        self.redis_bad_at = self.database_bad_at = schedule.now
        """When it last could not rely on them."""
        self.heard = -1
        """The highest clock that Redis ever told it."""
        self._schedule = schedule
        self._calls: dict[int, Call] = {}

    def start(self) -> None:
        """Start the threads that a process has besides its requests'."""
        if self.is_watched:
            self._schedule.start(self, "watcher", self._watch)
        self._schedule.start(self, "heart", self._beat)

    def _watch(self) -> None:
        """As `cachemgmt.server.threads` does."""
        self._learn()
        self.snapshot.watch()
        while True:
            self._schedule.wait_for(self.snapshot.news.is_set, WATCH_EVERY_S)
            self.snapshot.news.clear()
            if not self._learn():
                self._schedule.pause(WATCH_EVERY_S)

    def _learn(self) -> bool:
        try:
            told = as_clock(self.store.get(CLOCK_NAME)) or 0
            self.store.raise_number(CLOCK_NAME, self.snapshot.catch_up(told=told))
        except SourceUnavailable:
            return False
        return True

    def _beat(self) -> None:
        while True:
            self._schedule.pause(LEASE_S / RENEWALS)
            self.heartbeat.beat()

    def in_background(self, work: Callable[[], None]) -> None:
        self._schedule.start(self, "refresh", work)

    def notice(self) -> None:
        """Note whether it can rely on Redis and the database now."""
        if self.line.worst or self.breaker.state != "closed":
            self.redis_bad_at = self._schedule.now
        if self.reader.fault:
            self.database_bad_at = self._schedule.now

    def was_told(self, raw: bytes | None) -> None:
        """Note the clock that Redis has just told."""
        told = int(raw) if raw and raw.isdigit() else None
        self.heard = max(self.heard, -1 if told is None else told)
        call = self._calls.get(self._schedule.current)
        if call:
            call.told = max(call.told, -1 if told is None else told)
            call.told_last, call.told_at = told, self._schedule.now

    @contextmanager
    def calling(self) -> Iterator[Call]:
        """Watch one call of the engine, by the thread whose turn it is."""
        now, thread = self._schedule.now, self._schedule.current
        call = self._calls[thread] = Call(began_at=now)
        self._schedule.learn()
        try:
            yield call
        finally:
            del self._calls[thread]
            call.decided_at, call.ended_at = self._schedule.decided_at, self._schedule.now
