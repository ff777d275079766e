"""The books: what was spent is written at once, what was counted soon, and nothing is lost."""

import sqlite3
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from threading import Barrier, Thread

import pytest
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.utils import ConnectionHandler, Error, InterfaceError, OperationalError

from cachemgmt.books import ledger
from cachemgmt.books.calls import ProviderCall
from cachemgmt.books.ledger import Bill, count, write_counts
from cachemgmt.books.metrics import metrics
from cachemgmt.models import LlmCall, MetricBucket, ModelPrice

pytestmark = pytest.mark.django_db


@pytest.fixture
def price(db: None) -> ModelPrice:
    return ModelPrice.objects.create(
        model_pattern="m", valid_from="2020-01-01", input_usd="100000", output_usd="200000"
    )


def call(model: str = "m", stage: str = "generate") -> ProviderCall:
    return ProviderCall(
        stage=stage, model=model, outcome="ok", seconds=0.5, prompt_tokens=3, completion_tokens=1
    )


def tick(
    outcome: str = "hit", *, level: str = "answer", saved: str = "0.5", collection: str = "shop"
) -> None:
    count(
        level=level,
        outcome=outcome,
        reason=None,
        collection=collection,
        seconds=0.1,
        saved_usd=Decimal(saved),
        saved_s=10 * float(saved),
    )


@pytest.mark.usefixtures("price")
def test_a_call_is_in_the_database_when_book_returns() -> None:
    bill = Bill(purpose="customer", collection="shop")
    bill.book(call())
    bill.book(call())
    assert bill.spent_usd == Decimal(1)
    assert bill.llm_call_count == 2
    row = LlmCall.objects.first()
    assert row is not None
    assert (row.stage, row.model, row.cost_usd, row.purpose, row.collection) == (
        "generate",
        "m",
        Decimal("0.5"),
        "customer",
        "shop",
    )


@pytest.mark.usefixtures("price")
def test_one_unknown_price_makes_the_sum_unknown_for_good() -> None:
    bill = Bill(purpose="customer", collection="shop")
    bill.book(call("unheard-of"))
    bill.book(call())
    assert bill.spent_usd is None


@pytest.mark.usefixtures("price")
def test_embedding_a_text_is_no_call_to_a_language_model() -> None:
    bill = Bill(purpose="customer", collection="shop")
    bill.book(call(stage="embed"))
    assert bill.llm_call_count == 0
    assert bill.spent_usd == Decimal("0.5")


@pytest.mark.usefixtures("price")
@pytest.mark.parametrize("error", [OperationalError, InterfaceError])
def test_a_call_that_cannot_be_booked_is_booked_later(
    monkeypatch: pytest.MonkeyPatch, error: type[Error]
) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise error

    bill = Bill(purpose="customer", collection="shop")
    with monkeypatch.context() as broken:
        broken.setattr(ledger, "_write", fail)
        bill.book(call())
    assert bill.spent_usd is None
    assert LlmCall.objects.count() == 0
    write_counts()
    assert LlmCall.objects.get().cost_usd == Decimal("0.5")


@pytest.mark.usefixtures("price")
def test_a_call_that_was_booked_though_it_failed_is_not_booked_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    write = ledger._write

    def write_and_fail(row: LlmCall) -> None:
        """A database that hung has carried it out all the same."""
        write(row)
        raise OperationalError

    with monkeypatch.context() as hanging:
        hanging.setattr(ledger, "_write", write_and_fail)
        Bill(purpose="customer", collection="shop").book(call())
    write_counts()
    assert LlmCall.objects.get().cost_usd == Decimal("0.5")


