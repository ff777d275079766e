"""Redis in front, memory behind: no error ever leaves it, and each change is told once."""

import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis import Redis

from cachemgmt.engine.errors import StoreRefused, StoreUnavailable
from cachemgmt.engine.failover import RETRY_AFTER_S, FailoverStore
from cachemgmt.engine.memory_store import MemoryStore
from cachemgmt.engine.redis_store import RedisStore
from cachemgmt.engine.store import Store
from tests.engine.fakes import WITHIN_S, FakeTime, StagedStore, Threads
from tests.engine.store_contract import InfoContract, RedisContract, StoreContract
from tests.fakes.redis_server import RedisServer, free_port

OUT, BACK = "failover", "recover"


class TestFailoverStoreWithRedis(RedisContract, InfoContract):
    @pytest.fixture
    def client(self, redis_client: Redis) -> Redis:
        return redis_client

    @pytest.fixture
    def store(self, redis_client: Redis) -> FailoverStore:
        return FailoverStore(RedisStore(lambda: redis_client), MemoryStore())


class TestFailoverStoreWithoutRedis(StoreContract, InfoContract):
    @pytest.fixture
    def store(self) -> FailoverStore:
        return FailoverStore(BrokenStore(), MemoryStore())

    def test_a_working_store_is_healthy(self, store: Store) -> None:
        """It works, and says that it is not as it should be."""
        health = store.health_check()
        assert health["is_healthy"] is False
        assert health["store"] == "memory"


@pytest.mark.parametrize("call", [FailoverStore.names, FailoverStore.clear_all, FailoverStore.get_info])
def test_an_outage_that_shows_first_while_listing_is_survived(
    call: Callable[[FailoverStore], object], caplog: pytest.LogCaptureFixture
) -> None:
    result = call(FailoverStore(BrokenStore(), MemoryStore()))
    if call is FailoverStore.names:
        assert list(result) == []  # type: ignore[call-overload]
    assert changes(caplog) == [OUT]


class BrokenStore(RedisStore):
    """A Redis that nobody listens at."""

    def __init__(self) -> None:
        def refuse() -> Redis:
            raise OSError("connection refused")

        super().__init__(refuse)


@pytest.fixture
def watch() -> FakeTime:
    return FakeTime()


@pytest.fixture
def first() -> StagedStore:
    return StagedStore()


@pytest.fixture
def memory() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def store(first: StagedStore, memory: MemoryStore, watch: FakeTime) -> FailoverStore:
    return FailoverStore(first, memory, now=watch)


