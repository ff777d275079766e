"""What goes wrong with Redis, and a process's whole cache in front of it, as in production."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import count, islice
from typing import Any

from redis import Redis

from cachemgmt.engine.errors import SourceUnavailable
from cachemgmt.engine.filling.cache import Cache, as_clock
from cachemgmt.engine.filling.filling import Filler
from cachemgmt.engine.filling.results import CacheRequest, FillOutcome, FillResult
from cachemgmt.engine.keys import Key
from cachemgmt.engine.reuse.knowledge import CLOCK_NAME, Flush, Flushes, Knowledge
from cachemgmt.engine.reuse.watched_knowledge import WatchedKnowledge
from cachemgmt.engine.stores.breaker import Breaker
from cachemgmt.engine.stores.failover import FailoverStore
from cachemgmt.engine.stores.memory import MemoryStore
from cachemgmt.engine.stores.redis import RedisStore
from tests.cachemgmt.engine.fakes import FakeTime, make_key, make_made
from tests.cachemgmt.engine.stores.redis_contract import put_theirs
from tests.fakes.redis_proxy import RedisProxy
from tests.fakes.redis_server import RedisServer, client_of

HOLDS_S = 0.3
"""The longest that the cache may hold a request (99th percentile)."""

TRIES = 4
"""A busy machine holds requests up, too: the bound must be met once. What is held by design never does."""

SAMPLES = 240
AT_ONCE = 12

HOT = [f"hot {number}" for number in range(30)]
ROOM_BYTES = 4 * 2**20


class Decisions:
    """The database of all processes: what was decided. May be out."""

    def __init__(self) -> None:
        self.truth = Knowledge(clock=5)
        self.is_out = False
        self._flushes: list[Flush] = []

    def clock(self) -> tuple[int, str]:
        return self.knowledge().clock, ""

    def knowledge(self) -> Knowledge:
        if self.is_out:
            raise SourceUnavailable
        return self.truth

    def outrun(self, told: int) -> None:
        raise AssertionError(f"{told} was never another history's")

    def flush(self, message: str) -> int:
        """Flush what was made for the message; return the clock."""
        clock = self.truth.clock + 1
        tag = f"entry:{make_key(message).entry_id}"
        self._flushes.append(Flush(clock=clock, kind="tag", match=tag))
        self.truth = replace(self.truth, clock=clock, flushes=Flushes(self._flushes))
        return clock


class Process:
    """One process's cache, in real time but for what is given. `options` go to the client's pool."""

    def __init__(
        self,
        url: str,
        decisions: Decisions,
        *,
        breaker_time: Callable[[], float] = time.monotonic,
        store_time: Callable[[], float] = time.monotonic,
        **options: Any,
    ) -> None:
        self.client = client_of(url, **{"timeout": 0.05, **options})  # as in the settings, and the rest
        self.asked = 0
        """How often Redis was asked for something."""

        self.fills: Counter[str] = Counter()
        self.snapshot_time = FakeTime()
        self.snapshot = WatchedKnowledge(decisions, monotonic=self.snapshot_time)
        self.breaker = Breaker(now=breaker_time)
        redis = RedisStore(self._redis)
        self.store = FailoverStore(redis, MemoryStore(), self.breaker, monotonic=store_time)
        self.cache = Cache(store=self.store, source=self.snapshot)
        self.filler = Filler(self.cache)
        self.learn()

    def _redis(self) -> Redis:
        self.asked += 1
        return self.client

    def learn(self) -> None:
        """Do what the watching thread of a server does four times a second."""
        told = as_clock(self.store.get(CLOCK_NAME))
        self.store.raise_number(CLOCK_NAME, self.snapshot.catch_up(told=told or 0))

    def ask(self, message: str) -> FillOutcome:
        """Answer as a request does. The fill takes no time."""
        key = make_key(message)
        return self.filler.get_or_fill([key], lambda: self._fill(message, key), CacheRequest())

    def _fill(self, message: str, key: Key) -> FillResult:
        self.fills[message] += 1
        return make_made(key, f"made for {message}")

    def timed_ask(self, message: str) -> tuple[str, float]:
        """Answer as a request does; return what came of it, and how long it took in seconds."""
        started = time.monotonic()
        outcome = self.ask(message)
        took_s = time.monotonic() - started
        assert outcome.value == f"made for {message}"
        return outcome.status, took_s

    def has(self, message: str) -> bool:
        """Whether a look-up finds something for the message."""
        return bool(self.cache.lookup([make_key(message)], CacheRequest()))


def summed_up(results: Sequence[tuple[str, float]]) -> tuple[set[str], float]:
    """Return what came of all, and the 99th percentile of how long they took in seconds."""
    longest_first = sorted((took_s for _, took_s in results), reverse=True)
    return {status for status, _ in results}, longest_first[len(results) // 100]


def ask_all(process: Process, messages: Sequence[str]) -> tuple[set[str], float]:
    """Ask for all, some at once; return as `summed_up`."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return summed_up(list(pool.map(process.timed_ask, messages)))


