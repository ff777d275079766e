"""The first page: what the cache did in the last 24 hours, and how it is."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db.models import BooleanField, Count, ExpressionWrapper, Sum
from django.db.models.functions import TruncHour
from django.http import HttpRequest
from django.utils import timezone

from cachemgmt.admin import wording
from cachemgmt.api import cache_engine
from cachemgmt.books.metrics import ANSWER, metrics
from cachemgmt.decisions.database import snapshot
from cachemgmt.models import UNTOLD, Clock, LlmCall, MetricBucket

HOURS = 24
UNKNOWN = "not known"
SERIES = {
    "From the cache": ("hit", "stale"),
    "Shared with a simultaneous question": ("collapsed",),
    "Made anew": ("miss", "bypass"),
}
"""What the chart shows, and which outcomes each part of a bar adds up."""

COLOURS = {
    "From the cache": "#16a34a",
    "Shared with a simultaneous question": "#60a5fa",
    "Made anew": "#f59e0b",
}
GREY = "#7c8492"
"""Readable on white and on black."""

STORES = {
    "memory": "the server's memory",
    "redis": "Redis",
    "failover": "Redis",
}


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Return the context of the admin's first page, with the figures for those who may see them."""
    context["title"] = "Dashboard"
    if not request.user.has_perm("cachemgmt.view_metricbucket"):
        return context
    day = metrics(hours=HOURS)
    return {
        **context,
        "cache_state": cache_state(),
        "cards": cards(day),
        "unknown_costs": unknown_costs() if day["unpriced_calls"] else [],
        "levels": level_table(day["levels"]),
        "chart": json.dumps(chart(timezone.now())),
        "chart_options": json.dumps(CHART_OPTIONS),
        "time_zone": timezone.get_current_timezone_name(),
        "has_questions": asked(day["total"]) > 0,
    }


def asked(totals: Mapping[str, Any]) -> int:
    """Return how many questions or look-ups these totals count."""
    return sum(totals[name] for name in ("hits", "misses", "collapsed", "bypasses", "stale"))


