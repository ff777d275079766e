"""Filling for one caller: a computed answer is never lost, and the request's wishes are heeded."""

import pytest

from cachemgmt.engine.cache import Cache
from cachemgmt.engine.errors import NotStored, StoreUnavailable
from cachemgmt.engine.results import Made
from tests.engine.fakes import (
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


def test_a_miss_fills_and_the_next_one_hits(cache: Cache, now: FakeTime) -> None:
    missed = take(cache, Fill(during=lambda: now.advance(11.5)))
    assert (missed.status, missed.reason, missed.value, missed.is_stored) == (
        "miss",
        "absent",
        "made 1",
        True,
    )
    assert missed.entry.fill_s == 11.5
    hit = take(cache, never)
    assert (hit.status, hit.reason, hit.value, hit.is_stored) == ("hit", None, "made 1", True)
    assert hit.entry == missed.entry


def test_a_time_set_back_during_a_fill_makes_it_take_no_time(cache: Cache, now: FakeTime) -> None:
    assert take(cache, Fill(during=lambda: now.advance(-100))).entry.fill_s == 0


@pytest.mark.parametrize("error", [LookupError("x"), SystemExit(1)])
def test_a_failed_fill_is_raised_unchanged_and_not_kept(cache: Cache, error: BaseException) -> None:
    def fail() -> Made:
        raise error

    with pytest.raises(type(error)) as caught:
        take(cache, fail)
    assert caught.value is error
    assert take(cache, Fill()).status == "miss"


def test_a_hit_under_a_later_key_is_taken(cache: Cache) -> None:
    keep(cache, make_key("mine"), "mine")
    assert take(cache, never, KEY, make_key("mine")).value == "mine"


def test_a_result_is_kept_under_the_key_the_fill_names(cache: Cache) -> None:
    mine = make_key("mine")
    take(cache, Fill(mine), KEY, mine)
    assert reason(cache, KEY) == "absent"
    assert take(cache, never, KEY, mine).status == "hit"


def test_a_result_that_may_not_be_kept_is_returned_with_the_reason(cache: Cache, store: StagedStore) -> None:
    fill = Fill(None)
    outcome = take(cache, fill)
    assert (outcome.status, outcome.reason, outcome.value) == ("bypass", "personal", "made 1")
    assert not outcome.is_stored
    assert not outcome.is_storable
    assert list(store.names()) == []


@pytest.mark.parametrize("fails", [["get_many"], ["set"], ["get_many", "set", "delete"]])
def test_a_store_that_fails_never_loses_a_result(cache: Cache, store: StagedStore, fails: list[str]) -> None:
    store.fails = {method: StoreUnavailable() for method in fails}
    outcome = take(cache, Fill())
    assert (outcome.status, outcome.value) == ("miss", "made 1")
    assert outcome.is_stored == ("set" not in fails)


# Directives ---------------------------------------------------------------------------------------------


def test_no_cache_makes_it_anew_and_shares_it(cache: Cache) -> None:
    fill = Fill()
    take(cache, fill)
    anew = take(cache, fill, no_cache=True)
    assert (anew.status, anew.reason, anew.value, anew.is_stored) == ("bypass", "no-cache", "made 2", True)
    assert take(cache, never).value == "made 2"


def test_no_store_neither_looks_up_nor_keeps(cache: Cache) -> None:
    fill = Fill()
    take(cache, fill)
    own = take(cache, fill, no_store=True)
    assert (own.status, own.reason, own.value, own.is_stored) == ("bypass", "no-store", "made 2", False)
    assert take(cache, never).value == "made 1"


def test_max_age_makes_anew_what_is_older(cache: Cache, now: FakeTime) -> None:
    fill = Fill()
    take(cache, fill)
    now.advance(30)
    assert take(cache, fill, max_age_s=30).value == "made 1"
    anew = take(cache, fill, max_age_s=29)
    assert (anew.status, anew.reason, anew.value) == ("miss", "max-age", "made 2")
    assert take(cache, never, max_age_s=0).value == "made 2"


def test_only_if_cached_never_fills(cache: Cache) -> None:
    with pytest.raises(NotStored):
        take(cache, never, only_if_cached=True)
    take(cache, Fill())
    assert take(cache, never, only_if_cached=True).status == "hit"
    with pytest.raises(NotStored):
        take(cache, never, only_if_cached=True, no_cache=True)


def test_only_if_cached_waits_for_nobody(cache: Cache) -> None:
    def during() -> None:
        with pytest.raises(NotStored):
            take(cache, never, only_if_cached=True)

    assert take(cache, Fill(during=during)).status == "miss"


def test_while_the_cache_is_off_everybody_fills(cache: Cache, store: StagedStore, source: FakeSource) -> None:
    fill = Fill()
    take(cache, fill)
    source.decide(store, is_on=False)
    for call in (2, 3):
        outcome = take(cache, fill)
        assert (outcome.status, outcome.reason, outcome.value) == ("bypass", "switched-off", f"made {call}")
        assert not outcome.is_stored


def test_the_callers_reason_bars_the_look_up(cache: Cache) -> None:
    fill = Fill()
    take(cache, fill)
    outcome = cache.get_or_fill([KEY], fill, visit(), barred="personal")
    assert (outcome.status, outcome.reason, fill.calls) == ("bypass", "personal", 2)