def changes(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what was told of changes, in order."""
    return [record.action for record in caplog.records if record.levelno >= logging.WARNING]  # type: ignore[attr-defined]


def test_memory_serves_while_the_first_is_out(
    store: FailoverStore, first: StagedStore, memory: MemoryStore, caplog: pytest.LogCaptureFixture
) -> None:
    first.fails = {"get_many": StoreUnavailable(), "set": StoreUnavailable()}
    store.set("a", b"v", 60)
    assert store.get("a") == memory.get("a") == b"v"
    assert changes(caplog) == [OUT]


def test_the_first_is_left_alone_until_the_retry(
    store: FailoverStore, first: StagedStore, watch: FakeTime, caplog: pytest.LogCaptureFixture
) -> None:
    first.set("a", b"first's", 60)
    first.fails = {"get_many": StoreUnavailable()}
    assert store.get("a") is None
    first.fails = {}
    watch.advance(RETRY_AFTER_S * 0.99)
    assert store.get("a") is None
    watch.advance(RETRY_AFTER_S * 0.01)
    assert store.get("a") == b"first's"
    assert store.get("a") == b"first's"
    assert changes(caplog) == [OUT, BACK]


def test_a_retry_that_fails_is_not_told_again_and_waits_anew(
    store: FailoverStore, first: StagedStore, watch: FakeTime, caplog: pytest.LogCaptureFixture
) -> None:
    first.fails = {"get_many": StoreUnavailable()}
    for _ in range(5):
        store.get("a")
        watch.advance(RETRY_AFTER_S)
    first.fails = {}
    store.get("a")
    assert changes(caplog) == [OUT, BACK]


def test_one_caller_tries_while_the_others_stay_with_memory(
    store: FailoverStore, first: StagedStore, watch: FakeTime
) -> None:
    first.fails = {"get_many": StoreUnavailable()}
    store.get("a")
    first.fails = {}
    watch.advance(RETRY_AFTER_S)
    reads_of_others: list[bytes | None] = []
    first.after_read = lambda: reads_of_others.extend(store.get_many(["a", "b"]))
    reads_before = len(first.asked)
    store.get("a")  # the others read while this one is still trying
    assert reads_of_others == [None, None]
    assert len(first.asked) == reads_before + 1


def test_many_threads_learning_of_an_outage_tell_it_once(
    store: FailoverStore, first: StagedStore, caplog: pytest.LogCaptureFixture
) -> None:
    first.fails = {"get_many": StoreUnavailable()}
    with Threads() as threads:
        calls = threads.start_together(50, lambda: store.get("a"))
    assert [call.result() for call in calls] == [None] * 50
    assert changes(caplog) == [OUT]


def test_a_refusal_sends_only_that_call_to_memory(
    store: FailoverStore, first: StagedStore, memory: MemoryStore, caplog: pytest.LogCaptureFixture
) -> None:
    first.fails = {"set": StoreRefused()}
    store.set("a", b"v", 60)
    assert memory.get("a") == b"v"
    first.fails = {}
    store.set("b", b"w", 60)
    assert first.get("b") == b"w"
    assert changes(caplog) == []


def test_what_was_removed_does_not_come_back_with_an_outage(store: FailoverStore, first: StagedStore) -> None:
    first.fails = {"set": StoreRefused()}  # so that memory holds them
    store.set("a", b"v", 60)
    store.set("b", b"v", 60)
    first.fails = {}
    store.delete(["a"])
    store.clear_all("b*")
    first.fails = {"get_many": StoreUnavailable()}
    assert store.get_many(["a", "b"]) == [None, None]


def test_health_names_the_one_that_serves_and_notices_the_return(
    store: FailoverStore, first: StagedStore, caplog: pytest.LogCaptureFixture
) -> None:
    first.fails = {"get_many": StoreUnavailable()}
    store.get("a")
    first.fails = {}
    assert store.health_check() == {"store": "memory", "is_healthy": True}  # the first, which answers again
    first.set("a", b"v", 60)
    assert store.get("a") == b"v"  # without waiting for the retry
    assert changes(caplog) == [OUT, BACK]


# A real server ------------------------------------------------------------------------------------------


@pytest.fixture
def over_redis(watch: FakeTime) -> Iterator[Callable[[RedisServer], FailoverStore]]:
    """Make a failover store over a server."""
    clients: list[Redis] = []

    def make(server: RedisServer) -> FailoverStore:
        client = server.client()
        clients.append(client)
        return FailoverStore(RedisStore(lambda: client), MemoryStore(), now=watch)

    yield make
    for client in clients:
        client.connection_pool.disconnect()


OverRedis = Callable[[RedisServer], FailoverStore]
StartRedis = Callable[..., RedisServer]


def use_all(store: FailoverStore) -> None:
    """Use every method, and expect an answer of each."""
    store.set("n:1", b"v", 60)
    assert store.get("n:1") == b"v"
    assert store.get_many(["n:1", "absent"]) == [b"v", None]
    assert store.exists("n:1")
    assert "n:1" in list(store.names("n:*"))
    store.raise_number("clock", 3)
    assert store.get("clock") == b"3"
    assert store.get_info()["used_bytes"]
    assert store.delete(["n:1"]) == 1
    store.set("n:2", b"v", 60)
    assert store.clear_all("n:*") == 1
    store.health_check()


def test_redis_that_refuses_from_the_start(
    over_redis: OverRedis, caplog: pytest.LogCaptureFixture, watch: FakeTime
) -> None:
    never_started = RedisServer("", Path())
    never_started.port = free_port()
    store = over_redis(never_started)
    use_all(store)
    watch.advance(RETRY_AFTER_S)
    use_all(store)
    assert changes(caplog) == [OUT]
    assert store.get_info()["is_out"] is True


def test_redis_that_is_killed_and_comes_back(
    start_redis: StartRedis, over_redis: OverRedis, caplog: pytest.LogCaptureFixture, watch: FakeTime
) -> None:
    server = start_redis()
    store = over_redis(server)
    use_all(store)
    assert changes(caplog) == []
    server.kill()
    use_all(store)
    assert changes(caplog) == [OUT]
    server.start()
    watch.advance(RETRY_AFTER_S)
    use_all(store)
    assert changes(caplog) == [OUT, BACK]
    assert store.get_info()["store"] == "redis"


def test_redis_that_freezes_under_many_threads_and_thaws(
    start_redis: StartRedis, over_redis: OverRedis, caplog: pytest.LogCaptureFixture, watch: FakeTime
) -> None:
    server = start_redis()
    store = over_redis(server)
    store.set("a", b"v", 60)
    server.freeze()
    with Threads() as threads:
        calls = threads.start_together(40, lambda: store.get("a"))
        assert [call.result(WITHIN_S) for call in calls] == [None] * 40
    started = time.monotonic()
    use_all(store)  # served by memory; only the health check asks Redis
    assert time.monotonic() - started < 0.5
    assert changes(caplog) == [OUT]
    server.thaw()
    watch.advance(RETRY_AFTER_S)
    assert store.get("a") == b"v"
    use_all(store)
    assert changes(caplog) == [OUT, BACK]


def test_a_full_redis_never_raises(
    start_redis: StartRedis, over_redis: OverRedis, caplog: pytest.LogCaptureFixture
) -> None:
    server = start_redis(options=("--maxmemory", "3mb", "--maxmemory-policy", "noeviction"))
    store = over_redis(server)
    for number in range(60):
        store.set(f"n{number}", b"v" * 100_000, 60)
    assert store.get("n0") == b"v" * 100_000
    assert changes(caplog) == []
