"""Past its TTL: given once more while a new one is made behind it."""

import logging

import pytest

from cachemgmt.engine.filling.cache import Cache
from cachemgmt.engine.filling.filling import Filler
from cachemgmt.engine.filling.refreshing import MOST_REFRESHES, Refreshes
from cachemgmt.engine.filling.results import CacheRequest
from cachemgmt.engine.reuse.knowledge import Rule
from tests.cachemgmt.engine.fakes import (
    KEY,
    Background,
    FakeSource,
    FakeTime,
    Fill,
    StagedStore,
    Threads,
    fresh_s,
    keep,
    make_key,
    make_made,
    never,
    reason,
    take,
    visit,
)
from tests.cachemgmt.engine.processes import Filling, Process, ProviderOut

WINDOW_S = 600.0
RULES = {(level, ""): Rule(ttl_s=1800, stale_while_revalidate_s=WINDOW_S) for level in ("reply", "response")}
PAST_TTL_S = fresh_s() + 10


@pytest.fixture
def source() -> FakeSource:
    return FakeSource(clock=5, rules=RULES)


@pytest.fixture
def stale(filler: Filler, now: FakeTime) -> Fill:
    """A fill whose first result is past its TTL by now."""
    fill = Fill()
    take(filler, fill)
    now.advance(PAST_TTL_S)
    return fill


def test_it_is_given_while_one_new_one_is_made_for_all_who_ask(
    filler: Filler, stale: Fill, background: Background
) -> None:
    for _ in range(5):
        given = take(filler, stale)
        assert (given.status, given.reason, given.value) == ("stale", "expired", "made 1")
        assert given.is_stored
    assert (stale.calls, len(background.waiting)) == (1, 1)
    background.run()
    assert stale.calls == 2
    hit = take(filler, never)
    assert (hit.status, hit.reason, hit.value) == ("hit", None, "made 2")
    assert background.waiting == []


def test_what_makes_it_anew_can_be_something_else(
    filler: Filler, stale: Fill, background: Background
) -> None:
    again = Fill()
    given = filler.get_or_fill([KEY], never, visit(), refill=again)
    assert (given.status, given.value, again.calls) == ("stale", "made 1", 0)
    background.run()
    assert again.calls == 1
    assert take(filler, never).status == "hit"


def test_the_next_time_it_is_past_its_ttl_it_is_made_anew_again(
    filler: Filler, stale: Fill, background: Background, now: FakeTime
) -> None:
    take(filler, stale)
    background.run()
    now.advance(PAST_TTL_S)
    assert take(filler, stale).value == "made 2"
    background.run()
    assert take(filler, never).value == "made 3"


def test_a_new_one_that_fails_leaves_the_stale_one_and_is_tried_again(
    filler: Filler, stale: Fill, background: Background, caplog: pytest.LogCaptureFixture
) -> None:
    stale.error = LookupError("with a customer's words")
    for _ in range(2):
        assert take(filler, stale).status == "stale"
        background.run()
    assert stale.calls == 3
    assert {record.levelno for record in caplog.records} == {logging.WARNING}
    assert "customer" not in caplog.text
    stale.error = None
    assert take(filler, stale).value == "made 1"
    background.run()
    assert take(filler, never).value == "made 4"


def test_a_provider_that_fails_is_not_asked_by_each_who_is_given_the_stale_one(
    filler: Filler, stale: Fill, background: Background
) -> None:
    stale.error = ProviderOut()
    for _ in range(5):
        assert take(filler, stale).status == "stale"
        background.run()
    assert stale.calls == 2


def test_it_is_not_given_past_its_window(filler: Filler, stale: Fill, now: FakeTime) -> None:
    now.advance(WINDOW_S - 10 - 0.001)
    assert take(filler, stale).status == "stale"
    now.advance(0.002)
    made = take(filler, stale)
    assert (made.status, made.reason, made.value) == ("miss", "expired", "made 2")


def test_it_is_not_given_once_it_is_flushed(
    filler: Filler, stale: Fill, store: StagedStore, source: FakeSource, background: Background
) -> None:
    source.flush(store)
    made = take(filler, stale)
    assert (made.status, made.reason, made.value) == ("miss", "flushed", "made 2")
    assert background.waiting == []


def test_it_is_not_given_past_the_time_at_which_a_policy_changes(
    cache: Cache, filler: Filler, now: FakeTime
) -> None:
    keep(cache, valid_until=now() + PAST_TTL_S)
    now.advance(PAST_TTL_S - 0.001)
    assert take(filler, never).status == "stale"
    now.advance(0.001)
    assert take(filler, Fill()).status == "miss"


