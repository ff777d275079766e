"""What the cache did and saved, read from the books."""

from collections.abc import Iterable
from datetime import timedelta
from decimal import Decimal

from django.db.models import Count, Q, Sum
from django.utils import timezone
from typing_extensions import TypedDict

from cachemgmt.books.ledger import write_counts
from cachemgmt.models import UNTOLD, LlmCall, MetricBucket

ANSWER = "answer"
"""The level that counts whole questions."""


class LevelTotals(TypedDict):
    """What one level did. `hit_rate` is None while nothing was asked; amounts are decimal USD strings;
    `saved_s` are the seconds that making what was reused took.
    `unknown_savings`: how often an unknown amount was saved, which `saved_usd` leaves out."""

    hits: int
    misses: int
    collapsed: int
    bypasses: int
    stale: int
    errors: int
    hit_rate: float | None
    saved_usd: str
    saved_s: float
    unknown_savings: int


class Metrics(TypedDict):
    """What happened in a time. Amounts are decimal USD strings."""

    since: str
    hours: float
    collection: str | None
    total: LevelTotals
    levels: dict[str, LevelTotals]
    calls: int
    unpriced_calls: int
    untold_calls: int
    spent_usd: str
    spent_on_warming_usd: str
    saved_usd: str
    saved_net_usd: str


OUTCOMES = {
    "hit": "hits",
    "miss": "misses",
    "collapsed": "collapsed",
    "bypass": "bypasses",
    "stale": "stale",
    "error": "errors",
}


def metrics(*, hours: float = 24, collection: str | None = None) -> Metrics:
    """Return what happened in the last hours: {"since", "hours", "total", "levels", "calls", "spent_usd", …}.

    `total` counts questions, `levels` the look-ups inside them. This process's counts are written first;
    other processes' are at most a few seconds behind. `saved_net_usd` is less what warming spent. Amounts
    leave out what is not known; `unpriced_calls` says of how many calls the cost is not known, and
    `untold_calls` for how many of these the reason is that the endpoint did not tell their tokens.
    """
    write_counts()
    since = timezone.now() - timedelta(hours=hours)
    own = Q(collection=collection) if collection else Q()
    rows = (
        MetricBucket.objects.filter(own, minute__gte=since)
        .values_list("level", "outcome")
        .annotate(
            n=Sum("count"), saved=Sum("saved_usd"), saved_s=Sum("saved_s"), unknown=Sum("unknown_savings")
        )
    )
    by_level: dict[str, list[tuple[str, int, Decimal, float, int]]] = {}
    for level, *found in rows:
        by_level.setdefault(level, []).append(tuple(found))
    levels = {level: _totals(found) for level, found in by_level.items()}
    total = levels.pop(ANSWER, _totals([]))
    calls = LlmCall.objects.filter(own, made_at__gte=since).aggregate(
        n=Count("pk"),
        spent=Sum("cost_usd"),
        warming=Sum("cost_usd", filter=Q(purpose="warming")),
        unpriced=Count("pk", filter=Q(cost_usd=None)),
        untold=Count("pk", filter=Q(cost_usd=None) & UNTOLD),
    )
    spent, warming = calls["spent"] or Decimal(0), calls["warming"] or Decimal(0)
    return {
        "since": since.isoformat(timespec="seconds"),
        "hours": hours,
        "collection": collection,
        "total": total,
        "levels": {
            level: levels.get(level, _totals([])) for level in ("response", "intent", "policy", "reply")
        },
        "calls": calls["n"],
        "unpriced_calls": calls["unpriced"],
        "untold_calls": calls["untold"],
        "spent_usd": plain(spent),
        "spent_on_warming_usd": plain(warming),
        "saved_usd": total["saved_usd"],
        "saved_net_usd": plain(Decimal(total["saved_usd"]) - warming),
    }


def _totals(found: Iterable[tuple[str, int, Decimal, float, int]]) -> LevelTotals:
    totals: dict[str, int] = dict.fromkeys(OUTCOMES.values(), 0)
    saved_usd, saved_s, unknown_savings = Decimal(0), 0.0, 0
    for outcome, n, saved, seconds, unknown in found:
        totals[OUTCOMES[outcome]] += n
        saved_usd += saved
        saved_s += seconds
        unknown_savings += unknown
    asked = sum(totals.values())
    return LevelTotals(
        hits=totals["hits"],
        misses=totals["misses"],
        collapsed=totals["collapsed"],
        bypasses=totals["bypasses"],
        stale=totals["stale"],
        errors=totals["errors"],
        hit_rate=round(totals["hits"] / asked, 4) if asked else None,
        saved_usd=plain(saved_usd),
        saved_s=round(saved_s, 3),
        unknown_savings=unknown_savings,
    )


def plain(amount: Decimal) -> str:
    """Return the amount as a decimal string without exponent or trailing zeros."""
    return f"{amount.normalize():f}" if amount else "0"
