"""The Django cache whose connections to Redis everything uses."""

from collections.abc import Sequence
from typing import Any

BOUNDS: dict[str, Any] = {
    "socket_connect_timeout": 0.1,
    "socket_timeout": 0.15,
    "retry": None,
    # Nothing but AUTH is said when a connection is made: each question costs a time-out.
    "protocol": 2,
    "driver_info": None,
}


POOL: dict[str, Any] = {"max_connections": 50, "timeout": 0.05, **BOUNDS}


def redis_cache(url: str) -> dict[str, Any]:
    """Return the entry of CACHES for the Redis at that address, with short waits and no retries."""
    return {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": [url],
        "OPTIONS": {
            "SERIALIZER": "django_redis.serializers.json.JSONSerializer",
            "CONNECTION_POOL_CLASS": "redis.connection.BlockingConnectionPool",
            "CONNECTION_POOL_KWARGS": POOL,
        },
    }


def sentinel_cache(
    url: str, sentinels: Sequence[tuple[str, int]], *, master: str, password: str | None
) -> dict[str, Any]:
    """Return the same for the master that these Sentinels know by that name.

    `password` is the Sentinels' own; Redis's is in the URL. The URL's host does not count: django-redis makes
    its letters small, and a name's are not.
    """
    cache = redis_cache(url)
    cache["OPTIONS"] |= {
        "CLIENT_CLASS": "django_redis.client.SentinelClient",
        "CONNECTION_FACTORY": "django_redis.pool.SentinelConnectionFactory",
        "CONNECTION_POOL_CLASS": "cachemgmt.django_cache.sentinel_pool.SentinelPool",
        "CONNECTION_POOL_KWARGS": {**POOL, "service_name": master},
        "SENTINELS": list(sentinels),
        "SENTINEL_KWARGS": {**BOUNDS, "password": password},
    }
    return cache
