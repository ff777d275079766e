"""Customers first: warming waits while anybody is being answered."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition

PATIENCE_S = 30.0
"""After so long warming goes on all the same: under steady load it would otherwise never end."""


class Precedence:
    """Knows how many customers' answers are being made in this process. Thread-safe."""

    def __init__(self) -> None:
        self._customers = 0
        self._changed = Condition()

    @contextmanager
    def customer(self) -> Iterator[None]:
        """Count one customer's answer as being made while inside."""
        with self._changed:
            self._customers += 1
        try:
            yield
        finally:
            with self._changed:
                self._customers -= 1
                self._changed.notify_all()

    def give_way(self, patience_s: float = PATIENCE_S) -> bool:
        """Wait until no customer's answer is being made, `patience_s` at most; return whether none is."""
        with self._changed:
            return self._changed.wait_for(lambda: self._customers == 0, patience_s)
