"""Where the values of Django's cache are kept: in Redis, or in this process's memory."""

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from threading import Lock
from typing import Protocol, cast

from redis import Redis
from redis.exceptions import ResponseError

from cachemgmt.engine.stores.redis import as_ms, as_store_errors

NAMESPACE = b"tria-django:"
"""Begins every key: other applications' keys, and the engine's ("tria:"), are never read or removed."""

CHUNK = 500
LARGEST = 2**63 - 1
"""Redis counts in 64 bits, and memory no further."""

# The sum is read as text: a number of Lua's is exact to 53 bits only.
INCR = """
if redis.call('EXISTS', KEYS[1]) == 0 then return nil end
redis.call('INCRBY', KEYS[1], ARGV[1])
return redis.call('GET', KEYS[1])
"""
NOT_AN_INTEGER = "not an integer of 64 bits"


class Values(Protocol):
    """Encoded values by key. `ttl_s` is more than 0; None means that a value does not expire."""

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return each key's value, in order."""

    def has(self, key: bytes) -> bool:
        """Whether the key has a value."""

    def set_many(self, values: Mapping[bytes, bytes], ttl_s: float | None) -> None:
        """Keep the values, in the place of earlier ones."""

    def add(self, key: bytes, value: bytes, ttl_s: float | None) -> bool:
        """Keep the value if the key has none, and return whether it was kept."""

    def incr(self, key: bytes, delta: int) -> int | None:
        """Add to an integer in one step, and return the sum; None if the key has no value. Raises ValueError
        if its value or the sum is not an integer of 64 bits."""

    def touch(self, key: bytes, ttl_s: float | None) -> bool:
        """Let the value live so long from now on, and return whether there is one."""

    def delete_many(self, keys: Sequence[bytes]) -> int:
        """Remove the keys' values, and return how many there were."""

    def clear(self) -> None:
        """Remove every value."""


class RedisValues:
    """Values in Redis 6.2 or newer. Each method but `clear` is one round trip; all raise StoreError."""

    def __init__(self, client: Callable[[], "Redis"]) -> None:
        """`client` returns a redis-py client with short timeouts and no retries; it is called each time."""
        self._client = client

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        with as_store_errors():
            return cast("list[bytes | None]", self._client().mget(keys))

    def has(self, key: bytes) -> bool:
        with as_store_errors():
            return bool(self._client().exists(key))

    def set_many(self, values: Mapping[bytes, bytes], ttl_s: float | None) -> None:
        with as_store_errors():
            together = self._client().pipeline(transaction=False)  # MSET takes no times
            for key, value in values.items():
                together.set(key, value, px=None if ttl_s is None else as_ms(ttl_s))
            together.execute()

    def add(self, key: bytes, value: bytes, ttl_s: float | None) -> bool:
        with as_store_errors():
            px = None if ttl_s is None else as_ms(ttl_s)
            return bool(self._client().set(key, value, nx=True, px=px))

    def incr(self, key: bytes, delta: int) -> int | None:
        with as_store_errors():
            try:
                total = cast("bytes | None", self._client().eval(INCR, 1, key, str(delta)))
            except ResponseError as error:
                if "not an integer" in str(error) or "would overflow" in str(error):
                    raise ValueError(NOT_AN_INTEGER) from error
                raise
            return None if total is None else int(total)

    def touch(self, key: bytes, ttl_s: float | None) -> bool:
        with as_store_errors():
            if ttl_s is not None:
                return bool(self._client().pexpire(key, as_ms(ttl_s)))
            together = self._client().pipeline(transaction=False)
            together.exists(key)  # PERSIST says no also of a value that does not expire
            together.persist(key)
            return bool(together.execute()[0])

    def delete_many(self, keys: Sequence[bytes]) -> int:
        with as_store_errors():
            return int(self._client().unlink(*keys))

    def clear(self) -> None:
        """By SCAN and UNLINK, in chunks: never FLUSHDB, never KEYS."""
        with as_store_errors():
            client = self._client()
            keys = client.scan_iter(match=NAMESPACE + b"*", count=CHUNK)
            while chunk := list(islice(keys, CHUNK)):
                client.unlink(*chunk)


class MemoryValues:
    """Values in this process's memory, for all its threads. When full, those least lately used go first."""

    def __init__(
        self,
        *,
        max_entries: int = 300,
        cull_frequency: int = 3,
        longest_s: float | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """When `max_entries` are kept, one in `cull_frequency` goes, with 0 all. None lives longer than
        `longest_s`."""
        self._max_entries = max_entries
        self._cull_frequency = cull_frequency
        self._longest_s = longest_s
        self._now = now
        self._kept: OrderedDict[bytes, tuple[bytes, float | None]] = OrderedDict()
        """Value and end by key, the most lately used last."""
        self._lock = Lock()

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        with self._lock:
            return [self._get(key) for key in keys]

    def has(self, key: bytes) -> bool:
        with self._lock:
            return self._get(key) is not None

    def set_many(self, values: Mapping[bytes, bytes], ttl_s: float | None) -> None:
        with self._lock:
            for key, value in values.items():
                self._set(key, value, ttl_s)

    def add(self, key: bytes, value: bytes, ttl_s: float | None) -> bool:
        with self._lock:
            if self._get(key) is not None:
                return False
            self._set(key, value, ttl_s)
            return True

    def incr(self, key: bytes, delta: int) -> int | None:
        with self._lock:
            value = self._get(key)
            if value is None:
                return None
            try:
                total = int(value) + delta
            except ValueError:
                raise ValueError(NOT_AN_INTEGER) from None
            if not -LARGEST <= total <= LARGEST:
                raise ValueError(NOT_AN_INTEGER)
            self._kept[key] = (b"%d" % total, self._kept[key][1])
            return total

    def touch(self, key: bytes, ttl_s: float | None) -> bool:
        with self._lock:
            value = self._get(key)
            if value is None:
                return False
            self._kept[key] = (value, self._end(ttl_s))
            return True

    def delete_many(self, keys: Sequence[bytes]) -> int:
        with self._lock:
            alive = sum(self._get(key) is not None for key in keys)
            for key in keys:
                self._kept.pop(key, None)
            return alive

    def clear(self) -> None:
        with self._lock:
            self._kept.clear()

    def _get(self, key: bytes) -> bytes | None:
        value, end = self._kept.get(key, (None, None))
        if value is None:
            return None
        if end is not None and end <= self._now():
            del self._kept[key]
            return None
        self._kept.move_to_end(key)
        return value

    def _set(self, key: bytes, value: bytes, ttl_s: float | None) -> None:
        if key not in self._kept and len(self._kept) >= self._max_entries:
            self._cull()
        self._kept[key] = (value, self._end(ttl_s))
        self._kept.move_to_end(key)

    def _end(self, ttl_s: float | None) -> float | None:
        limits_s = [limit_s for limit_s in (ttl_s, self._longest_s) if limit_s is not None]
        return self._now() + min(limits_s) if limits_s else None

    def _cull(self) -> None:
        if not self._cull_frequency:
            self._kept.clear()
            return
        for _ in range(max(1, len(self._kept) // self._cull_frequency)):
            self._kept.popitem(last=False)