def test_a_marker_is_never_given_past_its_time(cache: Cache, filler: Filler, now: FakeTime) -> None:
    keep(cache, max_ttl_s=300)
    now.advance(300)
    assert take(filler, Fill()).status == "miss"


def test_a_max_age_is_not_relaxed(filler: Filler, stale: Fill) -> None:
    made = take(filler, stale, max_age_s=PAST_TTL_S - 1)
    assert (made.status, made.reason, made.value) == ("miss", "max-age", "made 2")


def test_only_if_cached_takes_a_stale_one(filler: Filler, stale: Fill) -> None:
    assert take(filler, never, only_if_cached=True).status == "stale"


def test_a_fresh_one_under_another_key_is_preferred(cache: Cache, filler: Filler, stale: Fill) -> None:
    mine = make_key("mine")
    keep(cache, mine, "mine")
    assert take(filler, never, KEY, mine).value == "mine"
    assert take(filler, never, mine, KEY).value == "mine"


def test_who_makes_it_anew_takes_nothing_stale_himself(filler: Filler, stale: Fill) -> None:
    refresh = CacheRequest(is_refresh=True)
    made = filler.get_or_fill([KEY], stale, refresh)
    assert (made.status, made.reason, made.value) == ("miss", "expired", "made 2")


def test_who_makes_it_anew_gets_the_error_and_not_the_stale_one(filler: Filler, stale: Fill) -> None:
    stale.error = ProviderOut()
    with pytest.raises(ProviderOut):
        filler.get_or_fill([KEY], stale, CacheRequest(is_refresh=True))


def test_a_stale_one_is_not_shared_with_who_waits_for_a_new_one(
    filler: Filler, stale: Fill, background: Background
) -> None:
    take(filler, stale)
    assert take(filler, stale, max_age_s=5).value == "made 2"
    background.run()
    assert stale.calls == 2  # it was there by then


def test_what_another_process_has_made_anew_is_not_made_again(
    one: Process, other: Process, now: FakeTime
) -> None:
    take(one.filler, Fill())
    now.advance(PAST_TTL_S)
    assert take(one.filler, lambda: make_made(KEY, "anew")).status == "stale"
    assert take(other.filler, never).status == "stale"
    one.background.run()
    other.background.run()
    assert take(other.filler, never).value == "anew"


def test_what_another_process_is_making_anew_is_waited_for_in_the_background(
    one: Process, other: Process, now: FakeTime
) -> None:
    take(one.filler, Fill())
    now.advance(PAST_TTL_S)
    assert take(other.filler, never).status == "stale"
    with Threads() as threads:
        filling = Filling(one, threads, max_age_s=5)
        other.steps = [filling.end]
        other.background.run()
    assert take(other.filler, never).status == "hit"


def test_what_is_made_anew_behind_ones_back_carries_ones_clock(
    filler: Filler, stale: Fill, store: StagedStore, source: FakeSource, background: Background, cache: Cache
) -> None:
    """His fill may rest on what he had read before the flush."""
    take(filler, stale)
    source.flush(store)
    background.run()
    assert stale.calls == 2
    assert reason(cache) == "flushed"


def test_no_more_than_so_many_are_made_anew_at_once(
    cache: Cache, filler: Filler, now: FakeTime, background: Background
) -> None:
    keys = [make_key(f"question {number}") for number in range(MOST_REFRESHES + 1)]
    for key in keys:
        keep(cache, key)
    now.advance(1800)
    for key in keys:
        assert take(filler, Fill(key), key).status == "stale"
    assert len(background.waiting) == MOST_REFRESHES
    background.run()
    assert take(filler, lambda: make_made(keys[-1]), keys[-1]).status == "stale"
    assert len(background.waiting) == 1


def test_a_thread_that_cannot_be_started_keeps_nobody_from_the_stale_one(
    cache: Cache, stale: Fill, now: FakeTime, caplog: pytest.LogCaptureFixture
) -> None:
    started: list[object] = []

    def refuse(work: object) -> None:
        started.append(work)
        raise RuntimeError("can't start new thread")

    filler = Filler(cache, monotonic=now, sleep=now.advance, refreshes=Refreshes(refuse))
    for _ in range(2):
        assert take(filler, never).status == "stale"
    assert len(started) == len(caplog.records) == 2


def test_a_look_up_tells_that_it_is_stale(cache: Cache, stale: Fill) -> None:
    found = cache.lookup([KEY], visit())
    assert (found.status, found.is_stale, found.value, found.reason) == ("stale", True, "made 1", "expired")
    assert found.entry is not None
    age_s, left_s = cache.age_and_ttl_s(found.entry)
    assert age_s == pytest.approx(PAST_TTL_S)
    assert left_s == pytest.approx(-10)
