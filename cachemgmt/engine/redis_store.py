"""A store in Redis, shared by all processes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import cast

from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from cachemgmt.engine.errors import StoreRefused, StoreUnavailable

PREFIX = "tria:"
"""Before every name: nothing of another application's is ever read or removed."""

CHUNK = 500

RAISE_NUMBER = """
local current = tonumber(redis.call('GET', KEYS[1]) or '-1')
if not current or tonumber(ARGV[1]) > current then redis.call('SET', KEYS[1], ARGV[1]) end
"""
POOL_EXHAUSTED = "No connection available."


@contextmanager
def as_store_errors() -> Iterator[None]:
    """Turn redis-py's errors into ours. A pool with no free connection is not an unreachable Redis."""
    try:
        yield
    except (RedisConnectionError, RedisTimeoutError, OSError) as error:
        if str(error) == POOL_EXHAUSTED:
            raise StoreRefused("all connections to Redis are in use") from error
        raise StoreUnavailable(f"Redis cannot be reached: {type(error).__name__}") from error
    except RedisError as error:
        raise StoreRefused(f"Redis refused: {type(error).__name__}") from error


class RedisStore:
    """Entries in Redis 6.2 or newer. Each call is one round trip and waits at most the client's timeouts."""

    kind = "redis"

    def __init__(self, client: Callable[[], "Redis"]) -> None:
        """`client` returns a redis-py client with short timeouts; it is called for each command, so that a
        connection is made no earlier than needed."""
        self._client = client

    def get(self, name: str) -> bytes | None:
        return self.get_many([name])[0]

    def get_many(self, names: Sequence[str]) -> list[bytes | None]:
        if not names:
            return []
        with as_store_errors():
            return cast("list[bytes | None]", self._client().mget([PREFIX + name for name in names]))

    def set(self, name: str, value: bytes, ttl_s: float) -> None:
        with as_store_errors():
            self._client().set(PREFIX + name, value, px=max(1, int(ttl_s * 1000)))

    def exists(self, name: str) -> bool:
        with as_store_errors():
            return bool(self._client().exists(PREFIX + name))

    def delete(self, names: Sequence[str]) -> int:
        if not names:
            return 0
        with as_store_errors():
            return int(self._client().unlink(*(PREFIX + name for name in names)))

    def names(self, pattern: str = "*") -> Iterator[str]:
        """By SCAN, never KEYS: other clients are not held up."""
        with as_store_errors():
            for key in self._client().scan_iter(match=PREFIX + pattern, count=CHUNK):
                yield key.decode("utf-8", "replace").removeprefix(PREFIX)

    def clear_all(self, pattern: str = "*") -> int:
        """Remove in chunks, by SCAN and UNLINK."""
        names, removed = self.names(pattern), 0
        while chunk := list(islice(names, CHUNK)):
            removed += self.delete(chunk)
        return removed

    def raise_number(self, name: str, number: int) -> None:
        with as_store_errors():
            self._client().eval(RAISE_NUMBER, 1, PREFIX + name, str(number))

    def get_info(self) -> Mapping[str, object]:
        with as_store_errors():
            info = self._client().info()
        return {
            "store": self.kind,
            "entries": sum(1 for _ in self.names("*:*")),
            "server_version": info["redis_version"],
            "used_bytes": info["used_memory"],
            "max_bytes": info.get("maxmemory") or None,
            "evicted": info["evicted_keys"],
            "clients": info["connected_clients"],
        }

    def health_check(self) -> Mapping[str, object]:
        try:
            with as_store_errors():
                self._client().ping()
        except (StoreUnavailable, StoreRefused) as error:
            return {"store": self.kind, "is_healthy": False, "detail": str(error)}
        return {"store": self.kind, "is_healthy": True}
