"""One fill over several processes that share a store: who waits, who takes over, who keeps nothing."""

from itertools import pairwise

import pytest

from cachemgmt.engine.errors import NotFilled, StoreUnavailable
from cachemgmt.engine.filling.filling import FILL_S, LONGEST_POLL_S
from cachemgmt.engine.filling.lease import LEASE_S
from tests.cachemgmt.engine.fakes import (
    BEAT_S,
    KEY,
    WITHIN_S,
    FakeTime,
    Fill,
    StagedStore,
    Threads,
    WatchedFlights,
    make_key,
    make_made,
    never,
    take,
)
from tests.cachemgmt.engine.processes import Filling, Process


def lease_holder(store: StagedStore) -> bytes | None:
    return store.get(KEY.lease_name)


# Waiting ------------------------------------------------------------------------------------------------


def test_another_process_waits_and_takes_what_was_filled(one: Process, other: Process) -> None:
    with Threads() as threads:
        filling = Filling(one, threads)
        other.steps = [lambda: None, lambda: None, filling.end]
        collapsed = take(other.filler, never)
    assert (collapsed.status, collapsed.value, collapsed.reason) == ("collapsed", "made 1", "absent")
    assert collapsed.is_stored
    assert other.naps == 3
    assert take(other.filler, never).status == "hit"


def test_nothing_is_left_behind_but_the_entry(one: Process, store: StagedStore) -> None:
    assert take(one.filler, Fill()).is_stored
    assert list(store.names()) == [KEY.name]


def test_of_those_who_wait_in_one_process_one_asks_the_store(
    one: Process, other: Process, store: StagedStore, now: FakeTime
) -> None:
    flights: WatchedFlights[object] = WatchedFlights(now)
    other.filler._flights = flights  # type: ignore[assignment]
    with Threads() as threads:
        filling = Filling(one, threads)

        def step() -> None:
            flights.await_joined(50)
            filling.end()

        other.steps = [step]
        calls = threads.start_together(50, lambda: take(other.filler, never))
        outcomes = [call.result(WITHIN_S) for call in calls]
    assert {(outcome.status, outcome.value) for outcome in outcomes} == {("collapsed", "made 1")}
    assert other.naps == 1


def test_who_waits_asks_ever_more_seldom(one: Process, other: Process, now: FakeTime) -> None:
    with Threads() as threads:
        filling = Filling(one, threads)
        at = [now()]
        other.steps = [lambda: at.append(now())] * 12 + [filling.end]
        take(other.filler, never)
    naps = [after - before for before, after in pairwise(at)]
    assert naps == sorted(naps)
    assert naps[0] < 0.05
    assert naps[-1] == pytest.approx(LONGEST_POLL_S)


def test_different_keys_do_not_wait_for_each_other(one: Process, other: Process) -> None:
    with Threads() as threads:
        filling = Filling(one, threads)
        assert take(other.filler, Fill(make_key("b")), make_key("b")).status == "miss"
        filling.end()
    assert other.naps == 0


# A filler that dies or hangs ----------------------------------------------------------------------------


def test_a_dead_fillers_place_is_taken_by_one_within_a_second_of_its_leases_end(
    one: Process, other: Process, third: Process, now: FakeTime
) -> None:
    with Threads() as threads:
        dead = Filling(one, threads)
        one.kill()
        died_at = now()
        successor = Filling(other, threads)
        assert 0 < now() - died_at <= LEASE_S + 1
        third.steps = [lambda: None] * 100 + [successor.end]
        assert take(third.filler, never).status == "collapsed"
        assert successor.end().status == "miss"
        assert (successor.end().is_stored, dead.end().is_stored) == (True, False)
    assert (dead.fill.calls, successor.fill.calls) == (1, 1)


def test_a_living_filler_keeps_its_lease_however_long_it_takes(
    one: Process, other: Process, now: FakeTime
) -> None:
    started = now()
    with Threads() as threads:
        filling = Filling(one, threads)
        other.steps = [lambda: None] * int((FILL_S - 5) / LONGEST_POLL_S) + [filling.end]
        assert take(other.filler, never).status == "collapsed"
        assert filling.end().is_stored
    assert now() - started > 10 * LEASE_S


def test_a_hung_fillers_place_is_taken_at_its_deadline(one: Process, other: Process, now: FakeTime) -> None:
    started = now()
    with Threads() as threads:
        hung = Filling(one, threads)
        outcome = take(other.filler, Fill())
        assert FILL_S <= now() - started <= FILL_S + 1
        assert (outcome.status, outcome.is_stored) == ("miss", True)
        assert not hung.end().is_stored


