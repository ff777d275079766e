"""The failover store and its session pass the contract of all stores, with Redis and without it."""

from collections.abc import Iterator

import pytest
from redis import Redis

from cachemgmt.engine.stores.base import Store
from cachemgmt.engine.stores.breaker import Breaker
from cachemgmt.engine.stores.failover import FailoverStore
from cachemgmt.engine.stores.memory import MemoryStore
from cachemgmt.engine.stores.redis import RedisStore
from tests.cachemgmt.engine.fakes import FakeTime
from tests.cachemgmt.engine.stores.redis_contract import RedisContract
from tests.cachemgmt.engine.stores.store_contract import PATIENT, InfoContract, RemovalContract, StoreContract
from tests.fakes.redis_server import RedisServer


class TestFailoverStoreOverRedis(RedisContract, RemovalContract, InfoContract):
    has_spare = True

    @pytest.fixture
    def client(self, redis_server: RedisServer, redis_client: Redis) -> Iterator[Redis]:
        client = redis_server.client(**PATIENT)
        yield client
        client.connection_pool.disconnect()

    @pytest.fixture
    def store(self, client: Redis) -> Store:
        return FailoverStore(RedisStore(lambda: client), MemoryStore(), Breaker())


class TestSessionOverRedis(TestFailoverStoreOverRedis):
    """As one request sees it. Its bound on slow stores is not met here."""

    @pytest.fixture
    def store(self, client: Redis) -> Store:
        whole = FailoverStore(RedisStore(lambda: client), MemoryStore(), Breaker(), monotonic=FakeTime())
        return whole.session()


def over_nothing() -> FailoverStore:
    """Return a store over a Redis that refuses every connection."""

    def refuse() -> Redis:
        raise OSError("connection refused")

    return FailoverStore(RedisStore(refuse), MemoryStore(), Breaker())


class TestFailoverStoreWithoutRedis(StoreContract, RemovalContract, InfoContract):
    is_shared = True
    has_spare = True
    is_exact = True

    @pytest.fixture
    def store(self) -> Store:
        return over_nothing()

    def test_a_working_store_is_healthy(self, store: Store) -> None:
        """It works, and says that it is not as it should be."""
        health = store.health_check()
        assert health["is_healthy"] is False
        assert health["store"] == "memory"
        assert health["instead_of"] == "redis"

    def test_who_has_no_lease_keeps_nothing(self, store: Store) -> None:
        """He may have it in Redis: what was computed is not lost."""
        assert store.set_leased("a", b"made", 60, lease="lease", token=b"mine")
        assert store.get("a") == b"made"

    def test_a_number_is_not_kept(self, store: Store) -> None:
        """Nobody else could raise it in this process's memory."""
        store.raise_number("clock", 4)
        assert store.get("clock") is None


class TestSessionWithoutRedis(TestFailoverStoreWithoutRedis):
    @pytest.fixture
    def store(self) -> Store:
        return over_nothing().session()
