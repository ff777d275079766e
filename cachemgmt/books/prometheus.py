"""What Prometheus scrapes: totals from the books, the same from every process, and this process's state."""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import cache
from typing import Any

from django.conf import settings
from django.db import Error as DatabaseFailure
from django.http import HttpResponse
from django.utils import timezone
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

from cachemgmt.assembly import breaker, bulkhead, cache_engine
from cachemgmt.books.metrics import ANSWER
from cachemgmt.books.totals import CALLS, MICRO, OUTCOMES, USD_UNITS, Labels, Sums, Totals
from cachemgmt.decisions.database import snapshot

logger = logging.getLogger(__name__)

PLACES = {
    "slots": ("tria_llm_slots", "Calls to models that this process may make at once."),
    "calling": ("tria_llm_slots_taken", "Calls under way in this process."),
    "warming": ("tria_llm_slots_warming", "Those of them that warming holds."),
    "queued": ("tria_llm_queued_calls", "Calls that wait for a slot in this process."),
    "giving_way": ("tria_warmers_waiting", "Warmers that let customers go first in this process."),
    "most_admitted": ("tria_places", "Questions that may call, queue or wait at once in this process."),
    "admitted": ("tria_places_taken", "Questions that do so now."),
}
"""The bulkhead's facts by their metrics."""


class Books(Collector):
    """The counters. While the database cannot be read there are none: a gap is no reset, but an older number
    than another worker's would be one."""

    def __init__(self, now: Callable[[], datetime] = timezone.now) -> None:
        self._outcomes = Totals(OUTCOMES)
        self._calls = Totals(CALLS)
        self._now = now

    def collect(self) -> Iterator[Metric]:
        """Yield the families. Two queries."""
        now = self._now()
        found: list[Metric] = []
        try:
            found += outcome_families(self._outcomes.read(now))
            found += call_families(self._calls.read(now))
        except DatabaseFailure as error:
            logger.info("The books cannot be read for Prometheus: %s", type(error).__name__)
            found.clear()
        yield gauge("tria_database_up", "Whether the books could be read for this scrape.", bool(found))
        yield from found


class ThisProcess(Collector):
    """The state of the process that answers the scrape."""

    def collect(self) -> Iterator[Metric]:
        """Yield the families. Asks the store once, whatever the breaker says."""
        facts = bulkhead().facts()
        for fact, (name, told) in PLACES.items():
            yield gauge(name, told, facts[fact])
        is_healthy = bool(cache_engine().store.health_check()["is_healthy"])
        known = snapshot().known()
        is_on = settings.CACHE_ENABLED and known.is_on
        yield gauge("tria_cache_store_up", "Whether the store works; else memory serves.", is_healthy)
        yield gauge("tria_cache_breaker_open", "Whether Redis is left alone.", breaker().state != "closed")
        yield gauge("tria_cache_on", "Whether stored results may be reused at all.", is_on)
        yield gauge("tria_cache_clock", "The last decision that this process knows.", known.clock)


def outcome_families(sums: Sums) -> list[Metric]:
    """Return what came of questions, and of the look-ups inside them."""
    questions = {labels[1:]: row for labels, row in sums.items() if labels[0] == ANSWER}
    lookups = {labels: row for labels, row in sums.items() if labels[0] != ANSWER}
    by_reason, by_outcome = ("outcome", "reason"), ("outcome",)
    saved = sum(row["saved"] for row in questions.values())
    saved_micro_s = sum(row["saved_micro_s"] for row in questions.values())
    unknown = sum(row["unknown_savings"] for row in questions.values())
    return [
        counter("tria_questions", "Questions, by what came of them.", by_reason, amounts(questions, "n")),
        summary("tria_answer_seconds", "What a question took.", by_outcome, questions),
        counter("tria_saved_usd", "What reused answers had cost.", (), {(): saved / USD_UNITS}),
        counter("tria_saved_seconds", "What making reused answers took.", (), {(): saved_micro_s / MICRO}),
        counter("tria_unknown_savings", "Answers that saved an unknown amount.", (), {(): unknown}),
        counter(
            "tria_cache_outcomes",
            "Look-ups inside questions, by level.",
            ("level", *by_reason),
            amounts(lookups, "n"),
        ),
        summary("tria_cache_seconds", "What a look-up and its fill took.", ("level", "outcome"), lookups),
    ]


def call_families(sums: Sums) -> list[Metric]:
    """Return what was asked of models, and what it cost."""
    labels = ("stage", "model")
    pairs = {pair: Counter[str]() for pair in (found[:2] for found in sums)}
    for (stage, model, _, _), row in sums.items():
        pairs[stage, model] += row
    kinds = ("prompt", "cached", "completion")
    tokens = {(*pair, kind): row[kind] for pair, row in pairs.items() for kind in kinds}
    return [
        counter("tria_llm_calls", "Calls to models.", (*labels, "outcome", "purpose"), amounts(sums, "n")),
        summary("tria_llm_call_seconds", "What a call took.", labels, pairs),
        counter("tria_llm_tokens", "Tokens; prompt ones include cached ones.", (*labels, "kind"), tokens),
        counter("tria_llm_cost_usd", "What calls cost.", labels, amounts(pairs, "spent", USD_UNITS)),
        counter(
            "tria_llm_unpriced_calls", "Calls whose cost is not known.", labels, amounts(pairs, "unpriced")
        ),
        counter(
            "tria_llm_untold_calls",
            "Of those, calls whose tokens the endpoint did not tell.",
            labels,
            amounts(pairs, "untold"),
        ),
    ]


def amounts(sums: Sums, name: str, units: int = 1) -> dict[Labels, float]:
    """Return one of the sums, in units of 1."""
    return {labels: row[name] / units for labels, row in sums.items()}


def gauge(name: str, told: str, value: float) -> GaugeMetricFamily:
    """Return a gauge without labels."""
    return GaugeMetricFamily(name, told, value=value)


def counter(name: str, told: str, names: Labels, values: Mapping[Labels, float]) -> CounterMetricFamily:
    """Return a counter; its series end in `_total`."""
    family = CounterMetricFamily(name, told, labels=names)
    for labels, value in values.items():
        family.add_metric(labels, value)
    return family


def summary(name: str, told: str, names: Labels, sums: Sums) -> SummaryMetricFamily:
    """Return how often and for how many seconds, over the first `names` of the labels."""
    whole: dict[Labels, Counter[str]] = {}
    for labels, row in sums.items():
        whole.setdefault(labels[: len(names)], Counter()).update(row)
    family = SummaryMetricFamily(name, told, labels=names)
    for labels, row in whole.items():
        family.add_metric(labels, row["n"], row["micro_s"] / MICRO)
    return family


@cache
def registry() -> CollectorRegistry:
    """Return this process's registry: what other libraries count is not in it."""
    made = CollectorRegistry()
    for collector in (Books(), ThisProcess()):
        made.register(collector)
    ProcessCollector(registry=made)
    return made


class PrometheusView(APIView):
    """GET everything in Prometheus's text format."""

    right = "metrics"

    def perform_content_negotiation(self, request: Request, force: bool = False) -> tuple[BaseRenderer, str]:
        """Return what renders problems: a scraper accepts text, and gets it."""
        renderer: Any = self.get_renderers()[0]
        return renderer, renderer.media_type

    def get(self, _request: Request) -> HttpResponse:
        return HttpResponse(generate_latest(registry()), content_type=CONTENT_TYPE_PLAIN_0_0_4)
