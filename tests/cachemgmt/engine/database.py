"""A database for snapshots: it counts what it is asked, fails when told to, and lets a test step in."""

from collections.abc import Callable

from cachemgmt.engine.errors import SourceUnavailable
from cachemgmt.engine.reuse.knowledge import Flush, Flushes, Knowledge


class FakeDatabase:
    """A `Database` that counts what it is asked. `during` happens inside the next question."""

    def __init__(self, clock: int = 5) -> None:
        self.number = clock
        self.mark = "first"
        self.outran: list[int] = []
        self.is_out = False
        self.during: Callable[[], object] | None = None
        self.asked = 0
        self.loaded = 0

    def clock(self) -> tuple[int, str]:
        self.asked += 1
        happens, self.during = self.during, None
        if happens is not None:
            happens()
        if self.is_out:
            raise SourceUnavailable
        return self.number, self.mark

    def knowledge(self) -> Knowledge:
        self.loaded += 1
        if self.is_out:
            raise SourceUnavailable
        return Knowledge(
            clock=self.number, mark=self.mark, flushes=Flushes([Flush(clock=self.number, kind="all")])
        )

    def outrun(self, told: int) -> None:
        if self.is_out:
            raise SourceUnavailable
        self.outran.append(told)
        self.number = told + 1
