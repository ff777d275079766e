"""A store in Redis, shared by all processes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha1
from itertools import islice
from typing import Any, Self, cast

from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from cachemgmt.engine.errors import StoreBusy, StoreError, StoreRefused, StoreUnavailable
from cachemgmt.engine.stores.base import Page, Renewal

PREFIX = "tria:"
"""Before every name: nothing of another application's is ever read or removed."""

CHUNK = 500
MOST_CURSORS = 2**64
LONGEST_LEASE_S = 60.0
"""What stands under a lease's name for longer, or without end, is no lease: all would wait for it in vain."""

# What another program put under a name of ours gives way, of whatever type: else it would never go.
RAISE_NUMBER = """
local kept = redis.pcall('GET', KEYS[1])
if type(kept) == 'string' and kept:match('^%d+$') and tonumber(kept) >= tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[1], ARGV[1])
return 1
"""
# The lease's scripts. Each is one step for Redis, and touches the names of one key alone, all in one slot.
TAKE_LEASE = """
local holder = redis.pcall('GET', KEYS[1])
local left_ms = redis.call('PTTL', KEYS[1])
if type(holder) == 'string' and left_ms >= 0 and left_ms <= tonumber(ARGV[3]) then return holder end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return false
"""
RENEW_LEASE = """
local holder = redis.pcall('GET', KEYS[1])
if holder == ARGV[1] or (not holder and ARGV[3] == '1') then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  return 1
end
return 0
"""
END_LEASE = """
if redis.pcall('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[2] == '' then redis.call('DEL', KEYS[1]) else redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end
return 1
"""
SET_LEASED = """
if redis.pcall('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
redis.call('DEL', KEYS[1])
return 1
"""
REMOVE_SAME = """
local value = redis.pcall('GET', KEYS[1])
if type(value) == 'string' and redis.sha1hex(value) == ARGV[1] then return redis.call('UNLINK', KEYS[1]) end
return 0
"""
POOL_EXHAUSTED = "No connection available."


@contextmanager
def as_store_errors() -> Iterator[None]:
    """Turn redis-py's errors into ours. A pool with no free connection is not an unreachable Redis."""
    try:
        yield
    except (RedisConnectionError, RedisTimeoutError, OSError) as error:
        if str(error) == POOL_EXHAUSTED:
            raise StoreBusy from error
        raise StoreUnavailable(f"Redis cannot be reached: {type(error).__name__}") from error
    except RedisError as error:
        raise StoreRefused(f"Redis refused: {type(error).__name__}") from error


class RedisStore:
    """Entries in Redis 6.2 or newer. Each call is one round trip and waits at most the client's timeouts."""

    kind = "redis"
    is_shared = True

    def __init__(self, client: Callable[[], "Redis"]) -> None:
        """`client` returns a redis-py client with short timeouts; it is called for each command, so that a
        connection is made no earlier than needed."""
        self._client = client

    def session(self) -> Self:
        return self

    def spare(self, name: str) -> bytes | None:
        return None

    def note(self, name: str, value: bytes) -> None:
        """Nothing: no copy is kept here."""

    def get(self, name: str) -> bytes | None:
        return self.get_many([name])[0]

    def get_many(self, names: Sequence[str]) -> list[bytes | None]:
        if not names:
            return []
        with as_store_errors():
            return cast("list[bytes | None]", self._answer("MGET", *(PREFIX + name for name in names)))

    def _answer(self, *command: str) -> object:
        """Return what Redis says, straight from a connection: the client's own way, with what it does to try
        again and to be observed, costs a third more. A connection that fails is closed by itself."""
        pool = self._client().connection_pool
        connection: Any = pool.get_connection()
        try:
            connection.send_command(*command)
            return connection.read_response()
        finally:
            pool.release(connection)

    def set(self, name: str, value: bytes, ttl_s: float) -> None:
        with as_store_errors():
            self._client().set(PREFIX + name, value, px=as_ms(ttl_s))

    def exists(self, name: str) -> bool:
        with as_store_errors():
            return bool(self._client().exists(PREFIX + name))

    def delete(self, names: Sequence[str]) -> int:
        if not names:
            return 0
        with as_store_errors():
            return int(self._client().unlink(*(PREFIX + name for name in names)))

    def remove(self, read: Mapping[str, bytes]) -> int:
        """Told by its hash, so that nothing large travels back."""
        if not read:
            return 0
        with as_store_errors():
            together = self._client().pipeline(transaction=False)
            for name, value in read.items():
                told = sha1(value, usedforsecurity=False).hexdigest()
                together.eval(REMOVE_SAME, 1, PREFIX + name, told)
            return sum(together.execute())

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

    def scan(self, cursor: str = "", pattern: str = "*", count: int = 100) -> Page:
        """One SCAN step: `count` is what Redis looks through, so fewer names may fit."""
        at = cursor or "0"
        if not (at.isascii() and at.isdigit() and int(at) < MOST_CURSORS):
            raise ValueError(f"{cursor!r} is not a cursor")
        with as_store_errors():
            found: Any = self._client().scan(int(at), match=PREFIX + pattern, count=count)
        left_off, keys = found
        names = tuple(key.decode("utf-8", "replace").removeprefix(PREFIX) for key in keys)
        return Page(names, str(left_off) if left_off else "")

    def take_lease(
        self, lease: str, token: bytes, ttl_s: float, *, reading: Sequence[str]
    ) -> tuple[bytes | None, list[bytes | None]]:
        with as_store_errors():
            together = self._client().pipeline(transaction=False)
            # In this order: who finds the lease free also sees what its last holder has left.
            longest_ms = as_ms(max(ttl_s, LONGEST_LEASE_S))
            together.eval(TAKE_LEASE, 1, PREFIX + lease, token, as_ms(ttl_s), longest_ms)
            together.mget([PREFIX + name for name in reading])
            holder, found = together.execute()
        return holder, found

    def renew_leases(self, renewals: Sequence[Renewal]) -> list[bool]:
        if not renewals:
            return []
        with as_store_errors():
            together = self._client().pipeline(transaction=False)
            for one in renewals:
                name, ttl_ms = PREFIX + one.lease, as_ms(one.ttl_s)
                together.eval(RENEW_LEASE, 1, name, one.token, ttl_ms, int(one.or_take))
            return [bool(is_held) for is_held in together.execute()]

    def end_lease(self, lease: str, token: bytes, *, note: bytes = b"", note_ttl_s: float = 0.0) -> None:
        with as_store_errors():
            self._client().eval(END_LEASE, 1, PREFIX + lease, token, note, as_ms(note_ttl_s))

    def set_leased(self, name: str, value: bytes, ttl_s: float, *, lease: str, token: bytes) -> bool:
        names = (PREFIX + lease, PREFIX + name)
        with as_store_errors():
            return bool(self._client().eval(SET_LEASED, 2, *names, token, value, as_ms(ttl_s)))

    def raise_number(self, name: str, number: int) -> None:
        with as_store_errors():
            self._client().eval(RAISE_NUMBER, 1, PREFIX + name, str(number))

    def get_info(self) -> Mapping[str, object]:
        with as_store_errors():
            info = self._client().info()
        return {
            "store": self.kind,
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
        except StoreError as error:
            return {"store": self.kind, "is_healthy": False, "detail": str(error)}
        return {"store": self.kind, "is_healthy": True}


def as_ms(ttl_s: float) -> int:
    """Return the seconds as Redis wants them; it refuses 0."""
    return max(1, int(ttl_s * 1000))
