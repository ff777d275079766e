"""What is made anew in the background, while the stale one serves."""

import logging
from collections.abc import Callable
from threading import Lock, Thread

logger = logging.getLogger(__name__)

MOST_REFRESHES = 64
"""Refreshes under way at once in a process; whoever asks next asks again for those beyond."""


def in_thread(work: Callable[[], None]) -> None:
    """Do the work in a thread of its own."""
    Thread(target=work, name="tria-refresh", daemon=True).start()


class Refreshes:
    """The refreshes under way in this process, by name. Thread-safe."""

    def __init__(self, in_background: Callable[[Callable[[], None]], None] = in_thread) -> None:
        """`in_background` runs what nobody waits for."""
        self._in_background = in_background
        self._under_way: set[str] = set()
        self._lock = Lock()

    def begin(self, name: str, work: Callable[[], object]) -> None:
        """Do the work in the background, unless this process is at it already. Its errors are logged."""
        with self._lock:
            if name in self._under_way or len(self._under_way) >= MOST_REFRESHES:
                return
            self._under_way.add(name)

        def run() -> None:
            try:
                work()
            except Exception as error:  # noqa: BLE001 - there is nobody to be told, and the stale entry is still there
                logger.warning("A result could not be refreshed: %s", type(error).__name__)
            finally:
                self._end(name)

        try:
            self._in_background(run)
        except RuntimeError:  # no thread can be started
            self._end(name)
            logger.warning("A result could not be refreshed: no thread")

    def _end(self, name: str) -> None:
        with self._lock:
            self._under_way.discard(name)
