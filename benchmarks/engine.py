"""What the cache engine costs, beside the least that could do it, in one run.

    python benchmarks/engine.py [--entries 100000] [--rounds 7] [--quick] [--json]

Needs `redis-server` on the PATH. Times are medians over rounds that go through all targets in turn: ratios
count, not times.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.fakes.redis_proxy import RedisProxy  # noqa: E402
from tests.fakes.redis_server import RedisServer, find_redis_server  # noqa: E402

if TYPE_CHECKING:
    from cachemgmt.engine.keys import Key

VALUE = {"text": "x" * 400, "sources": [{"document": "refunds", "passage": "y" * 1500}], "intent": "refund"}
CALLS = 400


@dataclass(frozen=True, kw_only=True)
class Row:
    """One finding: what was measured, beside what, and what it should be."""

    what: str
    value: float
    unit: str
    beside: str
    aim: str


def set_up(url: str, folder: str) -> None:
    """Make this process one of the product, over that Redis and a database of its own."""
    os.environ.update(
        DJANGO_SETTINGS_MODULE="tria_site.settings",
        TRIA_DATA_DIR=folder,
        DATABASE_URL=f"sqlite:///{folder}/benchmark.sqlite3",
        REDIS_URL=url,
        LOG_LEVEL="ERROR",
    )
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)


def key_of(number: int) -> "Key":
    from cachemgmt.engine.keys import Key

    return Key("response", "shop", {"message": f"question {number}"}, "v1")


def keep(number: int) -> None:
    """Store an answer through the process's cache."""
    from cachemgmt.api import CacheRequest, FillResult, cache_engine

    key = key_of(number)
    made = FillResult(value=VALUE, cost_usd=Decimal("0.06"), question=f"question {number}", keep_under=key)
    cache_engine().keep(key, made, CacheRequest())


def median_us(calls: dict[str, Callable[[], object]], rounds: int, n_calls: int) -> dict[str, float]:
    """Return each call's median time in microseconds, measured in turn."""
    took: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            started = time.perf_counter()
            for _ in range(n_calls):
                call()
            took[name].append((time.perf_counter() - started) / n_calls * 1e6)
    return {name: statistics.median(times) for name, times in took.items()}


def hits(rounds: int, n_calls: int) -> list[Row]:
    """Measure a hit over Redis beside a raw GET, and over memory beside a dict under a lock."""
    from django_redis import get_redis_connection

    from cachemgmt.api import Cache, CacheRequest, cache_engine
    from cachemgmt.decisions.database import snapshot
    from cachemgmt.engine.stores.memory import MemoryStore
    from cachemgmt.engine.stores.redis import PREFIX

    key = key_of(0)
    keep(0)
    redis, engine = get_redis_connection("tria"), cache_engine()
    body: Any = redis.get(PREFIX + key.name)
    memory = MemoryStore()
    memory.set(key.name, body, 3600)
    embedded = Cache(store=memory, source=snapshot())
    plain, lock = {key.name: body}, threading.Lock()

    def locked() -> bytes:
        with lock:
            return bytes(plain[key.name])

    assert engine.lookup([key], CacheRequest())
    assert embedded.lookup([key], CacheRequest())
    took = median_us(
        {
            "get": lambda: redis.get(PREFIX + key.name),
            "hit": lambda: engine.lookup([key], CacheRequest()),
            "dict": locked,
            "memory": lambda: memory.get(key.name),
            "memory hit": lambda: embedded.lookup([key], CacheRequest()),
        },
        rounds,
        n_calls,
    )
    return [
        Row(
            what="a hit over Redis",
            value=took["hit"] / took["get"],
            unit="times",
            beside=f"a raw GET of the same {len(body)} bytes ({took['get']:.0f} us)",
            aim="at most 2",
        ),
        Row(
            what="the memory store's get",
            value=took["memory"] / took["dict"],
            unit="times",
            beside=f"a dict under a lock ({took['dict']:.2f} us)",
            aim="",
        ),
        Row(
            what="a hit over memory",
            value=took["memory hit"],
            unit="us",
            beside="",
            aim="",
        ),
    ]


