"""Fixtures of the cache's tests: a fresh engine and snapshot for each."""

import time
from decimal import Decimal

import pytest
from redis import Redis

from cachemgmt import assembly
from cachemgmt.api import Cache, CacheRequest, FillResult, cache_engine
from cachemgmt.engine.keys import Key
from cachemgmt.engine.reuse.freshness import Directives
from cachemgmt.engine.stores.base import Store
from cachemgmt.engine.stores.failover import FailoverStore
from cachemgmt.engine.stores.memory import MemoryStore
from cachemgmt.engine.stores.redis import RedisStore
from tests.fakes.process import fresh_process

__all__ = ["fresh_process"]


class Shelf:
    """Puts entries into this process's cache and looks them up again."""

    @property
    def engine(self) -> Cache:
        return cache_engine()

    def key(self, question: str, *, level: str = "response", collection: str = "shop") -> Key:
        return Key(level, collection, {"message": question}, "v1")

    def put(
        self,
        question: str,
        *,
        level: str = "response",
        collection: str = "shop",
        tags: tuple[str, ...] = (),
        age_s: float = 0.0,
    ) -> Key:
        """Store an answer to the question; return its key."""
        key = self.key(question, level=level, collection=collection)
        made = FillResult(
            value={"text": "yes"},
            cost_usd=Decimal("0.06"),
            question=question,
            keep_under=key,
            tags=tags,
            made_at=time.time() - age_s,
        )
        _, is_kept = self.engine.keep(key, made, CacheRequest(Directives()))
        assert is_kept
        return key

    def has(self, key: Key) -> bool:
        """Whether the entry would be reused."""
        return bool(self.engine.lookup([key], CacheRequest(Directives())))

    def holds(self, key: Key) -> bool:
        """Whether the entry takes up room, reused or not."""
        return self.engine.store.exists(key.name)


@pytest.fixture
def shelf() -> Shelf:
    """A shelf over this process's cache."""
    return Shelf()


def serve_from(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process's cache be over that store."""
    monkeypatch.setattr(assembly, "_configured_store", lambda: store)
    cache_engine.cache_clear()


@pytest.fixture
def over_redis(redis_client: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process's cache is over a real Redis, as it is where one is configured."""
    redis = RedisStore(lambda: redis_client)
    serve_from(FailoverStore(redis, MemoryStore(), assembly.breaker()), monkeypatch)


@pytest.fixture(params=["memory", "redis"])
def either_store(request: pytest.FixtureRequest) -> str:
    """The test is run twice: over the process's memory, and over Redis."""
    if request.param == "redis":
        request.getfixturevalue("over_redis")
    return str(request.param)