class Failing:
    """The bookings of a database that is out until it is let in. Counts how often it was tried."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, error: Exception | None = None) -> None:
        self.error: Exception | None = error or OperationalError("database is locked")
        self.tried = 0
        write = ledger._write

        def write_or_fail(row: LlmCall) -> None:
            self.tried += 1
            if self.error:
                raise self.error
            write(row)

        monkeypatch.setattr(ledger, "_write", write_or_fail)


@pytest.mark.usefixtures("price")
def test_while_the_database_is_out_one_call_waits_for_it_and_the_others_do_not(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    database = Failing(monkeypatch)
    for number in range(3):
        bill = Bill(purpose="customer", collection=f"shop{number}")
        bill.book(call())
        assert (bill.spent_usd, bill.llm_call_count) == (None, 1)
    assert database.tried == 1
    assert [record.message for record in caplog.records] == ["Calls cannot be booked; they are booked later"]
    write_counts()
    assert database.tried == 2  # one that waits tries for all of them
    Bill(purpose="customer", collection="shop3").book(call())
    assert database.tried == 2
    database.error = None
    write_counts()
    assert set(LlmCall.objects.values_list("collection", flat=True)) == {f"shop{n}" for n in range(4)}
    assert set(LlmCall.objects.values_list("cost_usd", flat=True)) == {Decimal("0.5")}
    bill = Bill(purpose="customer", collection="shop")
    bill.book(call())
    assert (bill.spent_usd, LlmCall.objects.count()) == (Decimal("0.5"), 5)


@pytest.mark.usefixtures("price")
def test_a_call_that_no_database_takes_does_not_keep_others_from_theirs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    database = Failing(monkeypatch, ValueError("too large"))
    Bill(purpose="customer", collection="large").book(call())
    database.error = None
    bill = Bill(purpose="customer", collection="shop")
    bill.book(call())
    assert (bill.spent_usd, LlmCall.objects.get().collection) == (Decimal("0.5"), "shop")


@pytest.fixture
def file_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[BaseDatabaseWrapper]:
    """The ledger's connection, to a file: the tests' own database, in memory, lets nobody wait."""
    database = {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(tmp_path / "busy.sqlite3"),
        "OPTIONS": {"timeout": 20},
    }
    one = ConnectionHandler({"default": database})["default"]
    with one.cursor() as cursor:
        cursor.execute("CREATE TABLE t (n)")
    monkeypatch.setattr(ledger, "connection", one)
    yield one
    one.close()


def patience_ms(connection: BaseDatabaseWrapper) -> int:
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA busy_timeout")
        return int(cursor.fetchone()[0])


def insert_impatiently(connection: BaseDatabaseWrapper) -> None:
    with ledger._impatient():
        assert patience_ms(connection) == 50
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO t VALUES (1)")


def test_a_booking_waits_for_a_busy_database_for_a_moment_only(
    file_connection: BaseDatabaseWrapper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "BUSY_S", 0.05)
    other = sqlite3.connect(tmp_path / "busy.sqlite3", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    started = time.monotonic()
    with pytest.raises(OperationalError, match="locked"):
        insert_impatiently(file_connection)
    assert 0.05 <= time.monotonic() - started < 10
    assert patience_ms(file_connection) == 20_000  # whatever happened
    other.execute("COMMIT")
    other.close()
    insert_impatiently(file_connection)
    assert patience_ms(file_connection) == 20_000


def test_inside_a_transaction_it_is_as_patient_as_that(file_connection: BaseDatabaseWrapper) -> None:
    file_connection.in_atomic_block = True
    with ledger._impatient():
        assert patience_ms(file_connection) == 20_000
    file_connection.in_atomic_block = False


def test_counts_are_summed_per_minute_and_added_to_what_is_there() -> None:
    for _ in range(3):
        tick()
    write_counts()
    tick()
    tick("miss", saved="0")
    write_counts()
    hits = MetricBucket.objects.get(outcome="hit")
    assert (hits.count, hits.saved_usd, round(hits.seconds, 3)) == (4, Decimal(2), 0.4)
    assert hits.saved_s == 20.0
    assert MetricBucket.objects.get(outcome="miss").count == 1


@pytest.mark.parametrize("error", [OperationalError, InterfaceError])
def test_counts_survive_a_database_that_fails(monkeypatch: pytest.MonkeyPatch, error: type[Error]) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise error

    tick()
    with monkeypatch.context() as broken:
        broken.setattr(ledger, "_add_to_bucket", fail)
        write_counts()
    tick()
    write_counts()
    assert MetricBucket.objects.get().count == 2


def test_counting_needs_no_query(django_assert_num_queries: object) -> None:
    with django_assert_num_queries(0):  # type: ignore[operator]
        tick()


def test_no_count_is_lost_between_threads() -> None:
    barrier = Barrier(8)

    def work() -> None:
        barrier.wait()
        for _ in range(500):
            tick()

    threads = [Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    write_counts()
    assert MetricBucket.objects.get().count == 4000


@pytest.mark.usefixtures("price")
def test_metrics_tell_hits_spent_and_saved_net_of_warming() -> None:
    for outcome in ("hit", "hit", "hit", "miss"):
        tick(outcome, saved="0.5" if outcome == "hit" else "0")
    tick("hit", level="intent", saved="0.1")
    Bill(purpose="customer", collection="shop").book(call())
    Bill(purpose="warming", collection="shop").book(call())
    Bill(purpose="customer", collection="shop").book(call("unheard-of"))
    found = metrics()
    assert found["total"]["hits"] == 3
    assert found["total"]["hit_rate"] == 0.75
    assert found["levels"]["intent"]["hits"] == 1
    assert found["levels"]["reply"]["hit_rate"] is None
    assert (found["calls"], found["unpriced_calls"]) == (3, 1)
    assert (found["spent_usd"], found["spent_on_warming_usd"]) == ("1", "0.5")
    assert (found["saved_usd"], found["saved_net_usd"]) == ("1.5", "1")
    assert found["total"]["saved_s"] == 15.0
    assert found["levels"]["intent"]["saved_s"] == 1.0


def test_metrics_can_be_had_for_one_collection() -> None:
    tick(collection="shop")
    tick(collection="bank")
    assert metrics(collection="bank")["total"]["hits"] == 1
