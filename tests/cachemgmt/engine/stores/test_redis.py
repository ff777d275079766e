"""The Redis store over a real server: the contract, and every way in which Redis can fail."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from redis import Redis

from cachemgmt.engine.errors import StoreBusy, StoreError, StoreRefused, StoreUnavailable
from cachemgmt.engine.stores.base import Renewal
from cachemgmt.engine.stores.redis import CHUNK, RedisStore
from deploy.parts import free_port
from tests.cachemgmt.engine.filling.busy import until
from tests.cachemgmt.engine.stores.lease_contract import LEASE, MINE, NAME, renew
from tests.cachemgmt.engine.stores.redis_contract import RedisContract
from tests.cachemgmt.engine.stores.store_contract import PATIENT, InfoContract, RemovalContract
from tests.fakes.redis_proxy import RedisProxy
from tests.fakes.redis_server import RedisServer

StartRedis = Callable[..., RedisServer]

CALLS: dict[str, Callable[[RedisStore], object]] = {
    "get": lambda store: store.get("a"),
    "get_many": lambda store: store.get_many(["a", "b"]),
    "set": lambda store: store.set("a", b"v", 60),
    "exists": lambda store: store.exists("a"),
    "delete": lambda store: store.delete(["a"]),
    "remove": lambda store: store.remove({"a": b"v"}),
    "names": lambda store: list(store.names()),
    "clear_all": lambda store: store.clear_all(),
    "scan": lambda store: store.scan(),
    "take_lease": lambda store: store.take_lease(LEASE, MINE, 5, reading=["a"]),
    "renew_leases": lambda store: renew(store, MINE, 5, or_take=True),
    "end_lease": lambda store: store.end_lease(LEASE, MINE),
    "set_leased": lambda store: store.set_leased(NAME, b"v", 60, lease=LEASE, token=MINE),
    "raise_number": lambda store: store.raise_number("clock", 1),
    "get_info": lambda store: store.get_info(),
}
each_call = pytest.mark.parametrize("call", CALLS.values(), ids=list(CALLS))


class TestRedisStore(RedisContract, RemovalContract, InfoContract):
    @pytest.fixture
    def client(self, redis_server: RedisServer, redis_client: Redis) -> Iterator[Redis]:
        client = redis_server.client(**PATIENT)
        yield client
        client.connection_pool.disconnect()

    @pytest.fixture
    def store(self, client: Redis) -> RedisStore:
        return RedisStore(lambda: client)

    def test_info_names_version_and_memory(self, store: RedisStore) -> None:
        info = store.get_info()
        assert str(info["server_version"]) >= "6.2"
        assert info["max_bytes"] is None
        assert info["evicted"] == 0

    @pytest.mark.parametrize("cursor", ["abc", "-1", "1.0", "１", "0x1", str(2**64)])
    def test_only_a_number_that_redis_could_give_is_a_cursor(self, store: RedisStore, cursor: str) -> None:
        with pytest.raises(ValueError, match="not a cursor"):
            store.scan(cursor)


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
    store.set("before", b"v", 60)
    server.freeze()
    for name, call in CALLS.items():
        started = time.monotonic()
        with pytest.raises(StoreUnavailable):
            call(store)
        assert time.monotonic() - started < 0.6, name  # connect 0.1 s, command 0.15 s, a busy machine
    assert store.health_check()["is_healthy"] is False


@pytest.fixture
def thawed(start_redis: StartRedis, connect: Connect) -> Callable[..., RedisStore]:
    """Give up on a call while the server is frozen, and let the server carry it out late."""

    def give_up_on(
        call: Callable[[RedisStore], object], *, before: Callable[[RedisStore], object]
    ) -> RedisStore:
        server = start_redis()
        store = connect(server)
        before(store)
        server.freeze()
        with pytest.raises(StoreUnavailable):
            call(store)
        server.thaw()
        return store

    return give_up_on


def test_what_was_set_before_a_freeze_is_there_after_it(thawed: Callable[..., RedisStore]) -> None:
    store = thawed(CALLS["get"], before=CALLS["set"])
    assert store.get("a") == b"v"


def test_a_lease_that_was_given_up_on_may_be_given_late(thawed: Callable[..., RedisStore]) -> None:
    """Its token tells whoever asked that it is his own."""
    store = thawed(CALLS["take_lease"], before=CALLS["get"])
    until(lambda: store.get(LEASE) == MINE)
    assert store.take_lease(LEASE, b"another's", 5, reading=[])[0] == MINE
    assert store.take_lease(LEASE, MINE, 5, reading=[])[0] == MINE
    assert store.set_leased(NAME, b"made", 60, lease=LEASE, token=MINE)


def test_a_removal_that_was_given_up_on_may_be_carried_out_late(thawed: Callable[..., RedisStore]) -> None:
    store = thawed(CALLS["delete"], before=CALLS["set"])
    until(lambda: store.get("a") is None)


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


def test_more_threads_than_connections_wait_for_their_turn(
    redis_server: RedisServer, connect: Connect, redis_client: Redis
) -> None:
    store = connect(redis_server, timeout=20, socket_timeout=20, socket_connect_timeout=20)  # busy machines
    store.set("a", b"v", 60)
    with ThreadPoolExecutor(80) as pool:
        assert list(pool.map(lambda _: store.get("a"), range(800))) == [b"v"] * 800
    assert redis_client.info("clients")["connected_clients"] <= 52


@each_call
def test_a_pool_that_stays_exhausted_is_a_busy_store(
    call: Callable[[RedisStore], object], redis_server: RedisServer
) -> None:
    client = redis_server.client(max_connections=1)
    held = client.connection_pool.get_connection()
    store = RedisStore(lambda: client)
    try:
        with pytest.raises(StoreBusy):
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


ONE_ROUND_TRIP: dict[str, Callable[[RedisStore], object]] = {
    "get": lambda store: store.get("a"),
    "get_many": lambda store: store.get_many([f"n:{number}" for number in range(20)]),
    "set": CALLS["set"],
    "remove": lambda store: store.remove({f"n:{number}": b"v" for number in range(20)}),
    "scan": CALLS["scan"],
    "take_lease": lambda store: store.take_lease(LEASE, MINE, 5, reading=["a", "b", "clock"]),
    "renew_leases": lambda store: store.renew_leases(
        [Renewal(lease=f"lease:{{{number}}}", token=MINE, ttl_s=5, or_take=True) for number in range(400)]
    ),
    "end_lease": CALLS["end_lease"],
    "set_leased": CALLS["set_leased"],
    "raise_number": CALLS["raise_number"],
    "spare": lambda store: store.spare("a"),
}


@pytest.mark.parametrize("name", ONE_ROUND_TRIP)
def test_what_a_request_needs_is_one_round_trip(redis_proxy: RedisProxy, name: str) -> None:
    client = redis_proxy.client(**PATIENT)
    store = RedisStore(lambda: client)
    store.get("a")
    redis_proxy.reset_round_trips()
    ONE_ROUND_TRIP[name](store.session())
    assert redis_proxy.round_trips == (0 if name == "spare" else 1)
    client.connection_pool.disconnect()


def test_the_names_are_read_after_the_lease_was_taken(redis_client: Redis) -> None:
    """Else whoever finds it free might miss what its last holder has just left."""
    store = RedisStore(lambda: redis_client)
    assert store.take_lease(LEASE, MINE, 5, reading=[LEASE]) == (None, [MINE])
