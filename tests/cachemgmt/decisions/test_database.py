"""What a process knows of decisions taken elsewhere, and how it learns of them."""

import logging
from collections.abc import Callable
from typing import Any

import pytest
from django.db import DatabaseError, InterfaceError, transaction
from django.utils import timezone

from cachemgmt.announcing import told_clock
from cachemgmt.api import cache_engine, register_revisions
from cachemgmt.decisions import database as snapshot_module
from cachemgmt.decisions.database import Decisions, decisions, snapshot
from cachemgmt.engine.errors import SourceUnavailable
from cachemgmt.engine.reuse.knowledge import CLOCK_NAME
from cachemgmt.engine.reuse.watched_knowledge import WatchedKnowledge
from cachemgmt.flushing import removal
from cachemgmt.flushing.flush import EVERYTHING, entry_target, flush
from cachemgmt.models import Clock, FlushRecord, TtlRule
from cachemgmt.server.threads import watch_clock
from tests.cachemgmt.conftest import Shelf


def stored_clock() -> int:
    return int(cache_engine().store.get(CLOCK_NAME) or b"0")


@pytest.mark.django_db(transaction=True)
def test_the_clock_is_told_to_the_store_after_the_commit_only() -> None:
    with transaction.atomic():
        number = Clock.objects.advance()
        assert stored_clock() < number
    assert stored_clock() == number


@pytest.mark.django_db(transaction=True)
def test_a_rolled_back_change_leaves_the_clock_alone() -> None:
    before = snapshot().catch_up()

    def fail_midway() -> None:
        with transaction.atomic():
            Clock.objects.advance()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_midway()
    assert snapshot().catch_up() == before
    assert stored_clock() <= before


@pytest.mark.django_db(transaction=True)
def test_the_clock_is_not_raised_outside_a_transaction() -> None:
    with pytest.raises(RuntimeError, match="inside the transaction"):
        Clock.objects.advance()


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
    other = WatchedKnowledge(decisions())
    known_before = other.known()
    TtlRule.objects.create(level="response", intent="refund_policy", ttl_s=5)
    assert other.known() is known_before  # nothing told it yet
    assert other.known(at_least=stored_clock()).rule("response", "refund_policy").ttl_s == 5


@pytest.mark.django_db(transaction=True)
def test_another_process_learns_by_the_row_without_the_store() -> None:
    other = WatchedKnowledge(decisions())
    other.known()
    TtlRule.objects.create(level="response", intent="refund_policy", ttl_s=5)
    other.catch_up()
    assert other.known().rule("response", "refund_policy").ttl_s == 5


@pytest.mark.django_db(transaction=True)
def test_a_store_that_forgot_the_clock_is_told_again() -> None:
    with transaction.atomic():
        number = Clock.objects.advance()
    cache_engine().store.delete([CLOCK_NAME])
    watch_clock()
    assert stored_clock() == number


@pytest.mark.django_db(transaction=True)
def test_a_lower_number_in_the_store_is_ignored() -> None:
    with transaction.atomic():
        number = Clock.objects.advance()
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
    known = WatchedKnowledge(decisions()).known()
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
    assert WatchedKnowledge(decisions()).known().floor == 2


@pytest.mark.django_db(transaction=True)
def test_deleting_a_rule_raises_the_clock() -> None:
    rule = TtlRule.objects.create(level="response", intent="x", ttl_s=5)
    before = Clock.objects.get().number
    rule.delete()
    assert Clock.objects.get().number == before + 1


