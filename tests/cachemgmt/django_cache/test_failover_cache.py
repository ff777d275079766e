"""Django's contract for caches holds over memory, over Redis, and over a Redis that fails in every way."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from cachemgmt.django_cache.failover_cache import LONGEST_ALONE_S, FailoverCache, Spare
from cachemgmt.django_cache.outdated_keys import Unsettled
from cachemgmt.django_cache.value_stores import NAMESPACE, MemoryValues, RedisValues, Values
from cachemgmt.engine.stores.breaker import Breaker
from deploy.parts import free_port
from tests.cachemgmt.django_cache.contract import DjangoCacheContract, LetPass, MakeCache
from tests.cachemgmt.engine.fakes import FakeTime
from tests.fakes.redis_proxy import RedisProxy
from tests.fakes.redis_server import RedisServer

StartRedis = Callable[..., RedisServer]


@pytest.fixture
def watch() -> FakeTime:
    return FakeTime()


def process(
    shared: Values | None, watch: FakeTime, *, breaker: Breaker | None = None, **memory: Any
) -> MakeCache:
    """Return what makes the caches of one process over `shared`."""
    breaker = breaker or Breaker(now=watch)
    longest_s = LONGEST_ALONE_S if shared else None
    spare = Spare(
        memory=MemoryValues(now=watch, longest_s=longest_s, **memory),
        unsettled=Unsettled(now=watch, wait_s=LONGEST_ALONE_S),
    )
    return lambda **settings: FailoverCache("", settings, shared=shared, breaker=breaker, spare=spare)


def use_until_it_opens(make: MakeCache) -> None:
    for _ in range(3):
        make().get("k")


class TestMemoryAlone(DjangoCacheContract):
    @pytest.fixture
    def make(self, watch: FakeTime) -> MakeCache:
        return process(None, watch)

    @pytest.fixture
    def let_pass(self, watch: FakeTime) -> LetPass:
        return watch.advance

    def test_nothing_is_forgotten_before_its_time(self, make: MakeCache, let_pass: LetPass) -> None:
        make().set_many({"k": 1}, timeout=None)
        make().set_many({"a": 1}, timeout=3600)
        let_pass(3599)
        assert make().get_many(["k", "a"]) == {"k": 1, "a": 1}


class TestWhileRedisIsOut(DjangoCacheContract):
    @pytest.fixture
    def make(self, watch: FakeTime) -> Iterator[MakeCache]:
        never_started = RedisServer("", Path())
        never_started.port = free_port()
        client = never_started.client()
        breaker = Breaker(now=FakeTime())  # whose time stands still: it stays open
        make = process(RedisValues(lambda: client), watch, breaker=breaker)
        use_until_it_opens(make)
        assert breaker.state == "open"
        yield make
        assert breaker.state == "open"
        client.connection_pool.disconnect()

    @pytest.fixture
    def let_pass(self, watch: FakeTime) -> LetPass:
        return watch.advance


class OverRedis(DjangoCacheContract):
    @pytest.fixture
    def let_pass(self, redis_client: Redis) -> LetPass:
        def age(seconds: float) -> None:
            """Let the keys be so much older, instead of waiting."""
            for key in redis_client.scan_iter():
                left_ms = redis_client.pttl(key)
                if left_ms >= 0:
                    redis_client.pexpire(key, left_ms - int(seconds * 1000))

        return age


class TestRedis(OverRedis):
    @pytest.fixture
    def make(self, redis_client: Redis, watch: FakeTime) -> MakeCache:
        return process(RedisValues(lambda: redis_client), watch)

    def test_clear_leaves_what_others_keep(self, make: MakeCache, redis_client: Redis) -> None:
        others = {
            b"tria:reply:1": b"entry",
            b"foreign": b"x",
            b":1:k": b"as Django's",
            b"tria-django": b"near",
        }
        for name, value in others.items():
            redis_client.set(name, value)
        make().set_many({str(number): number for number in range(1200)})
        make().clear()
        assert {key: redis_client.get(key) for key in redis_client.scan_iter()} == others

    def test_every_key_is_in_its_namespace_and_an_integer_is_plain(
        self, make: MakeCache, redis_client: Redis
    ) -> None:
        make(KEY_PREFIX="p").set("n", 5)
        assert redis_client.get(NAMESPACE + b"p:1:n") == b"5"

    def test_a_value_expires_in_redis_itself(self, make: MakeCache, redis_client: Redis) -> None:
        def ttl_ms() -> int:
            make().set("k", 1, 5.9)
            return redis_client.pttl(NAMESPACE + b":1:k")

        make().set("on", 1, None)
        assert 5000 < max(ttl_ms() for _ in range(5)) <= 5900
        assert redis_client.pttl(NAMESPACE + b":1:on") == -1


class TestRedisThatCameBack(OverRedis):
    @pytest.fixture
    def make(self, redis_client: Redis, redis_proxy: RedisProxy, watch: FakeTime) -> Iterator[MakeCache]:
        client = redis_proxy.client()
        breaker = Breaker(now=watch)
        make = process(RedisValues(lambda: client), watch, breaker=breaker)
        make().set_many({"k": "old", "a": "old", "n": 1})
        redis_proxy.refuse()
        use_until_it_opens(make)
        make().delete_many(["k", "a", "n"])
        redis_proxy.accept()
        watch.advance(breaker.retry_in_s)
        assert make().get_many(["k", "a", "n"]) == {}
        assert breaker.state == "closed"
        yield make
        client.connection_pool.disconnect()


class RefusingRedis(DjangoCacheContract):
    @pytest.fixture
    def make(self, refusing: RedisServer, watch: FakeTime) -> Iterator[MakeCache]:
        client = refusing.client()
        breaker = Breaker(now=FakeTime())
        yield process(RedisValues(lambda: client), watch, breaker=breaker)
        assert breaker.state == "closed"
        client.connection_pool.disconnect()

    @pytest.fixture
    def let_pass(self, watch: FakeTime) -> LetPass:
        return watch.advance


@pytest.fixture(scope="module")
def read_only_redis(redis_executable: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A replica of a server that is empty."""
    primary = RedisServer(redis_executable, tmp_path_factory.mktemp("primary"))
    replica = RedisServer(redis_executable, tmp_path_factory.mktemp("replica"))
    primary.start()
    replica.start()
    replica.replicate(primary)
    yield replica
    replica.kill()
    primary.kill()


