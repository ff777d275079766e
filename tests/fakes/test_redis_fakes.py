"""The fakes around Redis do what the tests that use them take for granted."""

import threading
import time
from collections.abc import Callable

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError, ReadOnlyError
from redis.exceptions import TimeoutError as RedisTimeoutError

from tests.fakes.redis_proxy import RedisProxy
from tests.fakes.redis_server import RedisServer

MEGABYTE = 1024 * 1024


def seconds(call: Callable[[], object]) -> float:
    started_at = time.monotonic()
    call()
    return time.monotonic() - started_at


@pytest.mark.parametrize("value_bytes", [10, 20_000, 200_000])
@pytest.mark.parametrize("transaction", [False, True])
def test_a_pipeline_is_one_round_trip_however_many_packets_it_takes(
    redis_client: Redis, redis_proxy: RedisProxy, value_bytes: int, transaction: bool
) -> None:
    client = redis_proxy.client(socket_timeout=5)
    for number in range(2):
        pipeline = client.pipeline(transaction=transaction)
        for name in range(20):
            pipeline.set(f"name:{name}", b"x" * value_bytes)
            pipeline.get(f"name:{name}")
        pipeline.execute()
        assert redis_proxy.round_trips == number + 1


def test_each_command_is_a_round_trip(redis_client: Redis, redis_proxy: RedisProxy) -> None:
    client = redis_proxy.client()
    for _ in range(5):
        client.get("name")
    assert redis_proxy.round_trips == 5
    redis_proxy.reset_round_trips()
    client.get("name")
    assert redis_proxy.round_trips == 1


@pytest.mark.parametrize(("password", "extra"), [(None, 0), ("secret", 1)])
def test_a_new_connection_costs_a_round_trip_for_its_password_alone(
    start_redis: Callable[..., RedisServer], password: str | None, extra: int
) -> None:
    with RedisProxy(start_redis(password=password)) as proxy:
        proxy.client().get("name")
        assert proxy.round_trips == 1 + extra


def test_each_request_is_delayed_once(redis_client: Redis, redis_proxy: RedisProxy) -> None:
    client = redis_proxy.client(socket_timeout=5)
    client.set("name", b"x" * MEGABYTE)
    redis_proxy.delay_s = 0.14
    pipeline = client.pipeline(transaction=False)
    for _ in range(10):
        pipeline.get("name")
    assert 0.14 <= seconds(pipeline.execute) < 10 * 0.14
    assert seconds(client.ping) >= 0.14
    assert redis_proxy.round_trips == 3


def test_a_client_may_give_up_on_a_delayed_reply(redis_client: Redis, redis_proxy: RedisProxy) -> None:
    client = redis_proxy.client()
    redis_proxy.delay_s = 60.0
    with pytest.raises(RedisTimeoutError):
        client.get("name")
    redis_proxy.delay_s = 0.0
    assert client.ping()


def test_connections_are_refused_and_then_accepted_at_the_same_address(
    redis_client: Redis, redis_proxy: RedisProxy
) -> None:
    client = redis_proxy.client()
    client.ping()
    for _ in range(3):
        redis_proxy.refuse()
        with pytest.raises(RedisConnectionError, match="refused"):
            client.ping()
        redis_proxy.accept()
        assert client.ping()


def test_a_dropped_connection_is_made_anew(redis_client: Redis, redis_proxy: RedisProxy) -> None:
    client = redis_proxy.client()
    client.ping()
    redis_proxy.drop()
    assert client.ping()


def test_a_swallowed_reply_is_of_a_command_that_was_carried_out(
    redis_client: Redis, redis_proxy: RedisProxy
) -> None:
    client = redis_proxy.client()
    redis_proxy.swallow()
    with pytest.raises(RedisTimeoutError):
        client.set("name", b"kept")
    redis_proxy.accept()
    assert client.get("name") == b"kept"


def test_a_server_that_is_gone_drops_the_proxys_clients(start_redis: Callable[..., RedisServer]) -> None:
    server = start_redis()
    with RedisProxy(server) as proxy:
        client = proxy.client()
        client.ping()
        server.kill()
        with pytest.raises(RedisConnectionError):
            client.ping()
        server.start()
        assert client.ping()


def test_the_proxys_threads_end_with_it(redis_server: RedisServer) -> None:
    before = set(threading.enumerate())
    with RedisProxy(redis_server) as proxy:
        clients = [proxy.client() for _ in range(10)]
        for client in clients:
            client.ping()
        proxy.delay_s = 60.0
        with pytest.raises(RedisTimeoutError):
            clients[0].ping()
        assert set(threading.enumerate()) > before
    assert set(threading.enumerate()) == before


def test_a_replica_is_read_only_and_lacks_what_came_after_its_promotion(
    start_redis: Callable[..., RedisServer],
) -> None:
    primary, replica = start_redis(password="secret"), start_redis(password="secret")
    with RedisProxy(primary) as proxy:
        client = proxy.client()
        client.set("name", b"old")
        replica.replicate(primary)
        with pytest.raises(ReadOnlyError):
            replica.client().set("name", b"other")
        replica.promote()
        client.set("name", b"new")
        proxy.fail_over(replica)
        assert client.get("name") == b"old"
        client.set("name", b"newest")
        assert replica.client().get("name") == b"newest"


def test_an_old_file_is_loaded_when_asked_alone(start_redis: Callable[..., RedisServer]) -> None:
    server = start_redis()
    client = server.client()
    client.set("name", b"old")
    server.save_rdb()
    client.set("name", b"new")
    server.restart_from_rdb()
    assert client.get("name") == b"old"
    server.kill()
    server.start()
    assert client.get("name") is None
    server.restart_from_rdb()
    assert client.get("name") == b"old"


def test_a_full_server_refuses_writes_until_it_has_room(start_redis: Callable[..., RedisServer]) -> None:
    server = start_redis()
    client = server.client()
    client.set("name", b"value")
    server.set_maxmemory(4 * MEGABYTE, "noeviction")
    server.fill_up()
    with pytest.raises(OutOfMemoryError):
        client.set("other", b"value")
    assert client.get("name") == b"value"
    server.make_room()
    assert client.set("other", b"value")


def test_a_server_that_evicts_forgets_and_never_gets_full(start_redis: Callable[..., RedisServer]) -> None:
    server = start_redis()
    client = server.client()
    client.set("name", b"value")
    server.set_maxmemory(1, "allkeys-lru")  # less than it needs for itself: nothing may stay
    server.set_maxmemory(4 * MEGABYTE, "allkeys-lru")
    assert client.get("name") is None
    assert client.set("name", b"value")
    with pytest.raises(AssertionError, match="never gets full"):
        server.fill_up()


def test_commands_are_counted_by_name(start_redis: Callable[..., RedisServer]) -> None:
    server = start_redis(password="secret")
    client = server.client()
    client.ping()
    with server.counted() as counts:
        client.mget(["one", "two"])
        client.eval("return redis.call('GET', KEYS[1])", 1, "one")
        client.info()
    assert counts == {"mget": 1, "eval": 1, "get": 1, "info": 1}
    assert not counts["keys"]
