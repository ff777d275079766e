"""Warming runs: how far they are, and what became of them, in words."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.contrib import admin
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from adminkit.read_only import ReadOnlyAdmin
from adminkit.unfolded import display
from cachemgmt.admin import wording
from cachemgmt.models import WarmingList, WarmingRun

LATE_S = 60
"""A server takes a waiting run up within seconds; after this long, none seems to be there."""

STATES = {"waiting": "Waiting", "running": "Under way", "done": "Done", "failed": "With failures"}
COLOURS = {"Waiting": "info", "Under way": "info", "Done": "success", "With failures": "danger"}


@admin.register(WarmingRun)
class WarmingRunAdmin(ReadOnlyAdmin):
    """Runs as they were worked off. A page of one refreshes itself until the run has ended."""

    list_display = ("label", "state_words", "progress", "spent_words", "requested_at", "requested_by")
    list_filter = ("state", "lists", "requested_by")
    search_fields = ("label", "requested_by")
    date_hierarchy = "requested_at"
    change_form_outer_before_template = "admin/cachemgmt/warmingrun/progress.html"
    fields = ("label", "requested_by", "requested_at")

    @display(description="State", ordering="state", label=COLOURS)
    def state_words(self, run: WarmingRun) -> str:
        return STATES[run.state]

    @display(description="Questions")
    def progress(self, run: WarmingRun) -> str:
        return f"{answered(run):,} of {len(run.questions):,}"

    @display(description="Spent", ordering="spent_usd")
    def spent_words(self, run: WarmingRun) -> str:
        return spent(run)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return self.fields

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Show the run with its progress, which is counted here."""
        run = self.get_object(request, object_id)
        shown = progress_of(run, timezone.now()) if run else {}
        page: HttpResponse = super().change_view(
            request, object_id, form_url, {**(extra_context or {}), "progress": shown}
        )
        return page


def answered(run: WarmingRun) -> int:
    """Return how many of the run's questions have been worked off."""
    return run.filled + run.reused + run.not_stored + run.failed


def spent(run: WarmingRun) -> str:
    """Return what the run has cost so far, in words."""
    if run.state == "waiting":
        return "nothing yet"
    return "not known (a price is missing)" if run.spent_usd is None else wording.usd(run.spent_usd)


def progress_of(run: WarmingRun, now: datetime) -> dict[str, Any]:
    """Return what the page of a run shows: {"is_over", "percent", "sentence", "counts", "problems", …}."""
    total, done = len(run.questions), answered(run)
    return {
        "is_over": run.state in {"done", "failed"},
        "percent": round(100 * done / total) if total else 100,
        "done": done,
        "total": total,
        "sentence": sentence(run, now),
        "is_late": is_late(run, now),
        "counts": [
            ("Made", run.filled, "answered and stored now"),
            ("Already there", run.reused, "stored and fresh, nothing to do"),
            ("Not stored", run.not_stored, "answered, but not to be kept; see below"),
            ("Failed", run.failed, "not answered; see below"),
        ],
        "spent": spent(run),
        "problems": run.problems,
        "questions": run.questions,
        "started_at": run.started_at,
        "ended_at": run.ended_at,
    }


def is_late(run: WarmingRun, now: datetime) -> bool:
    """Whether the run has been waiting for longer than a working server would let it."""
    return run.state == "waiting" and (now - run.requested_at).total_seconds() > LATE_S


def sentence(run: WarmingRun, now: datetime) -> str:
    """Return how the run stands, as a sentence."""
    total, done = len(run.questions), answered(run)
    if is_late(run, now):
        waited = wording.roughly((now - run.requested_at).total_seconds())
        return f"No server has taken this up for {waited}. Is the server running?"
    if run.state == "waiting":
        return "Waiting: the server takes this up within a few seconds."
    if run.state == "running":
        return f"{done:,} of {total:,} questions are done."
    ready = run.filled + run.reused
    if ready == total:
        return f"All {total:,} questions are answered from the cache now."
    return f"{ready:,} of {total:,} questions are answered from the cache now. The others are listed below."


def last_time(lists: Sequence[WarmingList]) -> str:
    """Return how the last ended run of these lists went and what it cost, in words."""
    ended = WarmingRun.objects.filter(lists__in=lists, ended_at__isnull=False)
    run = ended.annotate(n=Count("lists")).filter(n=len(lists)).first()
    if run is None or run.ended_at is None:
        return "Never, so what it costs is not known"
    ago = wording.roughly((timezone.now() - run.ended_at).total_seconds())
    others = " (together with other lists)" if run.lists.count() > len(lists) else ""
    return f"{ago} ago: {run.filled:,} made, {run.reused:,} already there; cost {spent(run)}{others}"


def under_way(questions: Sequence[tuple[str, str]]) -> WarmingRun | None:
    """Return the waiting or running run of exactly these questions, None if there is none."""
    wanted = [list(pair) for pair in questions]
    for run in WarmingRun.objects.filter(state__in=["waiting", "running"]):
        if run.questions == wanted and not is_late(run, timezone.now()):
            return run
    return None
