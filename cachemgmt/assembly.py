"""Puts a process's cache together from the settings, once."""

from functools import cache
from typing import cast

from django.conf import settings

from cachemgmt.engine.cache import Cache
from cachemgmt.engine.failover import FailoverStore
from cachemgmt.engine.memory_store import MemoryStore
from cachemgmt.engine.redis_store import RedisStore
from cachemgmt.engine.store import Store
from cachemgmt.snapshot import snapshot


@cache
def cache_engine() -> Cache:
    """Return this process's cache: Redis with memory behind it where Redis is configured, else memory."""
    return Cache(store=_configured_store(), source=snapshot(), is_enabled=settings.CACHE_ENABLED)


def _configured_store() -> Store:
    memory = MemoryStore()
    if not settings.REDIS_URL:
        return memory
    from django_redis import get_redis_connection
    from redis import Redis

    redis = RedisStore(lambda: cast("Redis", get_redis_connection("tria")))
    return FailoverStore(redis, memory)
