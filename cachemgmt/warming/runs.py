"""Filling ahead: questions are answered before they are asked, by whoever can reach the cache.

A run is a row. A process that sees the entries customers are answered from works it off: any process over
Redis, the server itself over its own memory.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Literal

from django.conf import settings
from django.db import close_old_connections, transaction
from django.utils import timezone

from cachemgmt.models import WarmingList, WarmingRun

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Warmed:
    """What became of one question. `detail` says why it was not stored, without the question."""

    outcome: Literal["filled", "reused", "not_stored", "failed"]
    spent_usd: Decimal | None
    detail: str = ""


Warm = Callable[[str, str], Warmed]
"""(collection, question) -> what became of it. Never raises for what a single question can do wrong."""

_registered: list[Warm] = []


def register_warmer(warm: Warm) -> None:
    """Say how a question is answered ahead: the owner of the pipeline does, when Django starts."""
    _registered[:] = [warm]


def questions_of(lists: Iterable[WarmingList]) -> list[tuple[str, str]]:
    """Return the lists' questions as (collection, question), each once, in their order."""
    pairs = [
        (row.collection or settings.DEFAULT_COLLECTION, query.question)
        for row in lists
        for query in row.queries.all()
    ]
    return list(dict.fromkeys(pairs))


def request_run(
    lists: Iterable[WarmingList], *, requested_by: str, more: Sequence[tuple[str, str]] = ()
) -> WarmingRun:
    """Return a new waiting run of the lists' questions and `more` (collection, question) pairs.

    The server takes it up within a second or two; `take` and `work_off` do it in this process.
    """
    lists = list(lists)
    questions = list(dict.fromkeys([*questions_of(lists), *more]))
    label = ", ".join([row.name for row in lists] + ([f"{len(more)} questions"] if more else []))
    with transaction.atomic():
        run = WarmingRun.objects.create(
            label=label[:200], requested_by=requested_by, questions=[list(pair) for pair in questions]
        )
        run.lists.set(lists)
    return run


def take_waiting() -> WarmingRun | None:
    """Return the oldest waiting run, now this process's own, or None. Two processes never take the same."""
    while run := WarmingRun.objects.filter(state="waiting").order_by("requested_at").first():
        if take(run):
            return run
    return None


def take(run: WarmingRun) -> bool:
    """Make a waiting run this process's own; return False if another was first."""
    with transaction.atomic():
        taken = WarmingRun.objects.filter(pk=run.pk, state="waiting").update(
            state="running", started_at=timezone.now(), progressed_at=timezone.now()
        )
    run.refresh_from_db()
    return bool(taken)


STALLED_S = 1800.0
"""A run that got no further for so long is nobody's: its server has ended. One question takes a minute, and
may have to wait for customers'."""


def give_up_orphans(*, stalled_s: float = STALLED_S) -> None:
    """Mark runs as failed that an ended server left "running": those without progress for so long. 0 is for a
    server that is alone; over Redis, another process may be at work on them."""
    now = timezone.now()
    orphans = WarmingRun.objects.filter(
        state="running", progressed_at__lte=now - timedelta(seconds=stalled_s)
    )
    orphans.update(state="failed", ended_at=now, problems=["the server stopped meanwhile"])


def work_off(run: WarmingRun, *, on_progress: Callable[[WarmingRun], None] = lambda _run: None) -> None:
    """Answer the run's questions one after the other, and write down what became of each.

    `on_progress` is called after every question. The run ends "done" if every question's answer is stored
    or need not be, else "failed"; the row is kept up to date, so anybody can watch it.
    """
    if not _registered:
        raise RuntimeError("nothing is registered that could warm")
    run.spent_usd = Decimal(0)
    try:
        _answer_all(run, on_progress)
    except BaseException:  # the row must not stay "running", whatever it was
        close_old_connections()  # one that has failed would fail again
        _end(run, "failed")
        raise
    _end(run, "failed" if run.failed else "done")


def _answer_all(run: WarmingRun, on_progress: Callable[[WarmingRun], None]) -> None:
    for collection, question in run.questions:
        warmed = _registered[0](collection, question)
        setattr(run, warmed.outcome, getattr(run, warmed.outcome) + 1)
        if run.spent_usd is not None:
            run.spent_usd = None if warmed.spent_usd is None else run.spent_usd + warmed.spent_usd
        if warmed.detail:
            run.problems = [*run.problems, f"{question}: {warmed.detail}"]
        run.save()
        on_progress(run)


def _end(run: WarmingRun, state: str) -> None:
    run.state = state
    run.ended_at = timezone.now()
    run.save()
    logger.info("Warmed %d questions", len(run.questions), extra={"action": "warm", "outcome": run.state})