def round_trips(server: RedisServer) -> list[Row]:
    """Count the round trips of a hit and of a miss."""
    from cachemgmt.api import Cache, CacheRequest, Filler, FillResult
    from cachemgmt.decisions.database import snapshot
    from cachemgmt.engine.stores.breaker import Breaker
    from cachemgmt.engine.stores.failover import FailoverStore
    from cachemgmt.engine.stores.memory import MemoryStore
    from cachemgmt.engine.stores.redis import RedisStore

    with RedisProxy(server) as proxy:
        client = proxy.client()
        client.ping()
        store = FailoverStore(RedisStore(lambda: client), MemoryStore(), Breaker())
        filler = Filler(Cache(store=store, source=snapshot()))
        key = key_of(-1)
        made = FillResult(value=VALUE, cost_usd=None, question="question -1", keep_under=key)
        counts = []
        for _ in range(2):
            proxy.reset_round_trips()
            filler.get_or_fill([key], lambda: made, CacheRequest())
            counts.append(proxy.round_trips)
        client.close()
    miss, hit = counts
    return [
        Row(what="round trips of a miss", value=miss, unit="", beside="", aim="at most 6"),
        Row(what="round trips of a hit", value=hit, unit="", beside="", aim="1"),
    ]


@contextmanager
def reading(into: list[float]) -> Iterator[None]:
    """Read hot answers in another thread, and note how long each took, in seconds."""
    from cachemgmt.api import CacheRequest, cache_engine

    stop = threading.Event()

    def read() -> None:
        key = key_of(0)
        while not stop.wait(0.001):
            started = time.perf_counter()
            cache_engine().lookup([key], CacheRequest())
            into.append(time.perf_counter() - started)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield
    finally:
        stop.set()
        reader.join()


def p99_ms(took_s: list[float]) -> float:
    return sorted(took_s)[int(len(took_s) * 0.99)] * 1000


def flushes(n_entries: int, rounds: int, alone_s: float) -> list[Row]:
    """Measure a flush, and what a reader notices of it and of the removal behind it."""
    from cachemgmt.flushing.flush import Target, flush
    from cachemgmt.flushing.removal import remove_dead

    for number in range(1, n_entries):
        keep(number)
    flush(Target(kind="tag", match="doc:none"), actor="benchmark")  # what is only done once is done
    remove_dead(rest=0)
    flush_ms: list[float] = []
    alone: list[float] = []
    meanwhile: list[float] = []
    for number in range(rounds):
        keep(0)
        started = time.perf_counter()
        flush(Target(kind="tag", match=f"intent:{number}"), actor="benchmark")
        flush_ms.append((time.perf_counter() - started) * 1000)
        remove_dead(rest=0)
        with reading(alone):
            time.sleep(alone_s)
        with reading(meanwhile):
            # The last one concerns all but what is read.
            match = f"doc:{number}" if number < rounds - 1 else "collection:shop"
            flush(Target(kind="tag", match=match), actor="benchmark")
            keep(0)
            remove_dead()
    return [
        Row(
            what=f"a flush with {n_entries:,} entries",
            value=statistics.median(flush_ms),
            unit="ms",
            beside="",
            aim="under 5",
        ),
        Row(
            what="a reader's p99 during flush and removal",
            value=p99_ms(meanwhile) / p99_ms(alone),
            unit="times",
            beside=f"alone ({p99_ms(alone):.2f} ms)",
            aim="at most 2",
        ),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="only show that it runs")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    executable = find_redis_server()
    if executable is None:
        sys.exit("redis-server is not on the PATH (Debian: apt-get install redis-server)")
    entries, rounds, alone_s = (200, 2, 0.2) if options.quick else (options.entries, options.rounds, 3.0)
    with tempfile.TemporaryDirectory() as folder:
        server = RedisServer(executable, Path(folder))
        server.start()
        try:
            set_up(server.url, folder)
            rows = [*hits(rounds, CALLS), *round_trips(server), *flushes(entries, rounds, alone_s)]
        finally:
            server.stop()
    if options.json:
        print(json.dumps([vars(row) for row in rows]))
        return
    print(f"{'what':42} {'value':>10} {'':6} {'aim':10} beside")
    for row in rows:
        print(f"{row.what:42} {row.value:>10.2f} {row.unit:6} {row.aim:10} {row.beside}")


if __name__ == "__main__":
    main()