def cards(day: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the figures of the day: [{"title", "value", "note"}]."""
    total = day["total"]
    questions = asked(total)
    unpriced = day["unpriced_calls"]
    incomplete = f"{unpriced:,} calls of unknown cost are left out" if unpriced else ""
    unknown_savings = total["unknown_savings"]
    saved_gross, warming = wording.usd(day["saved_usd"]), wording.usd(day["spent_on_warming_usd"])
    # Where no call's cost is known, the sum says nothing: it must not look like "free".
    is_unknown = bool(unpriced) and unpriced == day["calls"]
    is_saved_unknown = (is_unknown or bool(unknown_savings)) and not Decimal(day["saved_usd"])
    return [
        {
            "title": "Questions",
            "value": f"{questions:,}",
            "note": f"{total['hits']:,} answered from the cache",
        },
        {
            "title": "Hit rate",
            "value": wording.share(total["hit_rate"]),
            "note": "questions answered from the cache",
        },
        {
            "title": "Saved",
            "value": UNKNOWN if is_saved_unknown else wording.usd(day["saved_net_usd"]),
            "note": f"{saved_gross} less {warming} for warming"
            + (f"; {unknown_savings:,} answers saved an unknown amount" if unknown_savings else ""),
        },
        {
            "title": "Time saved",
            "value": wording.time_saved(total["saved_s"]),
            "note": "that customers did not wait",
        },
        {
            "title": "Spent",
            "value": UNKNOWN if is_unknown else wording.usd(day["spent_usd"]),
            "note": incomplete or f"of it warming {warming}",
        },
        {"title": "Model calls", "value": f"{day['calls']:,}", "note": incomplete or "all priced"},
    ]


def unknown_costs() -> list[dict[str, Any]]:
    """Return why what calls of the day cost is not known: [{"count", "model", "missing"}], the most first."""
    since = timezone.now() - timedelta(hours=HOURS)
    calls = LlmCall.objects.filter(made_at__gte=since, cost_usd=None).order_by()
    untold = ExpressionWrapper(UNTOLD, BooleanField())
    counted = calls.values("model", is_untold=untold).annotate(count=Count("pk")).order_by("-count")
    why = {True: "its endpoint does not tell all tokens", False: "the model has no price"}
    return [
        {"count": row["count"], "model": row["model"], "missing": why[bool(row["is_untold"])]}
        for row in counted
    ]


def level_table(levels: Mapping[str, Any]) -> dict[str, Any]:
    """Return a table for unfold: what each level did."""
    headers = [
        "What is stored",
        "Look-ups",
        "Found",
        "Not found",
        "Shared",
        "Passed by",
        "Hit rate",
        "Saved",
        "Time saved",
    ]
    rows = [
        [
            wording.level_name(level),
            f"{asked(totals):,}",
            f"{totals['hits'] + totals['stale']:,}",
            f"{totals['misses']:,}",
            f"{totals['collapsed']:,}",
            f"{totals['bypasses']:,}",
            wording.share(totals["hit_rate"]),
            wording.usd(totals["saved_usd"]),
            wording.time_saved(totals["saved_s"]),
        ]
        for level, totals in levels.items()
    ]
    return {"headers": headers, "rows": rows}


def chart(now: datetime) -> dict[str, Any]:
    """Return the last hours' questions by outcome, as Chart.js takes them: the current hour is the last."""
    hours = hours_until(now)
    by_hour = counts_by_hour(hours[0])
    return {
        "labels": [f"{hour:%H}:00" for hour in hours],
        "datasets": [
            {
                "label": name,
                "data": [sum(by_hour.get((hour, outcome), 0) for outcome in outcomes) for hour in hours],
                "backgroundColor": COLOURS[name],
            }
            for name, outcomes in SERIES.items()
        ],
    }


def hours_until(now: datetime) -> list[datetime]:
    """Return the starts of the last `HOURS` hours, in the site's time zone, the current one last."""
    last = timezone.localtime(now).replace(minute=0, second=0, microsecond=0)
    return [last - timedelta(hours=back) for back in reversed(range(HOURS))]


def counts_by_hour(since: datetime) -> dict[tuple[datetime, str], int]:
    """Return how many questions there were by hour and outcome. One query."""
    rows = (
        MetricBucket.objects.filter(level=ANSWER, minute__gte=since)
        .annotate(hour=TruncHour("minute"))
        .values_list("hour", "outcome")
        .annotate(n=Sum("count"))
        .order_by()
    )
    return {(hour, outcome): n for hour, outcome, n in rows}


def cache_state() -> dict[str, Any]:
    """Return how the cache is: {"is_on", "is_enabled", "is_healthy", "sentence", "detail"}."""
    health = cache_engine().store.health_check()
    is_on = (Clock.objects.filter(pk=1).first() or Clock()).is_cache_on
    store = STORES.get(str(health["store"]), str(health["store"]))
    if not settings.CACHE_ENABLED:
        sentence = "The cache is off: the server was started with CACHE_ENABLED=0."
    elif not is_on:
        sentence = "The cache is switched off. Every question is answered anew."
    elif not health["is_healthy"]:
        sentence = f"Redis cannot be reached. Meanwhile answers are kept in {store}: more are made anew."
    else:
        sentence = f"The cache is on and works. Answers are kept in {store}."
    return {
        "is_on": is_on,
        "is_enabled": settings.CACHE_ENABLED,
        "is_good": settings.CACHE_ENABLED and is_on and bool(health["is_healthy"]),
        "sentence": sentence,
        "detail": health.get("detail", ""),
        "clock": snapshot().known().clock,
    }


CHART_OPTIONS = {
    "animation": False,
    "responsive": True,
    "maintainAspectRatio": False,
    "maxBarThickness": 28,
    "interaction": {"mode": "index", "intersect": False},
    "plugins": {
        "legend": {
            "display": True,
            "position": "bottom",
            "labels": {"boxWidth": 12, "boxHeight": 12, "color": GREY},
        }
    },
    "scales": {
        "x": {"stacked": True, "grid": {"display": False}, "ticks": {"color": GREY}},
        "y": {"stacked": True, "beginAtZero": True, "ticks": {"precision": 0, "color": GREY}},
    },
}
