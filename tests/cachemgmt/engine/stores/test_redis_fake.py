"""The Redis store over fakeredis: the contract without a server."""

from collections.abc import Iterator

import fakeredis
import pytest
from redis import Redis

from cachemgmt.engine.stores.redis import RedisStore
from tests.cachemgmt.engine.stores.redis_contract import RedisContract


class TestRedisStoreOverFakeredis(RedisContract):
    @pytest.fixture
    def client(self) -> Iterator[Redis]:
        client = fakeredis.FakeRedis(server=fakeredis.FakeServer())
        yield client
        client.connection_pool.disconnect()

    @pytest.fixture
    def store(self, client: Redis) -> RedisStore:
        return RedisStore(lambda: client)
