"""One fill per key in a process: the others who want the same result wait for it."""

from dataclasses import dataclass, field
from threading import Event, Lock
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class Flight(Generic[T]):
    """A fill under way. Its leader calls `land` or `fail` exactly once."""

    _landed: Event = field(default_factory=Event)
    result: T | None = None
    error: BaseException | None = None

    def wait(self, timeout_s: float) -> bool:
        """Wait for the leader; return whether it is done. Then `result` or `error` is set."""
        return self._landed.wait(timeout_s)


class Flights(Generic[T]):
    """The fills under way in this process, by key. Thread-safe."""

    def __init__(self) -> None:
        self._under_way: dict[str, Flight[T]] = {}
        self._lock = Lock()
        self.landed_count = 0
        """How many flights have ended. Unchanged since before a look-up: nothing can have been stored by
        this process since, so whoever becomes leader need not look again."""

    def join(self, key: str) -> tuple[Flight[T], bool]:
        """Return the key's flight, and whether the caller is its leader (and must end it)."""
        with self._lock:
            flight = self._under_way.get(key)
            if flight is not None:
                return flight, False
            flight = self._under_way[key] = Flight()
            return flight, True

    def land(self, key: str, result: T) -> None:
        """End the flight with its result."""
        flight = self._end(key)
        flight.result = result
        flight._landed.set()

    def fail(self, key: str, error: BaseException) -> None:
        """End the flight with an error, which every waiter gets."""
        flight = self._end(key)
        flight.error = error
        flight._landed.set()

    def _end(self, key: str) -> Flight[T]:
        with self._lock:
            self.landed_count += 1
            return self._under_way.pop(key)
