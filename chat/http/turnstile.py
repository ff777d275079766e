"""Lets a few look-ups compute at once, in the order they came; the others wait their turn asleep.

Python runs one thread at a time. Where many threads want to run, they wake each other in vain, and a thread
that comes back from Redis queues behind all the others: 16 connections got fewer stored answers a second than
one, and some waited a hundred milliseconds (`benchmarks/hit_path.py`). A thread that sleeps on a lock of its
own costs nothing.
"""

from collections import deque
from threading import Lock
from types import TracebackType

AT_ONCE = 4
"""How many may look up at once: one computes while others wait for Redis's reply."""


class Turnstile:
    """At most `at_once` threads inside, first come, first served. A context manager, thread-safe.

    Nothing inside may wait for longer than the store's time-outs, and a thread inside must not enter again.
    """

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._free = at_once
        self._waiting: deque[Lock] = deque()
        self._lock = Lock()

    def __enter__(self) -> None:
        with self._lock:
            if self._free:
                self._free -= 1
                return
            turn = Lock()
            turn.acquire()
            self._waiting.append(turn)
        turn.acquire()  # until somebody leaves, who lets this thread in

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._free += 1
