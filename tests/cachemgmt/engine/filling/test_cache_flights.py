"""Filling for many callers: whoever misses together pays once, and shares only what he may."""

from collections import Counter
from threading import Event

import pytest

from cachemgmt.engine.errors import StoreUnavailable
from cachemgmt.engine.filling.filling import Filler
from cachemgmt.engine.filling.flight import Flight
from cachemgmt.engine.filling.results import FillOutcome, FillResult
from tests.cachemgmt.engine.fakes import (
    KEY,
    WITHIN_S,
    FakeSource,
    FakeTime,
    Fill,
    Hung,
    StagedStore,
    Threads,
    WatchedFlights,
    make_key,
    make_made,
    never,
    take,
)

CROWD = 50


# Together -----------------------------------------------------------------------------------------------


def test_a_crowd_pays_once(filler: Filler, flights: WatchedFlights[FillOutcome | None]) -> None:
    fill = Fill(during=lambda: flights.await_joined(CROWD))
    with Threads() as threads:
        calls = threads.start_together(CROWD, lambda: take(filler, fill))
    outcomes = [call.result() for call in calls]
    assert fill.calls == 1
    assert {outcome.value for outcome in outcomes} == {"made 1"}
    assert Counter(outcome.status for outcome in outcomes) == {"miss": 1, "collapsed": CROWD - 1}
    assert take(filler, never).status == "hit"


def test_every_key_is_filled_once_however_the_threads_fall(filler: Filler) -> None:
    fills = {key: Fill(key) for key in map(make_key, "abcde")}

    def work() -> None:
        for key, fill in fills.items():
            assert take(filler, fill, key).value == "made 1"

    with Threads() as threads:
        calls = threads.start_together(40, work)
    for call in calls:
        call.result()
    assert [fill.calls for fill in fills.values()] == [1] * len(fills)


def test_a_failing_fill_reaches_the_whole_crowd_and_is_not_kept(
    filler: Filler, flights: WatchedFlights[FillOutcome | None]
) -> None:
    error = LookupError("the model is out")
    error.hint = "ask later"  # type: ignore[attr-defined]
    failed = 0

    def fail() -> FillResult:
        nonlocal failed
        failed += 1
        flights.await_joined(CROWD)
        raise error

    with Threads() as threads:
        calls = threads.start_together(CROWD, lambda: take(filler, fail))
    assert failed == 1
    raised = [call.exception() for call in calls]
    assert {(type(one), str(one), getattr(one, "hint", "")) for one in raised} == {
        (LookupError, str(error), "ask later")
    }
    assert len({id(one) for one in raised}) == CROWD  # one in many threads would mix their tracebacks
    assert {one.__cause__ for one in raised if one is not error and one} == {error}
    assert take(filler, Fill()).status == "miss"


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()])
def test_what_ends_the_fillers_thread_ends_no_other(
    filler: Filler, flights: WatchedFlights[FillOutcome | None], error: BaseException
) -> None:
    dies, fills = Hung(), Fill()
    dies.error = error
    with Threads() as threads:
        dying = threads.start(lambda: take(filler, dies))
        assert dies.began.wait(WITHIN_S)
        waiter = threads.start(lambda: take(filler, fills))
        flights.await_joined(2)
        dies.let_go.set()
        assert waiter.result(WITHIN_S).value == "made 1"
    assert dying.exception() is error


def test_different_keys_do_not_wait_for_each_other(filler: Filler) -> None:
    with Threads() as threads:

        def fill_another() -> None:
            other = threads.start(lambda: take(filler, Fill(make_key("b")), make_key("b")))
            assert other.result(WITHIN_S).status == "miss"

        assert take(filler, Fill(make_key("a"), during=fill_another), make_key("a")).status == "miss"


def test_a_result_that_may_not_be_kept_is_given_to_nobody_else(
    filler: Filler, flights: WatchedFlights[FillOutcome | None]
) -> None:
    fill = Fill(None, during=lambda: flights.await_joined(10))
    with Threads() as threads:
        calls = threads.start_together(10, lambda: take(filler, fill))
    assert {call.result().status for call in calls} == {"bypass"}
    assert len({call.result().value for call in calls}) == fill.calls == 10


def test_a_result_for_one_customer_is_given_to_him_alone(
    filler: Filler, flights: WatchedFlights[FillOutcome | None]
) -> None:
    ann, bob = make_key("ann"), make_key("bob")
    is_filling = Event()

    def during() -> None:
        is_filling.set()
        flights.await_joined(3)

    with Threads() as threads:
        leader = threads.start(lambda: take(filler, Fill(ann, during=during), KEY, ann))
        assert is_filling.wait(WITHIN_S)
        again = threads.start(lambda: take(filler, never, KEY, ann))
        other = threads.start(lambda: take(filler, lambda: make_made(bob, "bob's"), KEY, bob))
    assert leader.result().value == again.result().value == "made 1"
    assert again.result().status == "collapsed"
    assert (other.result().status, other.result().value) == ("miss", "bob's")
    assert take(filler, never, KEY, bob).value == "bob's"