def test_a_successors_time_counts_from_his_beginning_not_from_his_wait(
    one: Process, other: Process, now: FakeTime
) -> None:
    """Else those who wait in his own process would take over while he is at it."""

    def during() -> None:
        now.advance(FILL_S - 1)
        _, is_leader = other.filler._flights.join(KEY.digest, now() + FILL_S)
        assert not is_leader

    with Threads() as threads:
        failing = Filling(one, threads, error=LookupError("x"))
        other.steps = [lambda: None] * 40 + [failing.fail]
        assert take(other.filler, Fill(during=during)).is_stored


@pytest.mark.parametrize("is_successor_done", [False, True])
def test_a_filler_that_lost_its_lease_stores_nothing(
    one: Process, other: Process, third: Process, is_successor_done: bool
) -> None:
    with Threads() as threads:
        dead = Filling(one, threads)
        one.kill()
        successor = Filling(other, threads)
        if is_successor_done:
            assert successor.end().is_stored
        late = dead.end()
        assert (late.status, late.value, late.is_stored, late.is_late) == ("miss", "made 1", False, True)
        assert (successor.end().is_stored, successor.end().is_late) == (True, False)
    hit = take(third.filler, never)
    assert (hit.status, hit.entry) == ("hit", successor.end().entry)


def test_who_waits_longer_than_a_fill_may_take_gives_up(
    one: Process, store: StagedStore, now: FakeTime
) -> None:
    """Not a fill's lease, that one: no fill holds it for so long."""
    started = now()
    store.set(KEY.lease_name, b"somebody else's", 1e6)
    with pytest.raises(NotFilled):
        take(one.filler, never)
    assert FILL_S < now() - started <= FILL_S + LEASE_S + 1


# A store that fails or forgets --------------------------------------------------------------------------


def test_who_waits_fills_himself_when_the_store_fails(
    one: Process, other: Process, store: StagedStore
) -> None:
    def fail() -> None:
        store.fails = {"take_lease": StoreUnavailable()}

    with Threads() as threads:
        filling = Filling(one, threads)
        other.steps = [fail]
        assert take(other.filler, lambda: make_made(KEY, "mine")).value == "mine"
        assert other.naps == 1
        filling.end()


def test_a_lease_that_was_taken_by_a_command_given_up_on_is_ones_own(
    one: Process, store: StagedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cachemgmt.engine.filling.filling.new_token", lambda: b"mine")
    store.take_lease(KEY.lease_name, b"mine", LEASE_S, reading=[])
    outcome = take(one.filler, Fill())
    assert (outcome.status, outcome.is_stored, one.naps) == ("miss", True, 0)


def test_a_lease_that_the_store_forgot_is_taken_again_at_the_next_beat(
    one: Process, other: Process, store: StagedStore, now: FakeTime
) -> None:
    with Threads() as threads:
        filling = Filling(one, threads)
        store.clear_all()
        now.advance(BEAT_S)
        assert lease_holder(store) is not None
        other.steps = [filling.end]
        assert take(other.filler, never).status == "collapsed"


def test_a_lease_that_the_store_forgot_is_left_to_who_has_it_now(
    one: Process, other: Process, store: StagedStore, now: FakeTime
) -> None:
    with Threads() as threads:
        first = Filling(one, threads)
        store.clear_all()
        second = Filling(other, threads)
        holder = lease_holder(store)
        now.advance(BEAT_S)
        assert lease_holder(store) == holder
        assert not first.end().is_stored
        assert second.end().is_stored


def test_what_is_ready_before_the_next_beat_is_kept_though_the_store_forgot_the_lease(
    one: Process, store: StagedStore
) -> None:
    with Threads() as threads:
        filling = Filling(one, threads)
        store.clear_all()
        assert filling.end().is_stored
    assert list(store.names()) == [KEY.name]


def test_a_renewal_that_fails_does_not_lose_the_lease(
    one: Process, other: Process, store: StagedStore, now: FakeTime
) -> None:
    with Threads() as threads:
        filling = Filling(one, threads)
        store.fails = {"renew_leases": StoreUnavailable()}
        now.advance(BEAT_S)
        store.fails = {}
        other.steps = [lambda: None] * 40 + [filling.end]
        assert take(other.filler, never).status == "collapsed"
