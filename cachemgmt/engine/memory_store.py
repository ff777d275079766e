"""A store in the process's own memory: the embedded default, and what serves while Redis is out."""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from threading import Lock

PER_ITEM_BYTES = 300
"""What an entry costs besides its name and value: dictionary slot, tuple, string header (measured)."""


class MemoryStore:
    """A least-recently-used store bounded by bytes. A value larger than the bound is not kept."""

    kind = "memory"

    def __init__(self, *, max_bytes: int = 64 * 2**20, now: Callable[[], float] = time.time) -> None:
        self._max_bytes = max_bytes
        self._now = now
        self._items: OrderedDict[str, tuple[bytes, float]] = OrderedDict()
        self._used_bytes = 0
        self._evicted = 0
        self._lock = Lock()

    def get(self, name: str) -> bytes | None:
        return self.get_many([name])[0]

    def get_many(self, names: Sequence[str]) -> list[bytes | None]:
        now = self._now()
        with self._lock:
            return [self._read(name, now) for name in names]

    def _read(self, name: str, now: float) -> bytes | None:
        item = self._items.get(name)
        if item is None:
            return None
        if item[1] <= now:
            self._remove(name)
            return None
        self._items.move_to_end(name)
        return item[0]

    def _remove(self, name: str) -> float:
        """Remove the item; return when it would have expired, 0 where there is none."""
        value, expires_at = self._items.pop(name, (None, 0.0))
        if value is not None:
            self._used_bytes -= _size(name, value)
        return expires_at

    def set(self, name: str, value: bytes, ttl_s: float) -> None:
        with self._lock:
            self._write(name, value, self._now() + ttl_s)

    def _write(self, name: str, value: bytes, expires_at: float) -> None:
        self._remove(name)
        if _size(name, value) > self._max_bytes:
            return
        self._items[name] = (value, expires_at)
        self._used_bytes += _size(name, value)
        while self._used_bytes > self._max_bytes:
            self._remove(next(iter(self._items)))
            self._evicted += 1

    def exists(self, name: str) -> bool:
        with self._lock:
            item = self._items.get(name)
            return item is not None and item[1] > self._now()

    def delete(self, names: Sequence[str]) -> int:
        with self._lock:
            now = self._now()
            return sum(self._remove(name) > now for name in names)

    def names(self, pattern: str = "*") -> Iterator[str]:
        with self._lock:
            now = self._now()
            living = [name for name, (_, expires_at) in self._items.items() if expires_at > now]
        return (name for name in living if fnmatchcase(name, pattern))

    def clear_all(self, pattern: str = "*") -> int:
        with self._lock:
            matching = [name for name in self._items if fnmatchcase(name, pattern)]
        return self.delete(matching)  # the expired among them go, too, but are not counted

    def raise_number(self, name: str, number: int) -> None:
        with self._lock:
            kept = self._read(name, self._now())
            if kept is None or not kept.isdigit() or int(kept) < number:
                self._write(name, str(number).encode(), float("inf"))

    def get_info(self) -> Mapping[str, object]:
        with self._lock:
            return {
                "store": self.kind,
                "entries": len(self._items),
                "used_bytes": self._used_bytes,
                "max_bytes": self._max_bytes,
                "evicted": self._evicted,
            }

    def health_check(self) -> Mapping[str, object]:
        return {"store": self.kind, "is_healthy": True}


def _size(name: str, value: bytes) -> int:
    return len(name) + len(value) + PER_ITEM_BYTES
