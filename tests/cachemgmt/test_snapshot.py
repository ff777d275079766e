"""What a process knows of decisions taken elsewhere, and how it learns of them."""

from typing import Any

import pytest
from django.db import DatabaseError, InterfaceError, transaction

from cachemgmt import snapshot as snapshot_module
from cachemgmt.api import cache_engine, register_revisions
from cachemgmt.background import watch_clock
from cachemgmt.engine.clock import CLOCK_NAME
from cachemgmt.engine.errors import SourceUnavailable
from cachemgmt.engine.snapshot import Snapshot
from cachemgmt.flushing import EVERYTHING, flush
from cachemgmt.models import Clock, FlushRecord, TtlRule
from cachemgmt.snapshot import Decisions, advance_clock, decisions, snapshot
from tests.cachemgmt.conftest import Shelf


def stored_clock() -> int:
    return int(cache_engine().store.get(CLOCK_NAME) or b"0")


@pytest.mark.django_db(transaction=True)
def test_the_clock_is_told_to_the_store_after_the_commit_only() -> None:
    with transaction.atomic():
        number = advance_clock()
        assert stored_clock() < number
    assert stored_clock() == number


@pytest.mark.django_db(transaction=True)
def test_a_rolled_back_change_leaves_the_clock_alone() -> None:
    before = snapshot().catch_up()

    def fail_midway() -> None:
        with transaction.atomic():
            advance_clock()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_midway()
    assert snapshot().catch_up() == before
    assert stored_clock() <= before


@pytest.mark.django_db(transaction=True)
def test_the_clock_is_not_raised_outside_a_transaction() -> None:
    with pytest.raises(RuntimeError, match="inside the transaction"):
        advance_clock()


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("over_redis")
def test_a_changed_rule_acts_on_a_stored_answer_at_the_next_look_up(shelf: Shelf) -> None:
    key = shelf.put("how long?")
    assert shelf.has(key)
    rule, _ = TtlRule.objects.get_or_create(level="response", intent="", defaults={"ttl_s": 60})
    rule.is_enabled = False
    rule.save()
    assert not shelf.has(key)
    rule.is_enabled = True
    rule.save()
    assert shelf.has(key)


@pytest.mark.django_db(transaction=True)
def test_without_redis_a_changed_rule_acts_once_the_row_is_read_again(shelf: Shelf) -> None:
    key = shelf.put("how long?")
    assert shelf.has(key)
    TtlRule.objects.update_or_create(level="response", intent="", defaults={"ttl_s": 60, "is_enabled": False})
    watch_clock()
    assert not shelf.has(key)


@pytest.mark.django_db(transaction=True)
def test_another_process_learns_by_the_stores_number(shelf: Shelf) -> None:
    other = Snapshot(decisions())
    known_before = other.known()
    TtlRule.objects.create(level="response", intent="refund_policy", ttl_s=5)
    assert other.known() is known_before  # nothing told it yet
    assert other.known(at_least=stored_clock()).rule("response", "refund_policy").ttl_s == 5


@pytest.mark.django_db(transaction=True)
def test_another_process_learns_by_the_row_without_the_store() -> None:
    other = Snapshot(decisions())
    other.known()
    TtlRule.objects.create(level="response", intent="refund_policy", ttl_s=5)
    other.catch_up()
    assert other.known().rule("response", "refund_policy").ttl_s == 5


@pytest.mark.django_db(transaction=True)
def test_a_store_that_forgot_the_clock_is_told_again() -> None:
    with transaction.atomic():
        number = advance_clock()
    cache_engine().store.delete([CLOCK_NAME])
    watch_clock()
    assert stored_clock() == number


@pytest.mark.django_db(transaction=True)
def test_a_lower_number_in_the_store_is_ignored() -> None:
    with transaction.atomic():
        number = advance_clock()
    cache_engine().store.raise_number(CLOCK_NAME, 0)
    assert stored_clock() == number
    assert snapshot().known(at_least=0).clock <= number


@pytest.mark.django_db
def test_what_is_known_costs_no_query(django_assert_num_queries: Any) -> None:
    snapshot().known()
    with django_assert_num_queries(0):
        snapshot().known()
        snapshot().known(at_least=0)


@pytest.mark.django_db
@pytest.mark.usefixtures("over_redis")
@pytest.mark.parametrize("fails", ["clock", "knowledge"])
def test_nothing_is_reused_while_outdated_rules_cannot_be_loaded(
    monkeypatch: pytest.MonkeyPatch, shelf: Shelf, fails: str
) -> None:
    key = shelf.put("how long?")
    known = snapshot().known()
    Clock.objects.update(number=known.clock + 1)

    def fail(_self: Decisions) -> None:
        raise SourceUnavailable

    monkeypatch.setattr(Decisions, fails, fail)
    shelf.engine.store.raise_number(CLOCK_NAME, known.clock)
    assert shelf.has(key)  # what is known is what the store has just said
    shelf.engine.store.raise_number(CLOCK_NAME, known.clock + 1)
    assert not shelf.has(key)


@pytest.mark.django_db
@pytest.mark.parametrize("ask", [Decisions.clock, Decisions.knowledge])
@pytest.mark.parametrize("error", [DatabaseError, InterfaceError])
def test_a_failing_database_is_a_source_that_cannot_be_had(
    monkeypatch: pytest.MonkeyPatch, ask: Any, error: type[Exception]
) -> None:
    def fail(*_args: Any, **_options: Any) -> None:
        raise error

    monkeypatch.setattr(Clock.objects, "filter", fail)
    with pytest.raises(SourceUnavailable):
        ask(decisions())


@pytest.mark.django_db(transaction=True)
def test_all_that_is_decided_is_known_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decisions(), "load_revisions", decisions().load_revisions)  # put back afterwards
    register_revisions(lambda: {"shop": "r1"})
    TtlRule.objects.update_or_create(
        level="reply", intent="", defaults={"ttl_s": 60, "stale_while_revalidate_s": 5, "stale_if_error_s": 7}
    )
    record = flush(EVERYTHING, actor="ada")
    Clock.objects.update(floor=3)
    known = Snapshot(decisions()).known()
    rule = known.rules["reply", ""]
    assert (known.clock, known.floor, known.is_on) == (record.clock, 3, True)
    assert (rule.ttl_s, rule.stale_while_revalidate_s, rule.stale_if_error_s) == (60, 5, 7)
    assert known.revisions == {"shop": "r1"}


@pytest.mark.django_db(transaction=True)
def test_flushes_beyond_what_a_process_knows_raise_its_floor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot_module, "MAX_FLUSHES", 2)
    for clock in (1, 2, 3, 4):
        FlushRecord.objects.create(clock=clock, kind="tag", match=f"doc:{clock}", actor="ada")
    FlushRecord.objects.create(clock=5, kind="tag", match="doc:4", actor="ada")  # said again: counts once
    assert Snapshot(decisions()).known().floor == 2


@pytest.mark.django_db(transaction=True)
def test_deleting_a_rule_raises_the_clock() -> None:
    rule = TtlRule.objects.create(level="response", intent="x", ttl_s=5)
    before = Clock.objects.get().number
    rule.delete()
    assert Clock.objects.get().number == before + 1


def test_there_is_one_snapshot_in_a_process() -> None:
    assert snapshot() is snapshot_module.snapshot()
