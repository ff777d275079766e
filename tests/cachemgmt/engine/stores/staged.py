"""A first store that fails, refuses or takes its time as a test says."""

import logging
from collections.abc import Callable, Mapping
from typing import Any, cast

import pytest

from cachemgmt.engine.errors import StoreError
from cachemgmt.engine.stores.base import Store
from cachemgmt.engine.stores.breaker import Breaker
from cachemgmt.engine.stores.failover import FailoverStore
from cachemgmt.engine.stores.memory import MemoryStore
from tests.cachemgmt.engine.fakes import FakeTime


class Staged:
    """Stands for Redis: every method of a store, each a round trip that takes `takes_s` of the test's time.

    `fails` holds what to raise, by method or, under "*", for all. `asked` are the methods, in order.
    """

    kind = "redis"
    is_shared = True

    def __init__(self, watch: FakeTime) -> None:
        self.kept = MemoryStore()
        self.fails: dict[str, StoreError] = {}
        self.takes_s = 0.0
        self.asked: list[str] = []
        self.meanwhile: Callable[[], object] | None = None
        """What happens once, while the next call is under way."""
        self._watch = watch

    def __getattr__(self, name: str) -> Any:
        def ask(*args: Any, **fields: Any) -> Any:
            self.asked.append(name)
            step_in, self.meanwhile = self.meanwhile, None
            if step_in:
                step_in()
            self._watch.advance(self.takes_s)
            error = self.fails.get(name) or self.fails.get("*")
            if error:
                raise error
            return getattr(self.kept, name)(*args, **fields)

        return ask

    def health_check(self) -> Mapping[str, object]:
        """Healthy, unless everything fails."""
        error = self.fails.get("*")
        return {"store": self.kind, "is_healthy": not error, **({"detail": str(error)} if error else {})}


class Stage:
    """A failover store over a `Staged` one, at a time that the test moves."""

    def __init__(self) -> None:
        self.watch = FakeTime()
        self.first = Staged(self.watch)
        self.memory = MemoryStore()
        self.breaker = Breaker(now=self.watch)
        self.store = FailoverStore(cast("Store", self.first), self.memory, self.breaker, monotonic=self.watch)

    def kept(self, name: str) -> tuple[bytes | None, bytes | None]:
        """Return what the first and the memory hold under the name."""
        return self.first.kept.get(name), self.memory.get(name)


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what was logged of changes, in order."""
    return [record.__dict__["action"] for record in caplog.records if record.levelno >= logging.WARNING]
