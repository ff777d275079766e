"""A bulkhead as the tests like it, and calls that keep its slots busy."""

import os
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from cachemgmt.engine.filling.bulkhead import Bulkhead
from tests.cachemgmt.engine.fakes import WITHIN_S, Threads

IDLE = {"calling": 0, "queued": 0, "admitted": 0, "warming": 0, "giving_way": 0}


def make_bulkhead(**bounds: Any) -> Bulkhead:
    return Bulkhead(
        **{"slots": 8, "most_admitted": 40, "warming_slots": 2, "queue_s": WITHIN_S, **bounds},
    )


def taken(bulkhead: Bulkhead) -> dict[str, int]:
    return {name: count for name, count in bulkhead.facts().items() if name in IDLE}


def until(is_so: Callable[[], bool]) -> None:
    """Wait for other threads to bring about what only they can tell."""
    give_up = time.monotonic() + WITHIN_S
    while not is_so():
        assert time.monotonic() < give_up, "it never came to that"
        os.sched_yield()


def until_taken(bulkhead: Bulkhead, **counts: int) -> None:
    until(lambda: counts.items() <= taken(bulkhead).items())


class Busy:
    """Calls that hold slots in threads of their own, each until it is let go."""

    def __init__(self, bulkhead: Bulkhead, threads: Threads) -> None:
        self._bulkhead = bulkhead
        self._threads = threads
        self._letting_go: list[threading.Event] = []

    def start(self, count: int) -> None:
        for _ in range(count):
            has_slot, let_go = threading.Event(), threading.Event()
            self._threads.start(partial(self._hold, has_slot, let_go))
            assert has_slot.wait(WITHIN_S)
            self._letting_go.append(let_go)

    def _hold(self, has_slot: threading.Event, let_go: threading.Event) -> None:
        with self._bulkhead.slot():
            has_slot.set()
            assert let_go.wait(WITHIN_S)

    def let_go(self) -> None:
        self._letting_go.pop().set()

    def __enter__(self) -> "Busy":
        return self

    def __exit__(self, *_: object) -> None:
        while self._letting_go:
            self.let_go()