def test_a_crowd_shares_a_result_that_could_not_be_stored(
    filler: Filler, store: StagedStore, flights: WatchedFlights[FillOutcome | None]
) -> None:
    store.fails = {"get_many": StoreUnavailable(), "set_leased": StoreUnavailable()}
    fill = Fill(during=lambda: flights.await_joined(CROWD))
    with Threads() as threads:
        calls = threads.start_together(CROWD, lambda: take(filler, fill))
    assert fill.calls == 1
    assert {call.result().value for call in calls} == {"made 1"}
    assert not any(call.result().is_stored for call in calls)


@pytest.mark.parametrize(("made_before_s", "is_shared"), [(0, True), (4, True), (6, False)])
def test_a_waiters_max_age_counts_from_his_asking(
    filler: Filler,
    flights: WatchedFlights[FillOutcome | None],
    now: FakeTime,
    monkeypatch: pytest.MonkeyPatch,
    made_before_s: float,
    is_shared: bool,
) -> None:
    """What is made while he waits is no older than what he would make, however late he is woken."""
    land = flights.land

    def land_late(key: str, flight: Flight[FillOutcome | None], result: FillOutcome | None) -> None:
        now.advance(2)
        land(key, flight, result)

    monkeypatch.setattr(flights, "land", land_late)
    made_at, may_end = now() - made_before_s, Event()

    def fill() -> FillResult:
        assert may_end.wait(WITHIN_S)
        return make_made(KEY, "made 1", made_at=made_at)

    with Threads() as threads:
        leader = threads.start(lambda: take(filler, fill))
        flights.await_joined(1)
        waiter = threads.start(lambda: take(filler, lambda: make_made(KEY, "mine"), max_age_s=5))
        flights.await_joined(1)
        may_end.set()
    assert leader.result().value == "made 1"
    expected = ("collapsed", "made 1") if is_shared else ("miss", "mine")
    assert (waiter.result().status, waiter.result().value) == expected


# Between look-up and lead -------------------------------------------------------------------------------


def test_a_flight_that_landed_meanwhile_is_not_flown_again(filler: Filler, store: StagedStore) -> None:
    """One looks up and finds nothing; before he becomes leader, another fills from beginning to end."""
    store.after_read = lambda: take(filler, Fill())
    outcome = take(filler, never)
    assert (outcome.status, outcome.value) == ("hit", "made 1")


def test_a_flight_of_another_key_that_landed_meanwhile_does_not_matter(
    filler: Filler, store: StagedStore
) -> None:
    other = make_key("b")
    store.after_read = lambda: take(filler, Fill(other), other)
    assert take(filler, Fill()).status == "miss"


def test_a_store_that_fails_at_the_second_look_does_not_hinder(filler: Filler, store: StagedStore) -> None:
    def step_in() -> None:
        take(filler, Fill())
        store.fails = {"take_lease": StoreUnavailable()}

    store.after_read = step_in
    assert take(filler, lambda: make_made(KEY, "mine")).value == "mine"


# A flush during a fill ----------------------------------------------------------------------------------


def test_what_was_flushed_while_it_was_made_is_dead_on_arrival(
    filler: Filler, store: StagedStore, source: FakeSource
) -> None:
    fill = Fill(during=lambda: source.flush(store))
    overtaken = take(filler, fill)
    assert (overtaken.value, overtaken.is_overtaken, overtaken.is_stored) == ("made 1", True, False)
    assert list(store.names("reply:*")) == []
    again = take(filler, fill)
    assert (again.status, again.value, again.is_overtaken) == ("miss", "made 2", False)
    assert take(filler, never).value == "made 2"


def test_one_who_came_after_a_flush_does_not_take_what_was_begun_before_it(
    filler: Filler, store: StagedStore, source: FakeSource, flights: WatchedFlights[FillOutcome | None]
) -> None:
    is_flushed = Event()

    def during() -> None:
        source.flush(store, "tag", f"entry:{KEY.entry_id}")
        is_flushed.set()
        flights.await_joined(2)

    fill = Fill(during=during)
    with Threads() as threads:
        leader = threads.start(lambda: take(filler, fill))
        assert is_flushed.wait(WITHIN_S)
        waiter = threads.start(lambda: take(filler, fill))
    assert (leader.result().value, leader.result().is_overtaken) == ("made 1", True)
    assert (waiter.result().status, waiter.result().value) == ("miss", "made 2")
    assert take(filler, never).value == "made 2"


def test_a_flush_of_something_else_lets_a_waiter_share(
    filler: Filler, store: StagedStore, source: FakeSource, flights: WatchedFlights[FillOutcome | None]
) -> None:
    is_flushed = Event()

    def during() -> None:
        source.flush(store, "tag", "doc:other")
        is_flushed.set()
        flights.await_joined(2)

    with Threads() as threads:
        leader = threads.start(lambda: take(filler, Fill(during=during)))
        assert is_flushed.wait(WITHIN_S)
        waiter = threads.start(lambda: take(filler, never))
    assert leader.result().status == "miss"
    assert waiter.result().status == "collapsed"