def test_there_is_one_snapshot_in_a_process() -> None:
    assert snapshot() is snapshot_module.snapshot()


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("over_redis")
class TestOtherHistory:
    """The database was restored or made anew, and Redis was not."""

    def restore(self, number: int) -> None:
        """Be as the database was at that number."""
        FlushRecord.objects.filter(clock__gt=number).delete()
        Clock.objects.update(number=number, floor=0)

    def raised(self) -> tuple[int, int]:
        clock = Clock.objects.get()
        return clock.number, clock.floor

    def test_nothing_of_either_history_is_reused(
        self, shelf: Shelf, caplog: pytest.LogCaptureFixture
    ) -> None:
        flush(EVERYTHING, actor="ada")
        before = Clock.objects.get().number
        common = shelf.put("before the backup")
        flush(EVERYTHING, actor="ada")  # is lost with what was after the backup
        later = shelf.put("after the backup")
        self.restore(before)
        with caplog.at_level(logging.WARNING):
            watch_clock()
            watch_clock()
        told = before + 2
        assert (self.raised(), stored_clock()) == ((told, told), told)
        warnings = [record for record in caplog.records if record.levelno >= logging.WARNING]
        assert [record.__dict__["action"] for record in warnings] == ["outrun"]
        for _ in range(2):
            assert not shelf.has(common)
            assert not shelf.has(later)
            flush(entry_target("0" * 16), actor="ada")  # the clock goes on, past where it was
        assert shelf.has(shelf.put("since"))

    def test_a_database_made_anew_is_raised_too(self, shelf: Shelf) -> None:
        for _ in range(3):
            flush(EVERYTHING, actor="ada")
        old, told = shelf.put("old"), stored_clock()
        Clock.objects.all().delete()
        watch_clock()
        assert self.raised() == (told + 1, told + 1)
        assert not shelf.has(old)

    def test_what_is_announced_between_the_two_questions_is_no_other_history(
        self, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        kept = shelf.put("kept")
        watch_clock()
        answered: list[object] = []

        def then_decide(ask: Callable[..., Any]) -> Callable[..., Any]:
            def asked(*args: Any) -> object:
                answered.append(ask(*args))
                if len(answered) == 1:
                    with transaction.atomic():
                        Clock.objects.advance()
                return answered[-1]

            return asked

        monkeypatch.setattr("cachemgmt.server.threads.told_clock", then_decide(told_clock))
        monkeypatch.setattr(Decisions, "clock", then_decide(Decisions.clock))
        watch_clock()
        assert len(answered) == 2
        assert self.raised() == (stored_clock(), 0)
        assert shelf.has(kept)

    @pytest.mark.parametrize("told", ["banana", "-9", "1e9", "", "9" * 16, str(2**63 - 1), "9" * 400])
    def test_a_number_that_no_clock_has_is_not_believed(self, told: str) -> None:
        with transaction.atomic():
            number = Clock.objects.advance()
        cache_engine().store.set(CLOCK_NAME, told.encode(), 60)
        watch_clock()
        assert self.raised() == (number, 0)

    def test_it_is_raised_once_however_many_find_it(self) -> None:
        with transaction.atomic():
            number = Clock.objects.advance()
        for _ in range(3):
            decisions().outrun(number + 5)
        assert self.raised() == (number + 6, number + 6)

    def test_trimming_does_not_lower_the_floor(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for _ in range(3):
            flush(EVERYTHING, actor="ada")
        told = stored_clock() + 100
        cache_engine().store.raise_number(CLOCK_NAME, told)
        watch_clock()
        monkeypatch.setattr(removal, "KEPT_RECORDS", 1)
        flush(EVERYTHING, actor="ada")
        assert removal.trim_records() == 3
        assert Clock.objects.get().floor == told + 1


@pytest.mark.django_db(transaction=True)
def test_another_history_with_the_same_number_is_loaded() -> None:
    rule, _ = TtlRule.objects.update_or_create(level="response", intent="", defaults={"ttl_s": 60})
    watch_clock()
    number = Clock.objects.get().number
    TtlRule.objects.unannounced().filter(pk=rule.pk).update(ttl_s=5)
    Clock.objects.update(number=number, changed_at=timezone.now())
    watch_clock()
    assert snapshot().known().rule("response", None).ttl_s == 5
