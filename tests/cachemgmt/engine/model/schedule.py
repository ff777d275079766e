"""Many threads of several processes on one fake time, taking turns in an order that a seed decides.

A thread is a greenlet here: it gives way wherever a real one could be held up (a command on its way to Redis,
a query, a sleep, a fill), and nowhere else. So a run is repeated exactly by its seed.
"""

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any, Protocol
from unittest.mock import patch

from greenlet import GreenletExit, getcurrent, greenlet  # type: ignore[import-untyped]

from cachemgmt.engine.filling.flight import Flight

START = 1_700_000_000.0
TICKS_S = (0.0, 0.0, 0.0005, 0.002, 0.008)
"""By how much time goes on with each step."""

FAIR_S = 0.02
"""Who could go on for so long goes first: real threads are late, but not for ever."""


class Owner(Protocol):
    """A process: its threads end with it."""

    name: str
    is_alive: bool


@dataclass(slots=True, eq=False)
class Task:
    """A thread. It goes on at `wakes_at`, or as soon as `is_over` says so. `decided_at`: when it last came
    back from where it may have learned something."""

    owner: Owner
    name: str
    number: int
    thread: Any = None
    wakes_at: float = 0.0
    is_over: Callable[[], bool] | None = None
    ready_at: float | None = None
    decided_at: float = 0.0


class Schedule:
    """Whose turn it is, and what time. Times are Unix seconds, in fact and as monotonic ones."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.now = START
        self.steps = 0
        self.tasks: list[Task] = []
        self.crashes: list[str] = []
        """What no thread should have died of."""
        self._started = 0
        self._current: Task | None = None
        self._driver = getcurrent()

    def time(self) -> float:
        """Return the Unix time."""
        return self.now

    @property
    def current(self) -> int:
        """The number of the thread whose turn it is, 0 for the driver."""
        return self._current.number if self._current else 0

    @property
    def decided_at(self) -> float:
        """When the thread whose turn it is last learned something."""
        return self._current.decided_at if self._current else self.now

    def learn(self) -> None:
        """Note that the thread whose turn it is decides anew from here on."""
        if self._current:
            self._current.decided_at = self.now

    def start(self, owner: Owner, name: str, work: Callable[[], object]) -> Task:
        """Start a thread of that process. Its turn comes later."""
        self._started += 1
        task = Task(owner, name, self._started, wakes_at=self.now, decided_at=self.now)

        def run() -> None:
            try:
                work()
            except GreenletExit:
                return
            except BaseException:  # noqa: BLE001 - told by the model with the seed and the events
                self.crashes.append(f"{owner.name} {name}: {traceback.format_exc()}")

        task.thread = greenlet(run, self._driver)
        self.tasks.append(task)
        return task

    def pause(self, seconds: float = 0.0, *, learns: bool = True) -> None:
        """Give way, for so long at least. `learns`: what it does then may rest on what it learns here."""
        self.wait_for(None, seconds, learns=learns)

    def wait_for(self, is_over: Callable[[], bool] | None, timeout_s: float, *, learns: bool = True) -> None:
        """Give way until that is so, or the time is over. A dead process's thread never comes back."""
        task = self._current
        if task is None:
            return  # the driver itself: what it does is done at once
        if not task.owner.is_alive:
            raise GreenletExit
        task.wakes_at, task.is_over = self.now + timeout_s, is_over
        self._driver.switch()
        if learns:
            task.decided_at = self.now

    def end_all(self, owner: Owner) -> None:
        """Let all threads of a process that was killed vanish, wherever they are."""
        gone = [task for task in self.tasks if task.owner is owner]
        self.tasks = [task for task in self.tasks if task.owner is not owner]
        for task in gone:
            self._current = task
            task.thread.throw(GreenletExit)
        self._current = None

    def step(self) -> None:
        """Let one thread that can go on do so, up to where it gives way; then let time go on."""
        self.steps += 1
        task = self._next()
        if task is not None:
            task.is_over = task.ready_at = None
            self._current = task
            task.thread.switch()
            self._current = None
            if task.thread.dead and task in self.tasks:
                self.tasks.remove(task)
        self.now += self.rng.choice(TICKS_S)

    def _next(self) -> Task | None:
        if not self.tasks:
            return None
        ready = self._ready()
        if not ready:
            self.now = min(task.wakes_at for task in self.tasks)
            ready = self._ready()
        longest = min(ready, key=lambda task: task.ready_at or 0.0)
        if self.now - (longest.ready_at or 0.0) > FAIR_S:
            return longest
        return self.rng.choice(ready)

    def _ready(self) -> list[Task]:
        ready = []
        for task in self.tasks:
            if task.ready_at is None and (task.wakes_at <= self.now or (task.is_over and task.is_over())):
                task.ready_at = max(task.wakes_at, 0.0) if task.wakes_at <= self.now else self.now
            if task.ready_at is not None:
                ready.append(task)
        return ready


@dataclass(slots=True, eq=False)
class TurnLock:
    """A lock between such threads."""

    schedule: Schedule
    is_held: bool = False

    def __enter__(self) -> None:
        while self.is_held:
            self.schedule.wait_for(lambda: not self.is_held, 60.0)
        self.is_held = True

    def __exit__(self, *_: object) -> None:
        self.is_held = False


@dataclass(slots=True, eq=False)
class TurnCondition:
    """A condition between such threads. Nobody gives way while he holds it."""

    schedule: Schedule

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...

    def notify_all(self) -> None:
        """Nothing: who waits is asked at each turn."""

    def wait_for(self, is_over: Callable[[], bool], timeout_s: float) -> bool:
        """Wait until that is so, or the time is over; return whether it is so."""
        if not is_over():
            self.schedule.wait_for(is_over, timeout_s)
        return is_over()


@dataclass(slots=True, eq=False)
class TurnEvent:
    """An event between such threads."""

    schedule: Schedule
    is_it: bool = False

    def is_set(self) -> bool:
        return self.is_it

    def set(self) -> None:
        self.is_it = True

    def wait(self, timeout_s: float) -> bool:
        """Wait until it is set, or the time is over; return whether it is set."""
        if not self.is_it:
            self.schedule.wait_for(self.is_set, timeout_s)
        return self.is_it


@dataclass(slots=True)
class InOrder:
    """A set that is gone through in the order of adding, so that a run can be repeated."""

    items: dict[Any, None] = field(default_factory=dict)

    def add(self, item: object) -> None:
        self.items[item] = None

    def discard(self, item: object) -> None:
        self.items.pop(item, None)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)


@contextmanager
def taking_turns(schedule: Schedule) -> Iterator[None]:
    """Let what the engine makes anew for each fill wait by turns, too."""

    def new_flight(deadline: float) -> Flight[Any]:
        return Flight(deadline, ended=TurnEvent(schedule))  # type: ignore[arg-type]

    with (
        patch("cachemgmt.engine.filling.flight.Flight", new_flight),
        patch("cachemgmt.engine.stores.breaker.get_ident", lambda: schedule.current),
    ):
        yield