@dataclass(slots=True)
class Scene:
    """A server of this test's own, what stands between it and the processes, and their database."""

    start_redis: Callable[..., RedisServer]
    server: RedisServer
    proxy: RedisProxy | None = None
    decisions: Decisions = field(default_factory=Decisions)
    processes: list[Process] = field(default_factory=list)

    def process(self, **options: Any) -> Process:
        url = (self.proxy or self.server).url
        process = Process(url, self.decisions, **options)
        self.processes.append(process)
        return process

    @contextmanager
    def operator(self) -> Iterator[Redis]:
        """A patient client, past the proxy."""
        client = self.server.client(socket_timeout=10)
        try:
            yield client
        finally:
            client.connection_pool.disconnect()

    def close(self) -> None:
        for process in self.processes:
            process.client.connection_pool.disconnect()
        if self.proxy:
            self.proxy.stop()


Do = Callable[[Scene], object]


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """Something that goes wrong with Redis. `is_outage`: it opens the breaker; `is_at_the_edge`: it may.
    `refuses`: it keeps nothing. `loses`: what was stored before is not there afterwards."""

    name: str
    strike: Do
    heal: Do = lambda _: None
    password: str | None = None
    is_outage: bool = False
    refuses: bool = False
    loses: bool = False
    is_at_the_edge: bool = False
    needs_proxy: bool = False

    def __str__(self) -> str:
        return self.name


def delayed(delay_s: float) -> Do:
    def delay(scene: Scene) -> None:
        assert scene.proxy
        scene.proxy.delay_s = delay_s

    return delay


def fill_up(scene: Scene) -> None:
    scene.server.set_maxmemory(ROOM_BYTES, "noeviction")
    scene.server.fill_up()


def make_room(scene: Scene) -> None:
    scene.server.set_maxmemory(0, "noeviction")
    scene.server.make_room()


def evict_the_clock(scene: Scene) -> None:
    """Write so much that Redis throws our clock away, and whatever else."""
    scene.server.set_maxmemory(ROOM_BYTES, "allkeys-lru")
    numbers = count()
    with scene.operator() as redis:
        while redis.exists("tria:clock"):
            together = redis.pipeline(transaction=False)
            for number in islice(numbers, 50):
                together.set(f"foreign:{number}", b"x" * 16_000)
            together.execute()


def become_replica(scene: Scene) -> None:
    scene.server.replicate(scene.start_redis())


def change_password(scene: Scene) -> None:
    with scene.operator() as redis:
        redis.config_set("requirepass", "changed")
        redis.client_kill_filter(_type="normal", skipme=True)


def change_password_back(scene: Scene) -> None:
    right, scene.server.password = scene.server.password, "changed"
    with scene.operator() as redis:
        redis.config_set("requirepass", right or "")
    scene.server.password = right


def flush_all(scene: Scene) -> None:
    with scene.operator() as redis:
        redis.flushall()


def put_another_programs_values(kind: str) -> Do:
    """Put its values under the names of the clock, and of every answer and its lease."""

    def put(scene: Scene) -> None:
        with scene.operator() as redis:
            keys = [make_key(message) for message in HOT]
            names = [CLOCK_NAME, *(name for key in keys for name in (key.name, key.lease_name))]
            together = redis.pipeline(transaction=False)
            together.delete(*(f"tria:{name}" for name in names))
            for name in names:
                put_theirs(together, f"tria:{name}", kind)
            together.execute()

    return put


FAULTS = [
    Fault(
        name="refused",
        strike=lambda scene: scene.server.kill(),
        heal=lambda scene: scene.server.start(),
        is_outage=True,
        loses=True,
    ),
    Fault(
        name="frozen",
        strike=lambda scene: scene.server.freeze(),
        heal=lambda scene: scene.server.thaw(),
        password="right",  # so that a new connection waits for its answer, too
        is_outage=True,
    ),
    Fault(name="slow-80ms", strike=delayed(0.08), heal=delayed(0), needs_proxy=True),
    # So close to the time-out that it is often met, and the breaker opens then.
    Fault(name="slow-140ms", strike=delayed(0.14), heal=delayed(0), needs_proxy=True, is_at_the_edge=True),
    Fault(name="slow-500ms", strike=delayed(0.5), heal=delayed(0), needs_proxy=True, is_outage=True),
    Fault(name="full", strike=fill_up, heal=make_room, refuses=True),
    Fault(name="clock-evicted", strike=evict_the_clock, heal=make_room, loses=True),
    Fault(
        name="read-only-replica",
        strike=become_replica,
        heal=lambda scene: scene.server.promote(),
        refuses=True,
        loses=True,
    ),
    Fault(
        name="wrong-password",
        strike=change_password,
        heal=change_password_back,
        password="right",
        is_outage=True,
    ),
    Fault(name="flushall", strike=flush_all, loses=True),
    Fault(name="old-rdb", strike=lambda scene: scene.server.restart_from_rdb(), loses=True),
    *(
        Fault(name=f"foreign-{kind.replace(' ', '-')}", strike=put_another_programs_values(kind), loses=True)
        for kind in ("text", "text for a day", "list", "hash")
    ),
]
