"""One question under way: what is known of it so far, and what it has cost."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter

from cachemgmt.api import Bill, FillOutcome, HandedOff, Lookup, Reason
from chat.levels.scope import Scope
from chat.types import Classification, Intent, Passage, Question, Turn


def nobody(_stage: str) -> None:
    """Nobody wants to be told which stage begins."""


@dataclass(slots=True)
class QuestionRun:
    """One question under way. `message` and `turns` are as keys and models see them."""

    message: str
    turns: tuple[Turn, ...]
    scope: Scope
    bill: Bill
    missed: Reason | None = None
    """Why there was no stored answer."""
    outcomes: list[FillOutcome] = field(default_factory=list)
    timing_ms: dict[str, float] = field(default_factory=dict)
    started: float = field(default_factory=perf_counter)
    tell: Callable[[str], None] = nobody
    """Told each stage as it begins."""

    def for_refresh(self) -> "QuestionRun":
        """Return the run of what is made anew behind the customer's back: on a bill and a time of its own."""
        return QuestionRun(
            message=self.message, turns=self.turns, scope=self.scope, bill=self.bill.for_refresh()
        )

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Tell that the stage begins, and add the time spent inside to it."""
        self.tell(stage)
        started = perf_counter()
        try:
            yield
        finally:
            spent_ms = (perf_counter() - started) * 1000
            self.timing_ms[stage] = self.timing_ms.get(stage, 0.0) + spent_ms


@dataclass(frozen=True, kw_only=True, slots=True)
class PendingAnswer:
    """A question that no stored answer served."""

    question: Question
    run: QuestionRun
    found: Lookup


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassifiedMessage:
    """The message as classified. `question` stands alone; `context` is empty unless the message leans."""

    classification: Classification
    intent: Intent
    question: str
    context: tuple[Turn, ...]
    is_personal: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerAttempt:
    """What came of one attempt at an answer: under which revision, from which passages (in the order that
    citations count in), which reply; or why it was handed to a person without one."""

    scope: Scope
    revision: str
    passages: tuple[Passage, ...]
    reply: FillOutcome | HandedOff
