"""The right to fill: kept alive while its holder lives, never past the deadline, never after its end."""

from collections.abc import Sequence
from contextlib import ExitStack
from threading import Event

import pytest

from cachemgmt.engine.errors import StoreUnavailable
from cachemgmt.engine.filling.lease import FAILED, LEASE_S, RENEWALS, UNSHARED, Heartbeat, Lease, new_token
from cachemgmt.engine.stores.base import Renewal, Store
from tests.cachemgmt.engine.fakes import BEAT_S, WITHIN_S, FakeTime, StagedStore, Threads

FILL_S = 60.0
NAME = "lease:{a}"


@pytest.fixture
def heartbeat(store: Store, now: FakeTime) -> Heartbeat:
    heartbeat = Heartbeat(store, now, is_threaded=False)
    now.hearts.append(heartbeat.beat)
    return heartbeat


@pytest.fixture
def lease(store: StagedStore, now: FakeTime) -> Lease:
    """A lease just taken."""
    return taken(store, now)


def taken(store: StagedStore, now: FakeTime, name: str = NAME, *, fill_s: float = FILL_S) -> Lease:
    lease = Lease(name, new_token(), deadline=now() + fill_s, renewed_at=now())
    assert store.take_lease(name, lease.token, min(LEASE_S, fill_s), reading=[]) == (None, [])
    return lease


def is_held(store: StagedStore, lease: Lease) -> bool:
    return store.get(lease.name) == lease.token


def test_tokens_differ_and_look_like_no_note() -> None:
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100
    assert not any(token.startswith((FAILED, UNSHARED)) for token in tokens)


def test_without_a_heartbeat_it_runs_out(store: StagedStore, lease: Lease, now: FakeTime) -> None:
    now.advance(LEASE_S - 0.001)
    assert is_held(store, lease)
    now.advance(0.001)
    assert not is_held(store, lease)


def test_a_heartbeat_keeps_it_up_to_its_deadline(
    heartbeat: Heartbeat, store: StagedStore, lease: Lease, now: FakeTime
) -> None:
    with heartbeat.keeping(lease):
        for _ in range(int(FILL_S)):
            assert is_held(store, lease)
            now.advance(1)
        assert not is_held(store, lease)
        now.advance(LEASE_S)
        assert not is_held(store, lease)


def test_near_its_deadline_it_is_renewed_for_the_rest_alone(
    heartbeat: Heartbeat, store: StagedStore, now: FakeTime
) -> None:
    lease = taken(store, now, fill_s=2)
    with heartbeat.keeping(lease):
        now.advance(1.9)
        heartbeat.beat()
        assert is_held(store, lease)
        now.advance(0.1)
        assert not is_held(store, lease)


def test_nobody_else_is_kept_from_it_after_the_keeping(
    heartbeat: Heartbeat, store: StagedStore, lease: Lease, now: FakeTime
) -> None:
    with heartbeat.keeping(lease):
        pass
    now.advance(LEASE_S)
    assert not is_held(store, lease)
    assert heartbeat._held == set()


def test_it_is_kept_no_more_when_the_fill_raises(
    heartbeat: Heartbeat, store: StagedStore, lease: Lease
) -> None:
    with pytest.raises(SystemExit), heartbeat.keeping(lease):
        raise SystemExit
    assert heartbeat._held == set()
    assert lease.is_over


def test_several_are_kept_at_once(heartbeat: Heartbeat, store: StagedStore, now: FakeTime) -> None:
    one, other = taken(store, now), taken(store, now, "lease:{b}")
    with heartbeat.keeping(one):
        with heartbeat.keeping(other):
            now.advance(10)
            assert is_held(store, one)
            assert is_held(store, other)
        now.advance(LEASE_S)
        assert (is_held(store, one), is_held(store, other)) == (True, False)


def test_one_lost_renewal_does_not_lose_it(
    heartbeat: Heartbeat, store: StagedStore, lease: Lease, now: FakeTime
) -> None:
    with heartbeat.keeping(lease):
        store.fails = {"renew_leases": StoreUnavailable()}
        now.advance((RENEWALS - 1) * BEAT_S)
        store.fails = {}
        now.advance(BEAT_S - 0.001)
        heartbeat.beat()
        now.advance(LEASE_S - 0.001)
        assert is_held(store, lease)


