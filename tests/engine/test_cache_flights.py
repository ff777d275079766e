"""Filling for many callers: whoever misses together pays once, and shares only what he may."""

from collections import Counter
from threading import Event

import pytest

from cachemgmt.engine.cache import Cache
from cachemgmt.engine.errors import StoreUnavailable
from cachemgmt.engine.results import Made, Outcome
from tests.engine.fakes import (
    KEY,
    WITHIN_S,
    FakeSource,
    Fill,
    StagedStore,
    Threads,
    WatchedFlights,
    make_key,
    make_made,
    never,
    take,
)

CROWD = 50


@pytest.fixture
def flights(cache: Cache) -> WatchedFlights[Outcome]:
    """The cache's flights, which tell who has joined."""
    flights: WatchedFlights[Outcome] = WatchedFlights()
    cache._flights = flights
    return flights


# Together -----------------------------------------------------------------------------------------------


def test_a_crowd_pays_once(cache: Cache, flights: WatchedFlights[Outcome]) -> None:
    fill = Fill(during=lambda: flights.await_joined(CROWD))
    with Threads() as threads:
        calls = threads.start_together(CROWD, lambda: take(cache, fill))
    outcomes = [call.result() for call in calls]
    assert fill.calls == 1
    assert {outcome.value for outcome in outcomes} == {"made 1"}
    assert Counter(outcome.status for outcome in outcomes) == {"miss": 1, "collapsed": CROWD - 1}
    assert take(cache, never).status == "hit"


def test_every_key_is_filled_once_however_the_threads_fall(cache: Cache) -> None:
    fills = {key: Fill(key) for key in map(make_key, "abcde")}

    def work() -> None:
        for key, fill in fills.items():
            assert take(cache, fill, key).value == "made 1"

    with Threads() as threads:
        calls = threads.start_together(40, work)
    for call in calls:
        call.result()
    assert [fill.calls for fill in fills.values()] == [1] * len(fills)


def test_a_failing_fill_reaches_the_whole_crowd_and_is_not_kept(
    cache: Cache, flights: WatchedFlights[Outcome]
) -> None:
    error = LookupError("the model is out")
    failed = 0

    def fail() -> Made:
        nonlocal failed
        failed += 1
        flights.await_joined(CROWD)
        raise error

    with Threads() as threads:
        calls = threads.start_together(CROWD, lambda: take(cache, fail))
    assert failed == 1
    assert all(call.exception() is error for call in calls)
    assert take(cache, Fill()).status == "miss"


def test_different_keys_do_not_wait_for_each_other(cache: Cache) -> None:
    with Threads() as threads:

        def fill_another() -> None:
            other = threads.start(lambda: take(cache, Fill(make_key("b")), make_key("b")))
            assert other.result(WITHIN_S).status == "miss"

        assert take(cache, Fill(make_key("a"), during=fill_another), make_key("a")).status == "miss"


def test_a_result_that_may_not_be_kept_is_given_to_nobody_else(
    cache: Cache, flights: WatchedFlights[Outcome]
) -> None:
    fill = Fill(None, during=lambda: flights.await_joined(10))
    with Threads() as threads:
        calls = threads.start_together(10, lambda: take(cache, fill))
    assert {call.result().status for call in calls} == {"bypass"}
    assert len({call.result().value for call in calls}) == fill.calls == 10


def test_a_result_for_one_customer_is_given_to_him_alone(
    cache: Cache, flights: WatchedFlights[Outcome]
) -> None:
    ann, bob = make_key("ann"), make_key("bob")
    is_filling = Event()

    def during() -> None:
        is_filling.set()
        flights.await_joined(3)

    with Threads() as threads:
        leader = threads.start(lambda: take(cache, Fill(ann, during=during), KEY, ann))
        assert is_filling.wait(WITHIN_S)
        again = threads.start(lambda: take(cache, never, KEY, ann))
        other = threads.start(lambda: take(cache, lambda: make_made(bob, "bob's"), KEY, bob))
    assert leader.result().value == again.result().value == "made 1"
    assert again.result().status == "collapsed"
    assert (other.result().status, other.result().value) == ("miss", "bob's")
    assert take(cache, never, KEY, bob).value == "bob's"