@pytest.fixture(scope="module")
def full_redis(redis_executable: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(redis_executable, tmp_path_factory.mktemp("full"))
    server.start()
    server.set_maxmemory(3_000_000, "noeviction")
    server.fill_up()
    yield server
    server.kill()


class TestReadOnlyRedis(RefusingRedis):
    @pytest.fixture
    def refusing(self, read_only_redis: RedisServer) -> RedisServer:
        return read_only_redis


class TestFullRedis(RefusingRedis):
    @pytest.fixture
    def refusing(self, full_redis: RedisServer) -> RedisServer:
        return full_redis


# The memory's own room ----------------------------------------------------------------------------------


def kept_of(count: int, watch: FakeTime, **memory: Any) -> set[int]:
    """Return which numbers are kept after so many were set, 0 being used all the while."""
    cache = process(None, watch, **memory)()
    for number in range(count):
        cache.set(str(number), number)
        cache.get("0")
    return set(cache.get_many([str(number) for number in range(count)]).values())


def test_a_full_memory_drops_what_was_used_least_lately(watch: FakeTime) -> None:
    kept = kept_of(50, watch, max_entries=30, cull_frequency=3)
    assert 20 <= len(kept) <= 30
    assert 0 in kept
    assert set(range(40, 50)) <= kept
    assert not {1, 2, 3} & kept


def test_a_full_memory_drops_all_where_told_to(watch: FakeTime) -> None:
    assert kept_of(31, watch, max_entries=30, cull_frequency=0) == {30}


def test_a_memory_smaller_than_a_share_stays_in_bounds(watch: FakeTime) -> None:
    assert len(kept_of(9, watch, max_entries=2, cull_frequency=3)) == 2


def test_replacing_a_value_drops_none(watch: FakeTime) -> None:
    cache = process(None, watch, max_entries=3)()
    for _ in range(5):
        cache.set_many({"a": 1, "b": 2, "c": 3})
    assert len(cache.get_many("abc")) == 3