@pytest.mark.parametrize(("count", "takes_s"), [(32, 0.14), (384, 0.01)])
def test_however_many_are_held_a_slow_store_loses_none(now: FakeTime, count: int, takes_s: float) -> None:
    class Slow(StagedStore):
        def renew_leases(self, renewals: Sequence[Renewal]) -> list[bool]:
            now.at += takes_s
            return super().renew_leases(renewals)

    slow = Slow(now=now)
    heartbeat = Heartbeat(slow, now, is_threaded=False)
    leases = [taken(slow, now, f"lease:{{{number}}}") for number in range(count)]
    with ExitStack() as held:
        for lease in leases:
            held.enter_context(heartbeat.keeping(lease))
        for _ in range(3 * RENEWALS):
            now.at += BEAT_S
            heartbeat.beat()
            assert all(is_held(slow, lease) for lease in leases)
    assert not any(lease.is_lost for lease in leases)


# A store that forgets -----------------------------------------------------------------------------------


def test_what_the_store_forgot_is_taken_again(
    heartbeat: Heartbeat, store: StagedStore, lease: Lease, now: FakeTime
) -> None:
    with heartbeat.keeping(lease):
        store.clear_all()
        now.advance(BEAT_S)
        assert is_held(store, lease)
        assert not lease.is_over


def test_what_the_store_gave_to_another_is_left_to_him_for_good(
    heartbeat: Heartbeat, store: StagedStore, lease: Lease, now: FakeTime
) -> None:
    with heartbeat.keeping(lease):
        store.clear_all()
        store.take_lease(lease.name, b"another", BEAT_S + 0.1, reading=[])
        now.advance(BEAT_S)
        assert (store.get(lease.name), lease.is_over, lease.is_lost) == (b"another", True, True)
        now.advance(BEAT_S)
        assert store.get(lease.name) is None
    assert store.get(lease.name) is None


def test_what_ran_out_by_right_is_not_taken_again(
    heartbeat: Heartbeat, store: StagedStore, lease: Lease, now: FakeTime
) -> None:
    """Its holder stood still: somebody may have filled meanwhile."""
    now.hearts.clear()
    with heartbeat.keeping(lease):
        now.advance(LEASE_S)
        heartbeat.beat()
        assert not is_held(store, lease)
        assert lease.is_over


def test_a_note_in_its_place_is_left_there(
    heartbeat: Heartbeat, store: StagedStore, lease: Lease, now: FakeTime
) -> None:
    with heartbeat.keeping(lease):
        store.clear_all()
        store.take_lease(lease.name, b"another", LEASE_S, reading=[])
        store.end_lease(lease.name, b"another", note=UNSHARED, note_ttl_s=10)
        now.advance(BEAT_S)
        assert store.get(lease.name) == UNSHARED


# Giving it back -----------------------------------------------------------------------------------------


def test_giving_back_during_a_renewal_does_not_bring_it_back_to_life(
    store: StagedStore, now: FakeTime
) -> None:
    renewing, may_renew, is_leaving = Event(), Event(), Event()

    class SlowStore(StagedStore):
        def renew_leases(self, renewals: Sequence[Renewal]) -> list[bool]:
            renewing.set()
            assert may_renew.wait(WITHIN_S)
            return super().renew_leases(renewals)

    slow = SlowStore(now=now)
    heartbeat = Heartbeat(slow, now, is_threaded=False)
    lease = taken(slow, now)

    def fill() -> None:
        with heartbeat.keeping(lease):
            assert renewing.wait(WITHIN_S)
            is_leaving.set()
        slow.end_lease(lease.name, lease.token)

    with Threads() as threads:
        filling = threads.start(fill)
        while not heartbeat._held:
            pass
        beat = threads.start(heartbeat.beat)
        assert is_leaving.wait(WITHIN_S)
        assert not filling.done()
        may_renew.set()
        filling.result(WITHIN_S)
        beat.result(WITHIN_S)
    heartbeat.beat()
    assert slow.get(lease.name) is None


def test_a_beat_that_comes_too_late_renews_nothing(store: StagedStore, lease: Lease, now: FakeTime) -> None:
    """It had listed the lease before its giving back."""
    heartbeat = Heartbeat(store, now, is_threaded=False)
    with heartbeat.keeping(lease):
        pass
    store.end_lease(lease.name, lease.token)
    heartbeat._held.add(lease)
    heartbeat.beat()
    assert store.get(lease.name) is None
