"""One fill per key in a process: the others who want the same result wait for it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event, Lock
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class Flight(Generic[T]):
    """A fill under way. Whoever leads it ends it once, by `Flights.land` or `.fail`.

    `deadline`: from then on (monotonic seconds) another may take over.
    """

    deadline: float
    ended: Event = field(default_factory=Event)
    result: T | None = None
    error: Exception | None = None

    def own_error(self) -> Exception | None:
        """Return the leader's error, if there is one, as one of the caller's own: one that is raised in many
        threads at once would mix their tracebacks."""
        error = self.error
        if error is None:
            return None
        try:
            own = type(error).__new__(type(error), *error.args)  # its `__init__` may want other arguments
        except TypeError:
            return error
        own.__dict__.update(error.__dict__)
        own.__cause__ = error
        return own


class Flights(Generic[T]):
    """The fills under way in this process, by key. Thread-safe."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._under_way: dict[str, Flight[T]] = {}
        self._lock = Lock()

    def join(self, key: str, deadline: float) -> tuple[Flight[T], bool]:
        """Return the key's flight, and whether the caller is its leader (and must end it).

        A flight past its own deadline is left to itself: the caller leads a new one, up to `deadline`.
        """
        with self._lock:
            flight = self._under_way.get(key)
            if flight is not None and flight.deadline > self._monotonic():
                return flight, False
            flight = self._under_way[key] = Flight(deadline)
            return flight, True

    def wait(self, flight: Flight[T]) -> bool:
        """Wait until the flight has ended, or its deadline is over; return whether it has ended."""
        while (left_s := flight.deadline - self._monotonic()) > 0:
            if flight.ended.wait(left_s):
                return True
        return flight.ended.is_set()

    def land(self, key: str, flight: Flight[T], result: T) -> None:
        """End the flight with its result."""
        flight.result = result
        self._end(key, flight)

    def fail(self, key: str, flight: Flight[T], error: Exception) -> None:
        """End the flight with an error, of which every waiter gets one like it."""
        flight.error = error
        self._end(key, flight)

    def _end(self, key: str, flight: Flight[T]) -> None:
        with self._lock:
            if self._under_way.get(key) is flight:  # else another took over
                del self._under_way[key]
        flight.ended.set()
