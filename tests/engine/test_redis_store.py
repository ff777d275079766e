"""The Redis store over a real server: the contract, and every way in which Redis can fail."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from redis import Redis

from cachemgmt.engine.errors import StoreError, StoreRefused, StoreUnavailable
from cachemgmt.engine.redis_store import CHUNK, RedisStore
from tests.engine.store_contract import InfoContract, RedisContract
from tests.fakes.redis_server import RedisServer, free_port

StartRedis = Callable[..., RedisServer]

CALLS: dict[str, Callable[[RedisStore], object]] = {
    "get": lambda store: store.get("a"),
    "get_many": lambda store: store.get_many(["a", "b"]),
    "set": lambda store: store.set("a", b"v", 60),
    "exists": lambda store: store.exists("a"),
    "delete": lambda store: store.delete(["a"]),
    "names": lambda store: list(store.names()),
    "clear_all": lambda store: store.clear_all(),
    "raise_number": lambda store: store.raise_number("clock", 1),
    "get_info": lambda store: store.get_info(),
}
each_call = pytest.mark.parametrize("call", CALLS.values(), ids=list(CALLS))


class TestRedisStore(RedisContract, InfoContract):
    @pytest.fixture
    def client(self, redis_client: Redis) -> Redis:
        return redis_client

    @pytest.fixture
    def store(self, redis_client: Redis) -> RedisStore:
        return RedisStore(lambda: redis_client)

    def test_info_names_version_and_memory(self, store: RedisStore) -> None:
        info = store.get_info()
        assert str(info["server_version"]) >= "6.2"
        assert info["max_bytes"] is None
        assert info["evicted"] == 0


@pytest.fixture
def connect() -> Iterator[Callable[[RedisServer], RedisStore]]:
    """Return a store over a server of the test's own."""
    clients: list[Redis] = []

    def over(server: RedisServer, **options: object) -> RedisStore:
        client = server.client(**options)
        clients.append(client)
        return RedisStore(lambda: client)

    yield over
    for client in clients:
        client.connection_pool.disconnect()


Connect = Callable[..., RedisStore]


@each_call
def test_a_refused_connection_is_an_unavailable_store(
    call: Callable[[RedisStore], object], connect: Connect
) -> None:
    never_started = RedisServer("", Path())
    never_started.port = free_port()
    with pytest.raises(StoreUnavailable):
        call(connect(never_started))


def test_a_killed_server_is_an_unavailable_store(start_redis: StartRedis, connect: Connect) -> None:
    server = start_redis()
    store = connect(server)
    store.set("a", b"v", 60)
    server.kill()
    for call in CALLS.values():
        with pytest.raises(StoreUnavailable):
            call(store)
    assert store.health_check()["is_healthy"] is False
    server.start()
    assert store.get("a") is None
    assert store.health_check()["is_healthy"] is True


def test_a_frozen_server_costs_no_more_than_the_timeouts(start_redis: StartRedis, connect: Connect) -> None:
    server = start_redis()
    store = connect(server)
    store.set("a", b"v", 60)
    server.freeze()
    for name, call in CALLS.items():
        started = time.monotonic()
        with pytest.raises(StoreUnavailable):
            call(store)
        assert time.monotonic() - started < 0.6, name  # connect 0.1 s, command 0.15 s, a busy machine
    assert store.health_check()["is_healthy"] is False
    server.thaw()
    assert store.get("a") == b"v"


def test_a_late_reply_is_not_taken_for_the_next_one(start_redis: StartRedis, connect: Connect) -> None:
    server = start_redis()
    store = connect(server, max_connections=1)
    store.set("a", b"mine", 60)
    store.set("b", b"another's", 60)
    server.freeze()
    with pytest.raises(StoreUnavailable):
        store.get("b")
    server.thaw()
    assert store.get("a") == b"mine"


@pytest.mark.parametrize("password", [None, "wrong"])
def test_a_wrong_password_is_an_unavailable_store(
    start_redis: StartRedis, connect: Connect, password: str | None
) -> None:
    server = start_redis(password="right")
    server.password = password
    store = connect(server)
    for call in CALLS.values():
        with pytest.raises(StoreUnavailable):
            call(store)
    health = store.health_check()
    assert health["is_healthy"] is False
    assert "right" not in str(health)
    assert "wrong" not in str(health)


def test_the_right_password_opens(start_redis: StartRedis, connect: Connect) -> None:
    store = connect(start_redis(password="right"))
    store.set("a", b"v", 60)
    assert store.get("a") == b"v"


def fill_up(store: RedisStore) -> None:
    for number in range(100):
        store.set(f"n{number}", b"v" * 100_000, 60)


def test_a_full_server_refuses_writes_and_still_reads(start_redis: StartRedis, connect: Connect) -> None:
    store = connect(start_redis(options=("--maxmemory", "3mb", "--maxmemory-policy", "noeviction")))
    store.set("a", b"v", 60)
    with pytest.raises(StoreRefused):
        fill_up(store)
    assert store.get("a") == b"v"
    assert store.get_info()["max_bytes"] == 3 * 2**20
    assert store.clear_all() > 1


def test_a_read_only_server_refuses_writes(start_redis: StartRedis, connect: Connect) -> None:
    store = connect(start_redis(options=("--replicaof", "127.0.0.1", str(free_port()))))
    with pytest.raises(StoreRefused):
        store.set("a", b"v", 60)


def test_another_type_under_our_name_is_refused_or_absent(redis_client: Redis) -> None:
    redis_client.lpush("tria:clock", "x")
    store = RedisStore(lambda: redis_client)
    assert store.get("clock") is None
    with pytest.raises(StoreRefused):
        store.raise_number("clock", 1)


def test_more_threads_than_connections_wait_for_their_turn(
    redis_server: RedisServer, connect: Connect, redis_client: Redis
) -> None:
    store = connect(redis_server, timeout=20, socket_timeout=20, socket_connect_timeout=20)  # busy machines
    store.set("a", b"v", 60)
    with ThreadPoolExecutor(80) as pool:
        assert list(pool.map(lambda _: store.get("a"), range(800))) == [b"v"] * 800
    assert redis_client.info("clients")["connected_clients"] <= 52


@each_call
def test_a_pool_that_stays_exhausted_refuses(
    call: Callable[[RedisStore], object], redis_server: RedisServer
) -> None:
    client = redis_server.client(max_connections=1)
    held = client.connection_pool.get_connection()
    store = RedisStore(lambda: client)
    try:
        with pytest.raises(StoreRefused):
            call(store)
    finally:
        client.connection_pool.release(held)
        client.connection_pool.disconnect()


def test_a_client_that_cannot_be_made_is_a_store_error() -> None:
    def broken() -> Redis:
        raise OSError("no such socket")

    with pytest.raises(StoreError):
        RedisStore(broken).get("a")


def test_clearing_works_through_a_large_database(redis_client: Redis) -> None:
    with redis_client.pipeline(transaction=False) as pipeline:
        for number in range(3000):
            pipeline.set(f"other:{number}", b"v")
            if number < 2 * CHUNK:
                pipeline.set(f"tria:n:{number}", b"v")
        pipeline.execute()
    assert RedisStore(lambda: redis_client).clear_all("n:*") == 2 * CHUNK
    assert redis_client.dbsize() == 3000
