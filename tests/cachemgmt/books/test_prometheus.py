"""What Prometheus scrapes: the same from every process, never less than before, whatever is out."""

import subprocess
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from threading import Thread
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from cachemgmt import assembly
from cachemgmt.assembly import bulkhead
from cachemgmt.books import prometheus
from cachemgmt.books.totals import CALLS, OUTCOMES, Book, Totals
from cachemgmt.engine.stores.failover import FailoverStore
from cachemgmt.engine.stores.memory import MemoryStore
from cachemgmt.engine.stores.redis import RedisStore
from cachemgmt.models import LlmCall, MetricBucket
from deploy.parts import free_port
from tests.cachemgmt.conftest import serve_from

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 5, 20, 12, 30, tzinfo=UTC)
Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def bucket(*, at: datetime = NOW, level: str = "answer", outcome: str = "hit", **fields: Any) -> MetricBucket:
    return MetricBucket.objects.create(
        minute=at, level=level, outcome=outcome, **{"collection": "shop", "count": 1, **fields}
    )


def booked(*, at: datetime = NOW, model: str = "m", cost_usd: str | None = "0.05") -> LlmCall:
    return LlmCall.objects.create(
        made_at=at,
        stage="generate",
        model=model,
        outcome="ok",
        purpose="customer",
        collection="shop",
        prompt_tokens=100,
        cached_tokens=40,
        completion_tokens=7,
        cost_usd=cost_usd,
        seconds=1.5,
    )


def scrape(client: Client, **headers: str) -> Series:
    """Return every series of a scrape."""
    response = client.get("/metrics", headers=headers)
    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(response.content.decode())
        for sample in family.samples
    }


def value(series: Series, name: str, **labels: str) -> float | None:
    return series.get((name, tuple(sorted(labels.items()))))


def test_questions_look_ups_and_money_are_told(client: Client) -> None:
    bucket(count=3, seconds=0.3, saved_usd="0.18", saved_s=36.6)
    bucket(count=1, seconds=12.0, outcome="miss", reason="absent")
    bucket(count=2, seconds=0.5, level="reply", outcome="collapsed", saved_usd="5", saved_s=9.0)
    booked()
    booked(model="unheard-of", cost_usd=None)
    series = scrape(client)
    assert value(series, "tria_questions_total", outcome="hit", reason="") == 3
    assert value(series, "tria_questions_total", outcome="miss", reason="absent") == 1
    assert value(series, "tria_answer_seconds_sum", outcome="miss") == 12
    assert value(series, "tria_cache_outcomes_total", level="reply", outcome="collapsed", reason="") == 2
    assert value(series, "tria_saved_usd_total") == 0.18, "of questions alone: a level's is in them"
    assert value(series, "tria_saved_seconds_total") == 36.6
    assert value(series, "tria_llm_cost_usd_total", stage="generate", model="m") == 0.05
    assert value(series, "tria_llm_unpriced_calls_total", stage="generate", model="unheard-of") == 1
    assert value(series, "tria_llm_tokens_total", stage="generate", model="m", kind="cached") == 40
    assert value(series, "tria_llm_call_seconds_count", stage="generate", model="m") == 1
    assert value(series, "tria_database_up") == 1


def test_no_label_has_values_that_customers_choose(client: Client) -> None:
    bucket(collection="chosen-by-a-customer")
    booked()
    labels = {name for _, pairs in scrape(client) for name, _ in pairs}
    assert labels <= {"level", "outcome", "reason", "stage", "model", "purpose", "kind"}


def test_every_process_tells_the_same_and_no_total_goes_down_from_day_to_day() -> None:
    old = Totals(OUTCOMES)
    for days in range(10):
        bucket(at=NOW + timedelta(days=days, hours=-30), count=days + 1, seconds=0.1, saved_usd="0.1")
        bucket(at=NOW + timedelta(days=days), outcome="miss", reason=str(days), seconds=1 / 3)
        now = NOW + timedelta(days=days)
        told = old.read(now)
        assert told == Totals(OUTCOMES).read(now)
        assert told["answer", "hit", ""]["n"] == sum(range(days + 2))
        assert sum(row["n"] for row in told.values()) == sum(range(days + 2)) + days + 1


def test_what_is_written_late_counts_in_every_process() -> None:
    early = Totals(CALLS)
    early.read(NOW)
    booked(at=NOW - timedelta(hours=47))
    assert early.read(NOW) == Totals(CALLS).read(NOW)
    assert early.read(NOW)["generate", "m", "ok", "customer"]["n"] == 1


