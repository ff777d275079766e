"""Waiting for another's fill in one process: who takes over, who shares, who begins again."""

from collections import Counter

import pytest

from cachemgmt.engine.filling.cache import Cache
from cachemgmt.engine.filling.filling import Filler
from cachemgmt.engine.filling.lease import Heartbeat
from cachemgmt.engine.filling.results import FillOutcome, FillResult
from tests.cachemgmt.engine.fakes import (
    KEY,
    WITHIN_S,
    FakeTime,
    Fill,
    Hung,
    StagedStore,
    Threads,
    WatchedFlights,
    keep,
    make_made,
    never,
    reason,
    take,
)

CROWD = 100
FILL_S = 0.02
"""A waiter's patience is real time, counted out on a time that the test moves."""


def statuses(calls: list[FillOutcome]) -> Counter[str]:
    return Counter(outcome.status for outcome in calls)


@pytest.fixture
def filler(cache: Cache, store: StagedStore, now: FakeTime) -> Filler:
    heartbeat = Heartbeat(store, now, is_threaded=False)
    return Filler(cache, fill_s=FILL_S, monotonic=now, sleep=now.advance, heartbeat=heartbeat)


# One fills ----------------------------------------------------------------------------------------------


def test_of_a_hundred_who_miss_at_once_one_fills_and_the_others_wait(
    filler: Filler, flights: WatchedFlights[FillOutcome | None]
) -> None:
    fill = Fill(during=lambda: flights.await_joined(CROWD))
    with Threads() as threads:
        calls = threads.start_together(CROWD, lambda: take(filler, fill))
    outcomes = [call.result() for call in calls]
    assert fill.calls == 1
    assert statuses(outcomes) == {"miss": 1, "collapsed": CROWD - 1}
    assert {(outcome.value, outcome.is_stored) for outcome in outcomes} == {("made 1", True)}
    assert len({id(outcome.entry) for outcome in outcomes}) == 1


@pytest.mark.parametrize("error", [LookupError("x"), SystemExit(1), KeyboardInterrupt()])
def test_whatever_ends_a_fill_gives_the_lease_back(
    filler: Filler, store: StagedStore, error: BaseException
) -> None:
    with pytest.raises(type(error)) as caught:
        take(filler, Fill(error=error))
    assert caught.value is error
    assert list(store.names()) == []
    assert take(filler, Fill()).status == "miss"


def test_a_result_that_cannot_be_encoded_gives_the_lease_back(filler: Filler, store: StagedStore) -> None:
    with pytest.raises(TypeError):
        take(filler, lambda: make_made(KEY, object()))
    assert list(store.names()) == []


# One takes over -----------------------------------------------------------------------------------------


def test_of_those_who_wait_for_a_hung_fill_one_takes_over_at_its_deadline(
    filler: Filler, flights: WatchedFlights[FillOutcome | None], now: FakeTime
) -> None:
    fill = Hung()
    with Threads() as threads:
        hung = threads.start(lambda: take(filler, fill))
        assert fill.began.wait(WITHIN_S)
        calls = threads.start_together(10, lambda: take(filler, fill))
        flights.await_joined(11)
        now.advance(FILL_S)
        outcomes = [call.result(WITHIN_S) for call in calls]
        assert not hung.done()
        fill.let_go.set()
    assert fill.calls == 2
    assert {outcome.value for outcome in outcomes} == {"made 2"}
    assert statuses(outcomes)["miss"] == 1
    late = hung.result()
    assert (late.status, late.value, late.is_stored) == ("miss", "made 1", False)
    assert take(filler, never).value == "made 2"


def test_a_late_leader_leaves_the_flight_of_his_successor_alone(
    filler: Filler, flights: WatchedFlights[FillOutcome | None], now: FakeTime
) -> None:
    first, second = Hung(), Hung()
    with Threads() as threads:
        late = threads.start(lambda: take(filler, first))
        assert first.began.wait(WITHIN_S)
        now.advance(FILL_S)
        successor = threads.start(lambda: take(filler, second))
        assert second.began.wait(WITHIN_S)
        first.let_go.set()
        assert not late.result(WITHIN_S).is_stored
        flights.await_joined(2)
        waiter = threads.start(lambda: take(filler, never))
        flights.await_joined(1)
        second.let_go.set()
        assert waiter.result(WITHIN_S).status == "collapsed"
    assert (successor.result().status, successor.result().is_stored) == ("miss", True)


def test_a_late_error_reaches_nobody_but_its_leader(
    filler: Filler, flights: WatchedFlights[FillOutcome | None], now: FakeTime
) -> None:
    fill = Hung()
    fill.error = LookupError("late")
    with Threads() as threads:
        hung = threads.start(lambda: take(filler, fill))
        assert fill.began.wait(WITHIN_S)
        waiter = threads.start(lambda: take(filler, Fill()))
        flights.await_joined(2)
        now.advance(FILL_S)
        assert waiter.result(WITHIN_S).status == "miss"
        fill.let_go.set()
    assert hung.exception() is fill.error
    assert take(filler, never).status == "hit"


# Where there is nothing to be shared --------------------------------------------------------------------


def test_what_another_stored_meanwhile_is_taken_and_the_lease_given_back(
    cache: Cache, filler: Filler, store: StagedStore
) -> None:
    store.after_read = lambda: keep(cache)
    outcome = take(filler, never)
    assert (outcome.status, outcome.reason, outcome.is_stored) == ("hit", "absent", True)
    assert list(store.names()) == [KEY.name]


def test_a_result_that_is_stale_already_is_returned_and_not_kept(
    cache: Cache, filler: Filler, store: StagedStore, now: FakeTime
) -> None:
    def fill() -> FillResult:
        return make_made(KEY, made_at=now() - 1800)

    outcome = take(filler, fill)
    assert (outcome.status, outcome.is_stored) == ("miss", False)
    assert list(store.names()) == []
    assert reason(cache) == "absent"
