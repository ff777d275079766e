"""Filling for one caller: a computed answer is never lost, and the request's wishes are heeded."""

import pytest

from cachemgmt.engine.errors import NotStored, StoreUnavailable
from cachemgmt.engine.filling.cache import Cache
from cachemgmt.engine.filling.filling import Filler
from cachemgmt.engine.filling.results import FillResult
from tests.cachemgmt.engine.fakes import (
    KEY,
    FakeSource,
    FakeTime,
    Fill,
    StagedStore,
    keep,
    make_key,
    never,
    reason,
    take,
    visit,
)

# Alone --------------------------------------------------------------------------------------------------


def test_a_miss_fills_and_the_next_one_hits(filler: Filler, now: FakeTime) -> None:
    missed = take(filler, Fill(during=lambda: now.advance(11.5)))
    assert (missed.status, missed.reason, missed.value, missed.is_stored) == (
        "miss",
        "absent",
        "made 1",
        True,
    )
    assert missed.entry.fill_s == 11.5
    hit = take(filler, never)
    assert (hit.status, hit.reason, hit.value, hit.is_stored) == ("hit", None, "made 1", True)
    assert hit.entry == missed.entry


def test_a_time_set_back_during_a_fill_makes_it_take_no_time(filler: Filler, now: FakeTime) -> None:
    assert take(filler, Fill(during=lambda: now.advance(-100))).entry.fill_s == 0


@pytest.mark.parametrize("error", [LookupError("x"), SystemExit(1)])
def test_a_failed_fill_is_raised_unchanged_and_not_kept(filler: Filler, error: BaseException) -> None:
    def fail() -> FillResult:
        raise error

    with pytest.raises(type(error)) as caught:
        take(filler, fail)
    assert caught.value is error
    assert take(filler, Fill()).status == "miss"


def test_a_hit_under_a_later_key_is_taken(cache: Cache, filler: Filler) -> None:
    keep(cache, make_key("mine"), "mine")
    assert take(filler, never, KEY, make_key("mine")).value == "mine"


def test_a_result_is_kept_under_the_key_the_fill_names(cache: Cache, filler: Filler) -> None:
    mine = make_key("mine")
    take(filler, Fill(mine), KEY, mine)
    assert reason(cache, KEY) == "absent"
    assert take(filler, never, KEY, mine).status == "hit"


def test_a_result_that_may_not_be_kept_is_returned_with_the_reason(
    filler: Filler, store: StagedStore
) -> None:
    fill = Fill(None)
    outcome = take(filler, fill)
    assert (outcome.status, outcome.reason, outcome.value) == ("bypass", "personal", "made 1")
    assert not outcome.is_stored
    assert not outcome.is_storable
    assert list(store.names("reply:*")) == []


@pytest.mark.parametrize(
    "fails",
    [
        ["get_many"],
        ["set_leased"],
        ["end_lease"],
        ["renew_leases"],
        ["take_lease"],
        ["get_many", "set", "delete", "remove", "take_lease", "renew_leases", "end_lease", "set_leased"],
    ],
    ids=len,
)
def test_a_store_that_fails_never_loses_a_result(
    filler: Filler, store: StagedStore, fails: list[str]
) -> None:
    store.fails = {method: StoreUnavailable() for method in fails}
    outcome = take(filler, Fill())
    assert (outcome.status, outcome.value) == ("miss", "made 1")
    assert outcome.is_stored == (not {"set_leased", "take_lease"} & set(fails))


def test_a_store_that_fails_never_loses_a_result_that_is_kept_for_its_owner(
    filler: Filler, store: StagedStore
) -> None:
    store.fails = {"set": StoreUnavailable()}
    outcome = take(filler, Fill(make_key("mine")), KEY, make_key("mine"))
    assert (outcome.value, outcome.is_stored, outcome.is_storable) == ("made 1", False, True)


# Directives ---------------------------------------------------------------------------------------------


def test_no_cache_makes_it_anew_and_shares_it(filler: Filler) -> None:
    fill = Fill()
    take(filler, fill)
    anew = take(filler, fill, no_cache=True)
    assert (anew.status, anew.reason, anew.value, anew.is_stored) == ("bypass", "no-cache", "made 2", True)
    assert take(filler, never).value == "made 2"


def test_no_store_neither_looks_up_nor_keeps(filler: Filler) -> None:
    fill = Fill()
    take(filler, fill)
    own = take(filler, fill, no_store=True)
    assert (own.status, own.reason, own.value, own.is_stored) == ("bypass", "no-store", "made 2", False)
    assert take(filler, never).value == "made 1"


def test_max_age_makes_anew_what_is_older(filler: Filler, now: FakeTime) -> None:
    fill = Fill()
    take(filler, fill)
    now.advance(30)
    assert take(filler, fill, max_age_s=30).value == "made 1"
    anew = take(filler, fill, max_age_s=29)
    assert (anew.status, anew.reason, anew.value) == ("miss", "max-age", "made 2")
    assert take(filler, never, max_age_s=0).value == "made 2"


def test_only_if_cached_never_fills(filler: Filler) -> None:
    with pytest.raises(NotStored):
        take(filler, never, only_if_cached=True)
    take(filler, Fill())
    assert take(filler, never, only_if_cached=True).status == "hit"
    with pytest.raises(NotStored):
        take(filler, never, only_if_cached=True, no_cache=True)


def test_only_if_cached_waits_for_nobody(filler: Filler) -> None:
    def during() -> None:
        with pytest.raises(NotStored):
            take(filler, never, only_if_cached=True)

    assert take(filler, Fill(during=during)).status == "miss"


def test_while_the_cache_is_off_everybody_fills(
    filler: Filler, store: StagedStore, source: FakeSource
) -> None:
    fill = Fill()
    take(filler, fill)
    source.decide(store, is_on=False)
    for call in (2, 3):
        outcome = take(filler, fill)
        assert (outcome.status, outcome.reason, outcome.value) == ("bypass", "switched-off", f"made {call}")
        assert not outcome.is_stored


def test_the_callers_reason_bars_the_look_up(filler: Filler) -> None:
    fill = Fill()
    take(filler, fill)
    outcome = filler.get_or_fill([KEY], fill, visit(), barred="personal")
    assert (outcome.status, outcome.reason, fill.calls) == ("bypass", "personal", 2)