def test_a_sum_of_fractions_is_exact() -> None:
    for minute in range(50):
        bucket(at=NOW - timedelta(minutes=minute), seconds=0.1, saved_usd=Decimal("0.00000001"))
    told = Totals(OUTCOMES).read(NOW)["answer", "hit", ""]
    assert (told["micro_s"], told["saved"]) == (5_000_000, 50)


def test_only_the_last_days_are_read_again(django_assert_num_queries: Any) -> None:
    for days in (95, 40, 3, 0):
        bucket(at=NOW - timedelta(days=days))
    totals = Totals(OUTCOMES)
    with django_assert_num_queries(6):  # where they begin, four stretches, and the last days
        assert [sums["n"] for sums in totals.read(NOW).values()] == [4]
    with django_assert_num_queries(1) as queries:
        assert [sums["n"] for sums in totals.read(NOW).values()] == [4]
    assert "minute" in queries.captured_queries[0]["sql"].partition("WHERE")[2]


def test_what_was_read_of_old_books_need_not_be_read_again(
    monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: Any
) -> None:
    for days in (95, 40, 0):
        bucket(at=NOW - timedelta(days=days))
    totals, read = Totals(OUTCOMES), Book.read
    stretches: list[object] = []

    def read_or_fail(book: Book, since: datetime, until: datetime | None) -> Any:
        stretches.append(until)
        if len(stretches) == 3:
            raise OperationalError("it took too long")
        return read(book, since, until)

    monkeypatch.setattr(Book, "read", read_or_fail)
    with pytest.raises(OperationalError):
        totals.read(NOW)
    with django_assert_num_queries(3):
        assert [sums["n"] for sums in totals.read(NOW).values()] == [3]


def test_without_the_database_the_process_is_told_of_and_no_counter(client: Client) -> None:
    bucket()

    def fail(*args: object) -> None:
        raise OperationalError("the database is out")

    with connection.execute_wrapper(fail):
        series = scrape(client)
    assert value(series, "tria_database_up") == 0
    assert value(series, "tria_llm_slots") == bulkhead().facts()["slots"]
    assert not [name for name, _ in series if name.startswith("tria_") and name.endswith("_total")]


def test_a_database_that_hangs_holds_one_scrape_and_not_the_next() -> None:
    totals = Totals(OUTCOMES, wait_s=0.01)
    failures: list[OperationalError] = []

    def read() -> None:
        try:
            totals.read(NOW)
        except OperationalError as error:
            failures.append(error)

    with totals._lock:  # as one that hangs in the database holds it
        other = Thread(target=read)
        other.start()
        other.join()
    assert len(failures) == 1
    assert totals.read(NOW) == {}


def test_without_redis_it_is_said(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    redis = RedisStore(lambda: Redis(port=port, socket_connect_timeout=0.1, retry=Retry(NoBackoff(), 0)))
    serve_from(FailoverStore(redis, MemoryStore(), assembly.breaker()), monkeypatch)
    assert value(scrape(client), "tria_cache_store_up") == 0
    for _ in range(3):
        assembly.breaker().fail()
    assert value(scrape(client), "tria_cache_breaker_open") == 1


@pytest.mark.usefixtures("over_redis")
def test_with_redis_all_is_well(client: Client) -> None:
    series = scrape(client)
    assert value(series, "tria_cache_store_up") == 1
    assert value(series, "tria_cache_breaker_open") == 0
    assert value(series, "tria_cache_on") == 1


@pytest.mark.parametrize(
    "accepted", ["text/plain", "application/openmetrics-text;version=1.0.0,text/plain;q=0.5,*/*;q=0.1", "x/y"]
)
def test_it_is_text_whatever_a_scraper_accepts(client: Client, accepted: str) -> None:
    assert value(scrape(client, accept=accepted), "tria_database_up") == 1


def test_it_is_served_to_those_with_the_right_alone() -> None:
    assert prometheus.PrometheusView.right == "metrics"


def test_the_names_are_as_prometheus_wants_them(client: Client, promtool: str) -> None:
    bucket()
    booked()
    text = client.get("/metrics").content
    done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    assert not [line for line in done.stderr.decode().splitlines() if line.startswith("tria_")], done.stderr
