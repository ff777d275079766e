"""Fills over several processes that leave nothing to share: failed, another's own, or flushed meanwhile."""

import pytest

from cachemgmt.engine.filling.lease import NOTE_S
from tests.cachemgmt.engine.fakes import (
    KEY,
    FakeSource,
    FakeTime,
    Fill,
    StagedStore,
    Threads,
    make_key,
    make_made,
    never,
    take,
)
from tests.cachemgmt.engine.processes import Filling, Process, ProviderOut

# A fill that leaves nothing to share --------------------------------------------------------------------


def test_a_failure_is_told_to_those_who_wait_and_those_who_come_soon(
    one: Process, other: Process, third: Process, now: FakeTime
) -> None:
    with Threads() as threads:
        failing = Filling(one, threads, error=ProviderOut("busy"))
        other.steps = [failing.fail]
        with pytest.raises(ProviderOut, match=r"^busy$"):
            take(other.filler, never)
        now.advance(NOTE_S - 0.5)
        for process in (one, other, third):
            with pytest.raises(ProviderOut, match=r"^busy$"):
                take(process.filler, never)
        now.advance(0.5)
        assert take(third.filler, Fill()).status == "miss"
    assert failing.fill.calls == 1


@pytest.mark.parametrize("error", [LookupError("x"), SystemExit(1)])
def test_an_error_that_is_not_the_providers_is_told_to_no_other_process(
    one: Process, other: Process, error: BaseException
) -> None:
    with Threads() as threads:
        failing = Filling(one, threads, error=error)
        other.steps = [failing.fail]
        assert take(other.filler, Fill()).status == "miss"
    assert other.naps == 1


def test_where_the_result_is_not_for_sharing_each_fills_for_himself(
    one: Process, other: Process, third: Process, now: FakeTime
) -> None:
    with Threads() as threads:
        filling = Filling(one, threads, kept_under=None)
        other.steps = [filling.end]

        def meanwhile() -> None:
            assert take(third.filler, Fill(None)).reason == "personal"

        outcome = take(other.filler, Fill(None, during=meanwhile))
    assert (outcome.status, outcome.reason, outcome.is_stored) == ("bypass", "personal", False)
    assert (other.naps, third.naps) == (1, 0)
    now.advance(NOTE_S)
    assert take(third.filler, Fill()).is_stored


def test_what_is_kept_for_one_customer_is_shared_with_him_alone(one: Process, other: Process) -> None:
    ann, bob = make_key("ann"), make_key("bob")
    with Threads() as threads:
        filling = Filling(one, threads, KEY, ann, kept_under=ann)
        other.steps = [filling.end]
        assert take(other.filler, never, KEY, ann).value == "made 1"
        assert take(other.filler, lambda: make_made(bob, "bob's"), KEY, bob).value == "bob's"


# A flush meanwhile --------------------------------------------------------------------------------------


def test_who_came_after_a_flush_does_not_take_what_was_begun_before_it(
    one: Process, other: Process, third: Process, store: StagedStore, source: FakeSource
) -> None:
    with Threads() as threads:
        filling = Filling(one, threads)
        source.flush(store)
        other.steps = [filling.end]
        outcome = take(other.filler, lambda: make_made(KEY, "anew"))
    assert (outcome.status, outcome.value, outcome.is_overtaken) == ("miss", "anew", False)
    assert (filling.end().is_overtaken, filling.end().is_stored) == (True, False)
    assert take(third.filler, never).value == "anew"


def test_what_was_stored_before_a_flush_is_not_taken_by_who_waited_for_it(
    one: Process, other: Process, store: StagedStore, source: FakeSource
) -> None:
    with Threads() as threads:
        filling = Filling(one, threads)

        def step() -> None:
            assert filling.end().is_stored
            source.flush(store)

        other.steps = [step]
        outcome = take(other.filler, Fill())
    assert (outcome.status, outcome.is_overtaken, outcome.is_stored) == ("miss", True, False)
