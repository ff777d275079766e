"""The pool behind Sentinels: what it does with connections to a master that is no more."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.sentinel import MasterNotFoundError

from cachemgmt.django_cache.sentinel_pool import SentinelPool
from cachemgmt.engine.stores.redis import POOL_EXHAUSTED
from tests.fakes.redis_server import HOST, RedisServer
from tria_site.redis_cache import BOUNDS


@dataclass
class Sentinels:
    """Name this master; none while it is None."""

    master: RedisServer | None

    def discover_master(self, name: str) -> tuple[str, int]:
        if self.master is None:
            raise MasterNotFoundError(name)
        return HOST, self.master.port


@pytest.fixture
def sentinels() -> Sentinels:
    return Sentinels(None)


@pytest.fixture
def pool(sentinels: Sentinels) -> Iterator[Any]:
    """One of two connections. Its class has no types."""
    make: Any = SentinelPool
    made = make("main", sentinels, max_connections=2, timeout=0.05, **BOUNDS)
    yield made
    made.disconnect()


def port_of(pool: Any) -> int:
    """Return the port of the server that answers a command now."""
    with Redis(connection_pool=pool) as client:
        return int(client.config_get("port")["port"])


def test_a_missing_master_takes_no_place_in_the_pool(pool: Any) -> None:
    for _ in range(5):
        with pytest.raises(MasterNotFoundError):
            pool.get_connection()


def test_a_full_pool_says_so_as_that_of_a_single_redis_does(
    pool: Any, sentinels: Sentinels, redis_server: RedisServer
) -> None:
    sentinels.master = redis_server
    taken = [pool.get_connection(), pool.get_connection()]
    with pytest.raises(RedisConnectionError, match=POOL_EXHAUSTED):
        pool.get_connection()
    for connection in taken:
        pool.release(connection)


def test_no_connection_to_a_former_master_is_used_again(
    pool: Any, sentinels: Sentinels, start_redis: Callable[..., RedisServer]
) -> None:
    former, master = start_redis(), start_redis()
    sentinels.master = former
    in_use = pool.get_connection()
    sentinels.master = master
    assert port_of(pool) == master.port
    pool.release(in_use)
    assert {port_of(pool) for _ in range(4)} == {master.port}
