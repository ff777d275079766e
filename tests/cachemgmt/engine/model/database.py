"""One database: decisions that take effect at once and together, and each process's way to read them."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from cachemgmt.engine.errors import SourceUnavailable
from cachemgmt.engine.reuse.knowledge import Flush, Flushes, Knowledge, Rule
from tests.cachemgmt.engine.model.schedule import Schedule, TurnLock

Fault = Literal["", "out", "hangs"]
HANGS_S = 4.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Decided:
    """All decisions up to a clock."""

    clock: int = 0
    floor: int = 0
    is_on: bool = True
    flushes: tuple[Flush, ...] = ()
    rules: Mapping[tuple[str, str], Rule] = field(default_factory=dict)
    revisions: Mapping[str, str] = field(default_factory=dict)


class SharedDatabase:
    """The truth, and its history: when each clock was committed."""

    def __init__(self, schedule: Schedule, first: Decided) -> None:
        self.schedule = schedule
        self.now = first
        self.history: list[tuple[float, Decided]] = [(schedule.now, first)]
        self.mark = 0
        """Another number in each history."""
        self.is_in_doubt = False
        """Restored, and its clock not yet raised above what it was: nobody decides anything then."""
        self.after_outrun: Callable[[int], object] = lambda _: None
        self._settled_at = float("-inf")
        self._row = TurnLock(schedule)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Hold the clock's row. Who leaves without `commit` has changed nothing."""
        with self._row:
            self.schedule.pause()
            yield

    def commit(self, **changes: Any) -> Decided:
        """Make the decision true. Inside a transaction."""
        self.now = replace(self.now, clock=self.now.clock + 1, **changes)
        self.history.append((self.schedule.now, self.now))
        return self.now

    @property
    def highest(self) -> int:
        """The clock, or what it was before it was restored."""
        return self.history[-1][1].clock

    @property
    def doubtful_at(self) -> float:
        """When it was last restored, and nobody had noticed."""
        return self.schedule.now if self.is_in_doubt else self._settled_at

    def restore(self, earlier: Decided) -> None:
        """Be what it was once. Inside a transaction."""
        self.now = earlier
        self.mark += 1
        self.is_in_doubt = True

    def outrun(self, told: int) -> None:
        """Raise clock and floor above the number, unless the clock is no longer below. Inside a
        transaction."""
        if self.now.clock >= told:
            return
        self.now = replace(self.now, clock=told, floor=told + 1)
        self.commit()
        self.mark += 1
        self.is_in_doubt, self._settled_at = False, self.schedule.now
        self.after_outrun(self.now.clock)

    def clock_at(self, moment: float) -> int:
        """Return the clock as it was then."""
        for committed_at, decided in reversed(self.history):
            if committed_at <= moment:
                return decided.clock
        return self.history[0][1].clock

    def since(self, clock: int) -> list[Decided]:
        """Return the states from that clock on."""
        return [decided for _, decided in self.history[max(0, clock - self.history[0][1].clock) :]]

    def committed_at(self, clock: int) -> float:
        """Return when that clock was committed."""
        return self.history[clock - self.history[0][1].clock][0]


class Reader:
    """One process's way to the database: an engine's `Database`."""

    def __init__(self, database: SharedDatabase) -> None:
        self._database = database
        self._schedule = database.schedule
        self.fault: Fault = ""

    def clock(self) -> tuple[int, str]:
        self._query()
        told = self._database.now.clock, str(self._database.mark)
        self._answer()
        return told

    def knowledge(self) -> Knowledge:
        """The clock first: what is read after it may be newer than it says, never older."""
        self._query()
        clock, mark = self._database.now, str(self._database.mark)
        self._answer()
        flushes = self._database.now.flushes
        self._answer()
        decided = self._database.now
        self._answer()
        return Knowledge(
            clock=clock.clock,
            mark=mark,
            floor=clock.floor,
            is_on=clock.is_on,
            flushes=Flushes(flushes),
            rules=decided.rules,
            revisions=decided.revisions,
        )

    def outrun(self, told: int) -> None:
        self._query()
        with self._database.transaction():
            self._database.outrun(told)

    def _query(self) -> None:
        self._schedule.pause(self._schedule.rng.random() * 0.002)
        if self.fault == "hangs":
            self._schedule.wait_for(lambda: self.fault != "hangs", HANGS_S)
        if self.fault:
            raise SourceUnavailable

    def _answer(self) -> None:
        if self._schedule.rng.random() < 0.3:
            self._schedule.pause()
