"""Waiting in one process, and a decision falls: who may still share, and who begins again."""

from collections import Counter
from collections.abc import Callable

import pytest

from cachemgmt.engine.filling.filling import Filler
from cachemgmt.engine.filling.results import FillOutcome
from cachemgmt.engine.reuse.knowledge import CLOCK_NAME, Rule
from tests.cachemgmt.engine.fakes import (
    WITHIN_S,
    FakeSource,
    Fill,
    Hung,
    StagedStore,
    Threads,
    WatchedFlights,
    never,
    take,
)


def statuses(outcomes: list[FillOutcome]) -> Counter[str]:
    return Counter(outcome.status for outcome in outcomes)


# A decision during the fill -----------------------------------------------------------------------------


def test_of_those_who_came_after_a_flush_one_fills_again_and_the_others_wait(
    filler: Filler, store: StagedStore, source: FakeSource, flights: WatchedFlights[FillOutcome | None]
) -> None:
    fill = Hung()
    with Threads() as threads:
        leader = threads.start(lambda: take(filler, fill))
        assert fill.began.wait(WITHIN_S)
        source.flush(store)
        calls = threads.start_together(10, lambda: take(filler, fill))
        flights.await_joined(11)
        fill.let_go.set()
    outcomes = [call.result() for call in calls]
    assert fill.calls == 2
    assert {(outcome.value, outcome.is_overtaken) for outcome in outcomes} == {("made 2", False)}
    assert statuses(outcomes)["miss"] == 1
    assert (leader.result().value, leader.result().is_overtaken) == ("made 1", True)
    assert take(filler, never).value == "made 2"


def test_those_who_came_before_a_flush_are_told_of_it_like_the_leader_and_make_nothing_in_vain(
    filler: Filler, store: StagedStore, source: FakeSource, flights: WatchedFlights[FillOutcome | None]
) -> None:
    """Whatever they made would carry the clock of before the flush, and be dead on arrival, too."""

    def during() -> None:
        flights.await_joined(10)
        source.flush(store)

    fill = Fill(during=during)
    with Threads() as threads:
        calls = threads.start_together(10, lambda: take(filler, fill))
    outcomes = [call.result() for call in calls]
    assert fill.calls == 1
    assert all(outcome.is_overtaken and not outcome.is_stored for outcome in outcomes)
    assert statuses(outcomes) == {"miss": 1, "collapsed": 9}
    assert list(store.names("*:*")) == []


def level_off(source: FakeSource, store: StagedStore) -> None:
    source.decide(store, rules={("reply", ""): Rule(ttl_s=60, is_enabled=False)})


def cache_off(source: FakeSource, store: StagedStore) -> None:
    source.decide(store, is_on=False)


@pytest.mark.parametrize("switch", [level_off, cache_off])
def test_a_level_switched_off_meanwhile_has_nobody_wait_twice(
    filler: Filler,
    store: StagedStore,
    source: FakeSource,
    flights: WatchedFlights[FillOutcome | None],
    switch: Callable[[FakeSource, StagedStore], None],
) -> None:
    """Else they would fill one after the other, each waiting for all before him."""

    def during() -> None:
        flights.await_joined(10)
        switch(source, store)

    fill = Fill(during=during)
    with Threads() as threads:
        calls = threads.start_together(10, lambda: take(filler, fill))
    assert {call.result().value for call in calls} <= {f"made {number}" for number in range(1, 11)}
    assert not any(call.result().is_stored for call in calls)
    with pytest.raises(AssertionError):
        flights.await_joined(1, within_s=0)
    assert list(store.names("reply:*")) == []


# Where it is not known whether one fell ------------------------------------------------------------------


def cut_off(source: FakeSource, store: StagedStore) -> None:
    """Neither the store nor the database says anything."""
    source.is_confirmed = False


def told_of_news(source: FakeSource, store: StagedStore) -> None:
    """The store has told of news that cannot be read."""
    source.flush(store)
    source.is_database_out = True
    source.is_confirmed = False


@pytest.mark.parametrize("happens", [cut_off, told_of_news])
def test_who_cannot_know_takes_only_what_was_begun_since_he_came(
    filler: Filler,
    store: StagedStore,
    source: FakeSource,
    flights: WatchedFlights[FillOutcome | None],
    happens: Callable[[FakeSource, StagedStore], None],
) -> None:
    """What was begun before may have been flushed before he came."""
    happens(source, store)
    first, second = Hung(), Fill(during=lambda: flights.await_joined(10))
    with Threads() as threads:
        leader = threads.start(lambda: take(filler, first))
        assert first.began.wait(WITHIN_S)
        calls = threads.start_together(10, lambda: take(filler, second))
        flights.await_joined(11)
        first.let_go.set()
        outcomes = [call.result(WITHIN_S) for call in calls]
    assert (first.calls, second.calls) == (1, 1)
    assert {id(outcome.entry) for outcome in outcomes}.isdisjoint({id(leader.result().entry)})
    assert statuses(outcomes) == {"miss": 1, "collapsed": 9}


def test_who_learns_from_the_store_that_nothing_fell_shares(
    filler: Filler, store: StagedStore, source: FakeSource, flights: WatchedFlights[FillOutcome | None]
) -> None:
    source.is_confirmed = False
    store.raise_number(CLOCK_NAME, 5)
    fill = Fill(during=lambda: flights.await_joined(10))
    with Threads() as threads:
        calls = threads.start_together(10, lambda: take(filler, fill))
    assert fill.calls == 1
    assert statuses([call.result() for call in calls]) == {"miss": 1, "collapsed": 9}
