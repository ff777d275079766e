"""A store in the process's own memory: the embedded default, and what serves while Redis is out."""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from itertools import islice
from threading import Lock
from typing import Self

from cachemgmt.engine.stores.base import Page, Renewal

PER_ITEM_BYTES = 300
"""What an entry costs besides its name and value: dictionary slot, tuple, string header (measured)."""


class MemoryStore:
    """A least-recently-used store bounded by bytes. A value larger than the bound is not kept."""

    kind = "memory"
    is_shared = False

    def __init__(self, *, max_bytes: int = 64 * 2**20, now: Callable[[], float] = time.time) -> None:
        self._max_bytes = max_bytes
        self._now = now
        self._items: OrderedDict[str, tuple[bytes, float]] = OrderedDict()
        self._used_bytes = 0
        self._evicted = 0
        self._lock = Lock()

    def session(self) -> Self:
        return self

    def spare(self, name: str) -> bytes | None:
        return None

    def note(self, name: str, value: bytes) -> None:
        """Nothing: it is kept here already."""

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

    def remove(self, read: Mapping[str, bytes]) -> int:
        now = self._now()
        with self._lock:
            same = [name for name, value in read.items() if self._peek(name, now) == value]
            return sum(self._remove(name) > now for name in same)

    def _peek(self, name: str, now: float) -> bytes | None:
        value, expires_at = self._items.get(name, (None, 0.0))
        return value if expires_at > now else None

    def names(self, pattern: str = "*") -> Iterator[str]:
        with self._lock:
            now = self._now()
            living = [name for name, (_, expires_at) in self._items.items() if expires_at > now]
        return (name for name in living if fnmatchcase(name, pattern))

    def clear_all(self, pattern: str = "*") -> int:
        with self._lock:
            matching = [name for name in self._items if fnmatchcase(name, pattern)]
        return self.delete(matching)  # the expired among them go, too, but are not counted

    def scan(self, cursor: str = "", pattern: str = "*", count: int = 100) -> Page:
        """The cursor is the last name of the page before: names in order, so that none comes twice."""
        if any(map(str.isspace, cursor)):
            raise ValueError(f"{cursor!r} is not a cursor")
        later = sorted(name for name in self.names(pattern) if name > cursor)
        page = tuple(islice(later, count))
        return Page(page, page[-1] if len(page) < len(later) else "")

    def take_lease(
        self, lease: str, token: bytes, ttl_s: float, *, reading: Sequence[str]
    ) -> tuple[bytes | None, list[bytes | None]]:
        now = self._now()
        with self._lock:
            holder = self._read(lease, now)
            if holder is None:
                self._write(lease, token, now + ttl_s)
            return holder, [self._read(name, now) for name in reading]

    def renew_leases(self, renewals: Sequence[Renewal]) -> list[bool]:
        now = self._now()
        with self._lock:
            return [self._renew(one, now) for one in renewals]

    def _renew(self, one: Renewal, now: float) -> bool:
        holder = self._read(one.lease, now)
        is_held = holder == one.token or (holder is None and one.or_take)
        if is_held:
            self._write(one.lease, one.token, now + one.ttl_s)
        return is_held

    def end_lease(self, lease: str, token: bytes, *, note: bytes = b"", note_ttl_s: float = 0.0) -> None:
        now = self._now()
        with self._lock:
            if self._read(lease, now) != token:
                return
            self._remove(lease)
            if note:
                self._write(lease, note, now + note_ttl_s)

    def set_leased(self, name: str, value: bytes, ttl_s: float, *, lease: str, token: bytes) -> bool:
        now = self._now()
        with self._lock:
            if self._read(lease, now) != token:
                return False
            self._remove(lease)
            self._write(name, value, now + ttl_s)
            return True

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
