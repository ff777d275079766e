"""Django's cache for throttles and sessions: in Redis, and in this process's memory while Redis is out.

No call fails because of Redis, and none brings back what has been changed since:

- While Redis cannot be reached (by the breaker that the engine uses too), memory serves. It begins empty: a
  counter counts anew, in each process for itself; a session comes from the database.
- What memory took instead is *unsettled*: Redis holds something older. When Redis is back, those keys are
  removed from it first, and memory forgets them: a miss, never an old value. So a counter that was used
  during an outage begins anew after it; one that was not goes on.
- What Redis refuses to change (full, read-only) memory serves too, for `LONGEST_ALONE_S`; then Redis is tried
  again. So under a full Redis each process counts for itself.
- Memory serves no value for longer than that: another process may have changed it.
"""

import logging
import operator
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache
from django_redis import get_redis_connection

from cachemgmt.django_cache.outdated_keys import Unsettled
from cachemgmt.django_cache.typed_json import decode, encode
from cachemgmt.django_cache.value_stores import NAMESPACE, MemoryValues, RedisValues, Values
from cachemgmt.engine.errors import StoreError, StoreRefused, StoreUnavailable, Undecodable
from cachemgmt.engine.stores.breaker import Breaker

logger = logging.getLogger(__name__)
T = TypeVar("T")

LONGEST_ALONE_S = 60.0
"""For how long a process's memory may go its own way with a key."""


@dataclass(frozen=True, kw_only=True)
class Spare:
    """What a process keeps of one cache beside Redis."""

    memory: MemoryValues
    unsettled: Unsettled


_spares: dict[tuple[object, ...], Spare] = {}
"""By the cache's settings: Django makes a backend for every thread, and they share one memory."""


