"""The thread that renews a process's leases."""

from collections.abc import Sequence
from threading import Event, Thread, enumerate

import pytest

from cachemgmt.engine.filling.lease import Heartbeat
from cachemgmt.engine.stores.base import Renewal
from tests.cachemgmt.engine.fakes import WITHIN_S, FakeTime, StagedStore
from tests.cachemgmt.engine.filling.test_lease import taken


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cachemgmt.engine.filling.lease.LEASE_S", 0.03)


def heart_threads() -> int:
    return sum(thread.name == "tria-heartbeat" for thread in enumerate())


def await_end() -> None:
    for thread in enumerate():
        if thread.name == "tria-heartbeat":
            thread.join(WITHIN_S)


def test_one_thread_beats_for_all_and_ends_when_there_is_nothing_to_keep(
    store: StagedStore, now: FakeTime
) -> None:
    beats = Event()

    class Counted(StagedStore):
        def renew_leases(self, renewals: Sequence[Renewal]) -> list[bool]:
            beats.set()
            return super().renew_leases(renewals)

    counted = Counted(now=now)
    await_end()
    heartbeat = Heartbeat(counted, now)
    for _ in range(2):
        leases = [taken(counted, now, f"lease:{{{number}}}") for number in range(3)]
        beats.clear()
        with heartbeat.keeping(leases[0]), heartbeat.keeping(leases[1]), heartbeat.keeping(leases[2]):
            assert beats.wait(WITHIN_S)
            assert heart_threads() == 1
        await_end()
        assert heart_threads() == 0
        counted.clear_all()


def test_where_no_thread_can_be_started_the_fill_goes_on_and_the_next_one_tries_again(
    store: StagedStore, now: FakeTime, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(self: Thread) -> None:
        raise RuntimeError("can't start new thread")

    await_end()
    heartbeat = Heartbeat(store, now)
    with monkeypatch.context() as patching, caplog.at_level("WARNING"):
        patching.setattr(Thread, "start", refuse)
        with heartbeat.keeping(taken(store, now)) as lease:
            assert not lease.is_over
    assert heartbeat._held == set()
    assert len(caplog.records) == 1
    with heartbeat.keeping(taken(store, now, "lease:{b}")):
        assert heart_threads() == 1
    await_end()


def test_its_thread_outlives_whatever_one_round_meets(
    now: FakeTime, caplog: pytest.LogCaptureFixture
) -> None:
    is_renewed = Event()

    class Odd(StagedStore):
        rounds = 0

        def renew_leases(self, renewals: Sequence[Renewal]) -> list[bool]:
            self.rounds += 1
            if self.rounds == 1:
                raise IndexError("odd")
            is_renewed.set()
            return super().renew_leases(renewals)

    odd = Odd(now=now)
    with Heartbeat(odd, now).keeping(taken(odd, now)), caplog.at_level("ERROR"):
        assert is_renewed.wait(WITHIN_S)
    assert [record.exc_info is not None for record in caplog.records] == [True]