def test_a_crowd_shares_a_result_that_could_not_be_stored(
    cache: Cache, store: StagedStore, flights: WatchedFlights[Outcome]
) -> None:
    store.fails = {"get_many": StoreUnavailable(), "set": StoreUnavailable()}
    fill = Fill(during=lambda: flights.await_joined(CROWD))
    with Threads() as threads:
        calls = threads.start_together(CROWD, lambda: take(cache, fill))
    assert fill.calls == 1
    assert {call.result().value for call in calls} == {"made 1"}
    assert not any(call.result().is_stored for call in calls)


def test_a_waiter_fills_when_the_leader_takes_too_long(
    cache: Cache, flights: WatchedFlights[Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cachemgmt.engine.cache.WAIT_S", 0)
    is_filling, may_end = Event(), Event()

    def during() -> None:
        is_filling.set()
        assert may_end.wait(WITHIN_S)

    fill = Fill(during=during)
    with Threads() as threads:
        leader = threads.start(lambda: take(cache, fill))
        assert is_filling.wait(WITHIN_S)
        assert (take(cache, fill).value, take(cache, never).status) == ("made 2", "hit")
        may_end.set()
    assert leader.result().value == "made 1"


# Between look-up and lead -------------------------------------------------------------------------------


def test_a_flight_that_landed_meanwhile_is_not_flown_again(cache: Cache, store: StagedStore) -> None:
    """One looks up and finds nothing; before he becomes leader, another fills from beginning to end."""
    store.after_read = lambda: take(cache, Fill())
    outcome = take(cache, never)
    assert (outcome.status, outcome.value) == ("hit", "made 1")


def test_a_flight_of_another_key_that_landed_meanwhile_does_not_matter(
    cache: Cache, store: StagedStore
) -> None:
    other = make_key("b")
    store.after_read = lambda: take(cache, Fill(other), other)
    assert take(cache, Fill()).status == "miss"


def test_a_store_that_fails_at_the_second_look_does_not_hinder(cache: Cache, store: StagedStore) -> None:
    def step_in() -> None:
        take(cache, Fill())
        store.fails = {"get_many": StoreUnavailable()}

    store.after_read = step_in
    assert take(cache, lambda: make_made(KEY, "mine")).value == "mine"


# A flush during a fill ----------------------------------------------------------------------------------


def test_what_was_flushed_while_it_was_made_is_dead_on_arrival(
    cache: Cache, store: StagedStore, source: FakeSource
) -> None:
    fill = Fill(during=lambda: source.flush(store))
    assert take(cache, fill).value == "made 1"
    again = take(cache, fill)
    assert (again.status, again.reason, again.value) == ("miss", "flushed", "made 2")
    assert take(cache, never).value == "made 2"


def test_one_who_came_after_a_flush_does_not_take_what_was_begun_before_it(
    cache: Cache, store: StagedStore, source: FakeSource, flights: WatchedFlights[Outcome]
) -> None:
    is_flushed = Event()

    def during() -> None:
        source.flush(store, "tag", f"entry:{KEY.entry_id}")
        is_flushed.set()
        flights.await_joined(2)

    fill = Fill(during=during)
    with Threads() as threads:
        leader = threads.start(lambda: take(cache, fill))
        assert is_flushed.wait(WITHIN_S)
        waiter = threads.start(lambda: take(cache, fill))
    assert leader.result().value == "made 1"
    assert (waiter.result().status, waiter.result().value) == ("miss", "made 2")
    assert take(cache, never).value == "made 2"


def test_a_flush_of_something_else_lets_a_waiter_share(
    cache: Cache, store: StagedStore, source: FakeSource, flights: WatchedFlights[Outcome]
) -> None:
    is_flushed = Event()

    def during() -> None:
        source.flush(store, "tag", "doc:other")
        is_flushed.set()
        flights.await_joined(2)

    with Threads() as threads:
        leader = threads.start(lambda: take(cache, Fill(during=during)))
        assert is_flushed.wait(WITHIN_S)
        waiter = threads.start(lambda: take(cache, never))
    assert leader.result().status == "miss"
    assert waiter.result().status == "collapsed"