class FailoverCache(BaseCache):
    """A cache over Redis and memory, or over memory alone.

    LOCATION is the alias of the django-redis cache whose connections it uses; empty means memory alone.
    MAX_ENTRIES and CULL_FREQUENCY of OPTIONS are the memory's. Values are what `cache_json.encode` takes; it
    raises TypeError for others. In one call Redis is asked at most twice, and no more once it has failed.
    """

    def __init__(
        self,
        location: str,
        params: dict[str, Any],
        *,
        shared: Values | None = None,
        breaker: Breaker | None = None,
        spare: Spare | None = None,
    ) -> None:
        """Django gives the first two. `shared`, `breaker` and `spare` are the process's own if not given."""
        super().__init__(params)
        if shared is None and location:
            shared = RedisValues(lambda: get_redis_connection(location))
        self._shared = shared
        self._own_breaker = breaker
        spare = spare or self._spare_of_process(location)
        self._memory, self._unsettled = spare.memory, spare.unsettled

    def _spare_of_process(self, location: str) -> Spare:
        settings = (location, self._max_entries, self._cull_frequency)
        memory = MemoryValues(
            max_entries=self._max_entries,
            cull_frequency=self._cull_frequency,
            longest_s=LONGEST_ALONE_S if self._shared else None,
        )
        return _spares.setdefault(settings, Spare(memory=memory, unsettled=Unsettled(wait_s=LONGEST_ALONE_S)))

    @property
    def _breaker(self) -> Breaker:
        from cachemgmt import assembly  # not above: a cache may be made before Django's apps are ready

        return self._own_breaker or assembly.breaker()

    # Django's interface ---------------------------------------------------------------------------------

    def get(self, key: Any, default: Any | None = None, version: int | None = None) -> Any:
        (value,) = self._read([self._name(key, version)])
        return default if value is self._missing_key else value

    def get_many(self, keys: Iterable[Any], version: int | None = None) -> dict[Any, Any]:
        names = {key: self._name(key, version) for key in keys}
        found = zip(names, self._read(list(names.values())), strict=True)
        return {key: value for key, value in found if value is not self._missing_key}

    def set(
        self, key: Any, value: Any, timeout: float | None = DEFAULT_TIMEOUT, version: int | None = None
    ) -> None:
        self._write({self._name(key, version): encode(value)}, timeout)

    def set_many(
        self, data: dict[Any, Any], timeout: float | None = DEFAULT_TIMEOUT, version: int | None = None
    ) -> list[Any]:
        self._write({self._name(key, version): encode(value) for key, value in data.items()}, timeout)
        return []

    def add(
        self, key: Any, value: Any, timeout: float | None = DEFAULT_TIMEOUT, version: int | None = None
    ) -> bool:
        name, encoded, ttl_s = self._name(key, version), encode(value), self._ttl_s(timeout)
        if _is_over(ttl_s):
            return not self._run([name], lambda at: at.has(name), _never)
        return self._run([name], lambda at: at.add(name, encoded, ttl_s), bool)

    def touch(self, key: Any, timeout: float | None = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        name, ttl_s = self._name(key, version), self._ttl_s(timeout)
        if _is_over(ttl_s):
            return self._remove([name]) > 0
        return self._run([name], lambda at: at.touch(name, ttl_s), bool)

    def incr(self, key: Any, delta: int = 1, version: int | None = None) -> int:
        """Atomic in Redis. Raises ValueError if the key has no value, or not an integer of 64 bits."""
        name, by = self._name(key, version), operator.index(delta)
        total = self._run([name], lambda at: at.incr(name, by), _is_found)
        if total is None:
            raise ValueError(f"Key '{key}' not found")
        return total

    def decr(self, key: Any, delta: int = 1, version: int | None = None) -> int:
        return self.incr(key, -delta, version)

    def has_key(self, key: Any, version: int | None = None) -> bool:
        name = self._name(key, version)
        return self._run([name], lambda at: at.has(name), _never)

    def delete(self, key: Any, version: int | None = None) -> bool:
        return self._remove([self._name(key, version)]) > 0

    def delete_many(self, keys: Iterable[Any], version: int | None = None) -> None:
        self._remove([self._name(key, version) for key in keys])

    def clear(self) -> None:
        """Remove all that Django's caches keep, of every version and prefix; nothing else from Redis."""
        self._memory.clear()
        if self._shared is not None:
            with self._unsettled.settling:
                self._unsettled.add_all()
                self._settle()

    # Where it is done -----------------------------------------------------------------------------------

    def settle(self) -> bool:
        """Remove from Redis what it holds too old, if that is due and no other thread is at it. Return False
        if Redis cannot be asked now. Every call does this first; it is public for processes that make none.
        """
        unsettled = self._unsettled
        if self._shared is None or not unsettled or not unsettled.settling.acquire(blocking=False):
            return True
        try:
            return self._settle()
        finally:
            unsettled.settling.release()

    def _settle(self) -> bool:
        if self._breaker.retry_in_s:  # then there is no need to look up what is due
            return False
        due = self._unsettled.due()
        if due == []:
            return True
        try:
            self._ask(lambda at: at.clear() if due is None else at.delete_many(due))
        except StoreRefused:
            self._unsettled.postpone(due)
            return True
        except StoreError:
            return False
        # In this order: who looks in between finds nothing in memory, as he would in Redis. What he writes
        # there goes, too: no longer unsettled, it would be there in the next outage, older than Redis's.
        self._forget(due)
        self._unsettled.remove(due)
        self._forget(due)
        return True

    def _forget(self, names: Sequence[bytes] | None) -> None:
        """Remove from memory what is kept under the names, None for everything."""
        if names is None:
            self._memory.clear()
        else:
            self._memory.delete_many(names)

    def _ask(self, on: Callable[[Values], T]) -> T:
        """Return what Redis says, and tell the breaker. Raises StoreError."""
        if not self._breaker.allows():
            raise StoreUnavailable
        try:
            result = on(cast("Values", self._shared))
        except StoreUnavailable:
            self._breaker.fail()
            raise
        except (StoreRefused, ValueError):
            self._breaker.succeed()
            raise
        self._breaker.succeed()
        return result

    def _run(
        self,
        names: Sequence[bytes],
        on: Callable[[Values], T],
        is_change: Callable[[T], bool] = lambda _: True,
    ) -> T:
        """Return what Redis says, or memory in its place. `names` are all it is about; `is_change` says of
        memory's result whether something was changed."""
        if self._shared is None:
            return on(self._memory)
        wait_s = 0.0
        if self.settle() and not self._unsettled.covers(names):
            try:
                return self._ask(on)
            except StoreRefused as error:
                wait_s = LONGEST_ALONE_S
                logger.debug("Redis refused a call of Django's cache: %s", error)
            except StoreError:
                pass  # the breaker tells it
        result = on(self._memory)
        if is_change(result):
            self._unsettled.add(names, wait_s)
        return result

    def _write(self, values: dict[bytes, bytes], timeout: float | None) -> None:
        names, ttl_s = list(values), self._ttl_s(timeout)
        if _is_over(ttl_s):
            self._remove(names)
        elif names:
            self._run(names, lambda at: at.set_many(values, ttl_s))

    def _remove(self, names: Sequence[bytes]) -> int:
        return self._run(names, lambda at: at.delete_many(names)) if names else 0

    def _read(self, names: Sequence[bytes]) -> list[Any]:
        if not names:
            return []
        found = self._run(names, lambda at: at.get_many(names), _never)
        return [self._decode(name, data) for name, data in zip(names, found, strict=True)]

    def _decode(self, name: bytes, data: bytes | None) -> Any:
        if data is None:
            return self._missing_key
        try:
            return decode(data)
        except Undecodable:
            self._remove([name])  # else add() would find it, and get() not
            return self._missing_key

    def _name(self, key: Any, version: int | None) -> bytes:
        return NAMESPACE + self.make_and_validate_key(key, version).encode("utf-8", "surrogatepass")

    def _ttl_s(self, timeout: float | None) -> float | None:
        return self.default_timeout if timeout is DEFAULT_TIMEOUT else timeout


def _never(_: object) -> bool:
    return False


def _is_found(value: object) -> bool:
    return value is not None


def _is_over(ttl_s: float | None) -> bool:
    return ttl_s is not None and ttl_s <= 0
