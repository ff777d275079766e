"""Remembers of which keys Redis holds something older than this process does."""

import time
from collections.abc import Callable, Sequence
from threading import Lock

MOST = 5_000
"""Keys remembered one by one. When there are more, all are unsettled."""


class Unsettled:
    """Keys that were changed in this process's memory while Redis did not take the change. For all threads.

    Until Redis is told, which is until it has dropped them, memory alone knows what they are.
    """

    def __init__(self, *, wait_s: float, now: Callable[[], float] = time.monotonic) -> None:
        """After a refusal, the next attempt to tell Redis is due in `wait_s`."""
        self._wait_s = wait_s
        self._now = now
        self._due: dict[bytes, float] = {}
        """When Redis is to be told, by key."""
        self._all_due: float | None = None
        """The same for every key, if it is every key."""
        self._lock = Lock()
        self.settling = Lock()
        """Held by the thread that tells Redis."""

    def __bool__(self) -> bool:
        return bool(self._due) or self._all_due is not None

    def covers(self, keys: Sequence[bytes]) -> bool:
        """Whether one of the keys is unsettled."""
        return self._all_due is not None or any(key in self._due for key in keys)

    def add(self, keys: Sequence[bytes], wait_s: float) -> None:
        """Note the keys, of which Redis is to be told in so many seconds. Those noted before stay due as they
        are."""
        due = self._now() + wait_s
        with self._lock:
            if self._all_due is not None:
                return
            if len(self._due) + len(keys) > MOST:
                self._all_due, self._due = due, {}
                return
            for key in keys:
                self._due.setdefault(key, due)

    def add_all(self) -> None:
        """Note every key, to be told now."""
        with self._lock:
            self._all_due, self._due = self._now(), {}

    def due(self) -> list[bytes] | None:
        """Return the keys that are to be told now, None for every key."""
        now = self._now()
        with self._lock:
            if self._all_due is not None:
                return None if self._all_due <= now else []
            return [key for key, due in self._due.items() if due <= now]

    def postpone(self, keys: list[bytes] | None) -> None:
        """Let them wait longer: Redis refuses."""
        due = self._now() + self._wait_s
        with self._lock:
            if keys is None:
                self._all_due = due
            for key in keys or ():
                self._due[key] = due

    def remove(self, keys: list[bytes] | None) -> None:
        """Forget them: Redis has been told."""
        with self._lock:
            if keys is None:
                self._all_due = None
            for key in keys or ():
                self._due.pop(key, None)
