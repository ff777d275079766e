"""What the customer is told: the answer, and truthfully how it came about."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from math import ceil
from time import perf_counter
from typing import Literal

from cachemgmt.api import Entry, FillOutcome, HandedOff, Reason, Status, count
from chat.answering.question_run import QuestionRun
from chat.levels.counting import REUSED
from chat.types import Answer, CacheReport, Classification, Passage, Source

AgeAndTtl = Callable[[Entry], tuple[float, float]]
"""An entry's age and the time it stays fresh, in seconds."""


class Reporter:
    """Builds answers, and counts each question's outcome. Thread-safe."""

    def __init__(self, age_and_ttl_s: AgeAndTtl) -> None:
        self._age_and_ttl_s = age_and_ttl_s

    def stored(
        self, run: QuestionRun, entry: Entry, *, status: Literal["hit", "stale"], reason: Reason | None = None
    ) -> Answer:
        """Return the stored complete answer; `reason` why a stale one serves."""
        value = entry.value
        answer = Answer(
            text=value["text"],
            intent=value["intent"],
            confidence=value["confidence"],
            sources=tuple(Source(**source) for source in value["sources"]),
            needs_human=False,
            cache=self._cache_report(
                status, "response", reason, entry, is_stored=True, entry_id=value.get("reply_id")
            ),
            spent_usd=run.bill.spent_usd,
            saved_usd=entry.cost_usd,
            saved_s=entry.fill_s,
            timing_ms=self._timing(run),
        )
        self._count(run, answer)
        return answer

    def made(
        self,
        run: QuestionRun,
        classification: Classification,
        passages: Sequence[Passage],
        reply: FillOutcome,
    ) -> Answer:
        """Return the answer that a reply makes. `passages` in the order its citations count in."""
        status, reason = self._status(run, reply)
        answer = Answer(
            text=reply.value["text"],
            intent=classification.intent,
            confidence=classification.confidence,
            sources=tuple(
                Source(
                    document=passage.document,
                    title=passage.title,
                    section=passage.section,
                    passage=passage.text,
                )
                for passage in (passages[index] for index in reply.value["cited"])
            ),
            needs_human=False,
            cache=self._cache_report(
                status,
                level_of(status),
                reason,
                reply.entry,
                is_stored=reply.is_stored,
            ),
            spent_usd=run.bill.spent_usd,
            saved_usd=self._saved_usd(run),
            saved_s=sum(entry.fill_s for entry in reused(run)),
            timing_ms=self._timing(run),
        )
        self._count(run, answer)
        return answer

    def with_storage(self, answer: Answer, entry: Entry, *, is_stored: bool) -> Answer:
        """Return the answer, told as stored if it was. Its id stays the reply's, by which it is flushed
        together with whatever was made of it."""
        if not is_stored or answer.cache.status == "hit":
            return answer
        age_s, ttl_s = self._age_and_ttl_s(entry)
        cache = replace(
            answer.cache,
            entry_id=entry.value["reply_id"],
            age_s=int(age_s),
            ttl_s=ceil(ttl_s),
            is_stored=True,
        )
        return replace(answer, cache=cache)

    def handed_off(
        self,
        run: QuestionRun,
        classification: Classification | None,
        text: str,
        reason: HandedOff,
        marker: FillOutcome | None = None,
    ) -> Answer:
        """Return the hand-off to a person. `marker` is the remembered or new note that validation failed."""
        if marker is None:
            cache = self._cache_report("bypass", None, reason, None, is_stored=False)
        else:
            status, why = self._status(run, marker)
            told = why if status == "bypass" and why else reason
            cache = self._cache_report(
                status, level_of(status), told, marker.entry, is_stored=marker.is_stored
            )
        answer = Answer(
            text=text,
            intent=classification.intent if classification else "other",
            confidence=classification.confidence if classification else 0.0,
            sources=(),
            needs_human=True,
            cache=cache,
            spent_usd=run.bill.spent_usd,
            saved_usd=self._saved_usd(run),
            saved_s=sum(entry.fill_s for entry in reused(run)),
            timing_ms=self._timing(run),
        )
        self._count(run, answer)
        return answer

    def failed(self, run: QuestionRun, reason: str) -> None:
        """Count a question that got no answer."""
        self._count_outcome(run, "error", reason, Decimal(0), 0.0)

    @contextmanager
    def counting_faults(self, run: QuestionRun) -> Iterator[None]:
        """Count a question that whatever is raised inside leaves without an answer."""
        try:
            yield
        except Exception:
            self.failed(run, "internal")
            raise

    def _status(self, run: QuestionRun, reply: FillOutcome) -> tuple[Status, Reason | None]:
        """A hit only if this request caused no call to a model; stale if what it is given is."""
        if reply.status in {"bypass", "stale"}:
            return reply.status, reply.reason
        if run.bill.llm_call_count:
            return "miss", run.missed
        if reply.status == "hit" and all(one.status in {"hit", "stale"} for one in run.outcomes):
            return "hit", run.missed
        if any(outcome.status == "collapsed" for outcome in run.outcomes):
            return "collapsed", run.missed
        return "miss", run.missed

    def _saved_usd(self, run: QuestionRun) -> Decimal | None:
        costs = [entry.cost_usd for entry in reused(run)]
        return None if None in costs else sum((cost for cost in costs if cost), Decimal(0))

    def _cache_report(
        self,
        status: Status,
        level: Literal["response", "reply"] | None,
        reason: Reason | None,
        entry: Entry | None,
        *,
        is_stored: bool,
        entry_id: str | None = None,
    ) -> CacheReport:
        """`entry_id`: the one that is told instead of the entry's own."""
        age_s, ttl_s = self._age_and_ttl_s(entry) if entry and is_stored else (None, None)
        return CacheReport(
            status=status,
            level=level,
            reason=reason,
            age_s=None if age_s is None else int(age_s),
            ttl_s=None if ttl_s is None else ceil(ttl_s),
            entry_id=(entry_id or entry.entry_id) if entry and is_stored else None,
            is_stored=is_stored,
        )

    def _timing(self, run: QuestionRun) -> dict[str, float]:
        stages = {stage: round(spent_ms, 3) for stage, spent_ms in run.timing_ms.items()}
        return {"total": round((perf_counter() - run.started) * 1000, 3), **stages}

    def _count(self, run: QuestionRun, answer: Answer) -> None:
        cache = answer.cache
        self._count_outcome(run, cache.status, cache.reason, answer.saved_usd, answer.saved_s)

    def _count_outcome(
        self, run: QuestionRun, outcome: str, reason: str | None, saved_usd: Decimal | None, saved_s: float
    ) -> None:
        if run.scope.is_counted:
            count(
                level="answer",
                outcome=outcome,
                reason=reason,
                collection=run.scope.collection,
                seconds=perf_counter() - run.started,
                saved_usd=saved_usd,
                saved_s=saved_s,
            )


def level_of(status: Status) -> Literal["reply"] | None:
    """Return the level that an answer made by the pipeline was reused from."""
    return "reply" if status in REUSED else None


def reused(run: QuestionRun) -> list[Entry]:
    """Return what the question reused."""
    return [outcome.entry for outcome in run.outcomes if outcome.status in REUSED]
