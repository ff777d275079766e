"""A result that is ready after its lease has run out: kept where nobody else has taken over."""

from collections.abc import Callable, Sequence

import pytest

from cachemgmt.engine.filling.cache import Cache
from cachemgmt.engine.filling.filling import FILL_S, Filler
from cachemgmt.engine.filling.lease import LEASE_S, NOTE_S
from cachemgmt.engine.reuse.knowledge import Rule
from tests.cachemgmt.engine.fakes import (
    KEY,
    FakeSource,
    FakeTime,
    Fill,
    StagedStore,
    Threads,
    keep,
    never,
    reason,
    take,
)
from tests.cachemgmt.engine.processes import Filling, Process, ProviderOut


@pytest.mark.parametrize("late_s", [FILL_S, FILL_S + 1, 10 * FILL_S])
def test_past_its_deadline_it_is_kept_where_nobody_took_over(
    filler: Filler, store: StagedStore, now: FakeTime, late_s: float
) -> None:
    late = take(filler, Fill(during=lambda: now.advance(late_s)))
    assert (late.value, late.is_stored, late.is_late) == ("made 1", True, False)
    assert list(store.names()) == [KEY.name]
    assert take(filler, never).status == "hit"


def test_a_filler_that_stood_still_keeps_what_it_made_where_nobody_took_over(
    one: Process, store: StagedStore, now: FakeTime
) -> None:
    with Threads() as threads:
        filling = Filling(one, threads)
        one.kill()
        now.advance(LEASE_S)
        late = filling.end()
    assert (late.is_stored, late.is_late) == (True, False)
    assert list(store.names()) == [KEY.name]


def test_who_took_over_and_is_at_it_keeps_his_lease_and_his_result(
    one: Process, other: Process, third: Process, store: StagedStore, now: FakeTime
) -> None:
    with Threads() as threads:
        first = Filling(one, threads)
        now.advance(FILL_S)
        successor = Filling(other, threads)
        holder = store.get(KEY.lease_name)
        late = first.end()
        assert (late.is_stored, late.is_late) == (False, True)
        assert store.get(KEY.lease_name) == holder
        third.steps = [successor.end]
        assert take(third.filler, never).entry.made_at == successor.end().entry.made_at > late.entry.made_at


def test_what_a_successor_has_stored_stands(
    one: Process, other: Process, store: StagedStore, now: FakeTime
) -> None:
    with Threads() as threads:
        first = Filling(one, threads)
        now.advance(FILL_S)
        entry = take(other.filler, Fill()).entry
        late = first.end()
    assert (late.is_stored, late.is_late) == (False, True)
    assert list(store.names()) == [KEY.name]  # and the lease is free
    assert take(other.filler, never).entry == entry


def test_a_note_that_a_successor_left_stands(
    one: Process, other: Process, store: StagedStore, now: FakeTime
) -> None:
    with Threads() as threads:
        first = Filling(one, threads)
        now.advance(FILL_S)
        with pytest.raises(ProviderOut):
            take(other.filler, Fill(error=ProviderOut()))
        assert not first.end().is_stored
        with pytest.raises(ProviderOut):
            take(other.filler, never)
        now.advance(NOTE_S)
    assert list(store.names()) == []


def test_what_is_past_its_ttl_gives_way(
    one: Process, cache: Cache, store: StagedStore, source: FakeSource, now: FakeTime
) -> None:
    stale_s = {("reply", ""): Rule(ttl_s=1, stale_while_revalidate_s=2 * FILL_S)}
    source.decide(store, rules=stale_s)
    with Threads() as threads:
        first = Filling(one, threads)
        keep(cache, value="old")
        now.advance(FILL_S)
        assert first.end().is_stored
    assert take(one.filler, never).value == "made 1"


@pytest.mark.parametrize("during", ["the fill", "the taking again"])
def test_nothing_is_kept_that_was_flushed_meanwhile(
    filler: Filler, store: StagedStore, source: FakeSource, now: FakeTime, during: str
) -> None:
    flush: Callable[[], object] = lambda: source.flush(store)  # noqa: E731
    if during == "the taking again":
        step_in_when_taken_again(store, flush)

    def late() -> None:
        now.advance(FILL_S)
        if during == "the fill":
            flush()

    assert not take(filler, Fill(during=late)).is_stored
    assert list(store.names()) == ["clock"]


@pytest.mark.parametrize(("stands", "is_kept"), [(True, False), (False, True)])
def test_what_cannot_be_judged_is_not_replaced(
    one: Process, other: Process, store: StagedStore, source: FakeSource, now: FakeTime,
    stands: bool, is_kept: bool,
) -> None:  # fmt: skip
    """The database is out, and the store tells no clock: what stands there may be newer."""
    with Threads() as threads:
        first = Filling(one, threads)
        now.advance(FILL_S)
        entry = take(other.filler, Fill()).entry if stands else None
        source.is_confirmed = False
        assert first.end().is_stored is is_kept
        source.is_confirmed = True
    assert reason(one.cache) is None
    assert entry is None or take(one.filler, never).entry == entry


def step_in_when_taken_again(store: StagedStore, step_in: Callable[[], object]) -> None:
    """Let something happen right before a lease is taken for the second time."""
    take_lease, taken = store.take_lease, []

    def stepping_in(
        lease: str, token: bytes, ttl_s: float, *, reading: Sequence[str]
    ) -> tuple[bytes | None, list[bytes | None]]:
        taken.append(lease)
        if len(taken) == 2:
            step_in()
        return take_lease(lease, token, ttl_s, reading=reading)

    store.take_lease = stepping_in  # type: ignore[method-assign]
