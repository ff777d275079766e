"""Past its TTL, and the provider fails: given in place of the error, where nothing speaks against it."""

from dataclasses import replace

import pytest

from cachemgmt.engine.entry import decode, encode
from cachemgmt.engine.errors import NotFilled, NotStored, Overloaded, StoreUnavailable
from cachemgmt.engine.filling.bulkhead import Bulkhead
from cachemgmt.engine.filling.cache import Cache
from cachemgmt.engine.filling.filling import Filler
from cachemgmt.engine.filling.lease import NOTE_S
from cachemgmt.engine.filling.results import CacheRequest, FillOutcome
from cachemgmt.engine.reuse.knowledge import CLOCK_NAME, STALE_IF_ERROR_S, Rule
from tests.cachemgmt.engine.fakes import (
    KEY,
    FakeSource,
    FakeTime,
    Fill,
    StagedStore,
    Threads,
    WatchedFlights,
    fresh_s,
    keep,
    make_key,
    never,
    take,
    visit,
)
from tests.cachemgmt.engine.processes import Filling, Process, ProviderOut

PAST_TTL_S = fresh_s() + 10
OUT = ProviderOut("busy")


@pytest.fixture
def stale(cache: Cache, now: FakeTime) -> None:
    """Something is stored, and past its TTL by now."""
    keep(cache, value="stale", tags=("intent:fees",))
    now.advance(PAST_TTL_S)


def gets_error(filler: Filler, fill: Fill, *keys: object, **directives: object) -> None:
    with pytest.raises(ProviderOut) as caught:
        take(filler, fill, *keys, **directives)  # type: ignore[arg-type]
    assert caught.value is OUT


@pytest.mark.usefixtures("stale")
def test_it_is_given_while_the_provider_fails(filler: Filler, now: FakeTime) -> None:
    fill = Fill(error=OUT)
    for call in (1, 2, 3):
        given = take(filler, fill)
        assert (given.status, given.reason, given.value) == ("stale", "provider-failed", "stale")
        assert (given.is_stored, fill.calls) == (True, call)
        now.advance(NOTE_S)
    assert take(filler, Fill()).status == "miss"
    assert take(filler, never).value == "made 1"


@pytest.mark.usefixtures("stale")
@pytest.mark.parametrize("error", [LookupError("x"), ValueError("x"), StoreUnavailable(), NotStored()])
def test_it_is_not_given_for_other_errors(filler: Filler, error: Exception) -> None:
    with pytest.raises(type(error)) as caught:
        take(filler, Fill(error=error))
    assert caught.value is error


@pytest.mark.usefixtures("stale")
def test_it_is_not_given_for_an_exit(filler: Filler) -> None:
    with pytest.raises(SystemExit):
        take(filler, Fill(error=SystemExit()))


def test_without_anything_stored_the_error_is_raised(filler: Filler) -> None:
    gets_error(filler, Fill(error=OUT))


@pytest.mark.usefixtures("stale")
def test_it_is_not_given_past_its_window(filler: Filler, now: FakeTime) -> None:
    now.advance(STALE_IF_ERROR_S - 10 - 1)
    assert take(filler, Fill(error=OUT)).status == "stale"
    now.advance(NOTE_S)
    gets_error(filler, Fill(error=OUT))


@pytest.mark.usefixtures("stale")
def test_the_window_is_the_rules_as_it_stands_now(
    filler: Filler, store: StagedStore, source: FakeSource, now: FakeTime
) -> None:
    now.advance(600)
    rules = {(level, ""): Rule(ttl_s=1800, stale_if_error_s=600) for level in ("reply", "response")}
    source.decide(store, rules=rules)
    gets_error(filler, Fill(error=OUT))


def test_a_window_that_ends_during_the_fill_has_ended(filler: Filler, cache: Cache, now: FakeTime) -> None:
    keep(cache)
    now.advance(fresh_s() + STALE_IF_ERROR_S - 1)
    gets_error(filler, Fill(error=OUT, during=lambda: now.advance(2)))


def test_it_is_not_given_past_the_time_at_which_a_policy_changes(
    cache: Cache, filler: Filler, now: FakeTime
) -> None:
    keep(cache, valid_until=now() + PAST_TTL_S)
    now.advance(PAST_TTL_S - 1)
    assert take(filler, Fill(error=OUT)).status == "stale"
    now.advance(NOTE_S)
    gets_error(filler, Fill(error=OUT))


def test_a_policy_that_changes_during_the_fill_counts(cache: Cache, filler: Filler, now: FakeTime) -> None:
    keep(cache, valid_until=now() + PAST_TTL_S)
    now.advance(PAST_TTL_S - 1)
    gets_error(filler, Fill(error=OUT, during=lambda: now.advance(1)))


def test_a_marker_is_never_given_past_its_time(cache: Cache, filler: Filler, now: FakeTime) -> None:
    keep(cache, max_ttl_s=300)
    now.advance(300)
    gets_error(filler, Fill(error=OUT))


# What a request or a caller asks ------------------------------------------------------------------------


@pytest.mark.usefixtures("stale")
def test_max_age_is_not_relaxed(filler: Filler) -> None:
    gets_error(filler, Fill(error=OUT), max_age_s=PAST_TTL_S - 1)


@pytest.mark.usefixtures("stale")
def test_a_max_age_that_allows_it_takes_it(filler: Filler) -> None:
    assert take(filler, Fill(error=OUT), max_age_s=PAST_TTL_S).value == "stale"


@pytest.mark.usefixtures("stale")
def test_only_if_cached_is_not_given_it(filler: Filler) -> None:
    with pytest.raises(NotStored):
        take(filler, never, only_if_cached=True)


@pytest.mark.usefixtures("stale")
@pytest.mark.parametrize("directive", ["no_cache", "no_store"])
def test_who_wants_nothing_stored_gets_the_error(filler: Filler, directive: str) -> None:
    gets_error(filler, Fill(error=OUT), **{directive: True})


@pytest.mark.usefixtures("stale")
def test_the_callers_reason_bars_it(filler: Filler) -> None:
    with pytest.raises(ProviderOut):
        filler.get_or_fill([KEY], Fill(error=OUT), visit(), barred="personal")


@pytest.mark.usefixtures("stale")
def test_who_makes_it_anew_gets_the_error(filler: Filler) -> None:
    with pytest.raises(ProviderOut):
        filler.get_or_fill([KEY], Fill(error=OUT), CacheRequest(is_refresh=True))


@pytest.mark.usefixtures("stale")
def test_the_callers_objection_is_asked_again(cache: Cache, store: StagedStore, source: FakeSource) -> None:
    mine = visit()
    found = cache.lookup([KEY], mine, accept=lambda _entry, known: known.revisions.get("policies") != "r2")
    assert (found.entry, found.reason) == (None, "expired")
    given = cache.serves_error(found, mine)
    assert given is not None
    assert given.value == "stale"
    source.decide(store, revisions={"policies": "r2"})
    assert cache.serves_error(found, mine) is None


def test_of_several_the_youngest_is_given(
    cache: Cache, filler: Filler, store: StagedStore, now: FakeTime
) -> None:
    mine = make_key("mine")
    for key, value in ((KEY, "old"), (mine, "young")):
        keep(cache, key, value)
        now.advance(5)
    now.advance(1800)
    assert take(filler, Fill(error=OUT), KEY, mine).value == "young"
    now.advance(NOTE_S)
    assert take(filler, Fill(mine, error=OUT), mine, KEY).value == "young"
    now.advance(NOTE_S)
    entry = decode(store.get(KEY.name) or b"")
    store.spares = {KEY.name: encode(replace(entry, value="older", made_at=entry.made_at - 100))}
    assert take(filler, Fill(error=OUT)).value == "old"
    store.spares = {KEY.name: encode(replace(entry, value="younger", made_at=entry.made_at + 5))}
    now.advance(NOTE_S)
    assert take(filler, Fill(error=OUT)).value == "younger"


# Other failures than the provider's ---------------------------------------------------------------------


@pytest.mark.usefixtures("stale")
def test_it_is_given_where_no_more_may_wait(filler: Filler) -> None:
    bulkhead = Bulkhead(slots=2, most_admitted=1, warming_slots=1, queue_s=0)
    bulkhead.place().take()
    given = filler.get_or_fill([KEY], never, CacheRequest(place=bulkhead.place()))
    assert (given.status, given.reason, given.value) == ("stale", "overloaded", "stale")


def test_without_anything_stored_who_may_not_wait_is_told(filler: Filler) -> None:
    bulkhead = Bulkhead(slots=2, most_admitted=1, warming_slots=1, queue_s=0)
    bulkhead.place().take()
    with pytest.raises(Overloaded):
        filler.get_or_fill([KEY], never, CacheRequest(place=bulkhead.place()))


@pytest.mark.usefixtures("stale")
def test_it_is_given_where_no_slot_comes_free_during_the_fill(filler: Filler) -> None:
    given = take(filler, Fill(error=Overloaded()))
    assert (given.status, given.reason, given.value) == ("stale", "overloaded", "stale")


@pytest.mark.usefixtures("stale")
def test_it_is_given_after_a_wait_in_vain(filler: Filler, store: StagedStore) -> None:
    store.set(KEY.lease_name, b"somebody else's", 1e6)
    given = take(filler, never)
    assert (given.status, given.reason, given.value) == ("stale", "provider-failed", "stale")
    assert filler.is_failure(NotFilled())


@pytest.mark.usefixtures("stale")
def test_a_failure_in_another_process_counts(one: Process, other: Process) -> None:
    with Threads() as threads:
        failing = Filling(one, threads, error=OUT)
        other.steps = [failing.end]
        given = take(other.filler, never)
        assert failing.end().status == "stale"
    assert (given.status, given.reason, given.value) == ("stale", "provider-failed", "stale")


@pytest.mark.usefixtures("stale")
def test_all_who_waited_are_given_it(filler: Filler, flights: WatchedFlights[FillOutcome | None]) -> None:
    fill = Fill(error=OUT, during=lambda: flights.await_joined(10))
    with Threads() as threads:
        calls = threads.start_together(10, lambda: take(filler, fill))
    assert {(call.result().status, call.result().value) for call in calls} == {("stale", "stale")}
    assert fill.calls == 1


@pytest.mark.usefixtures("stale")
def test_what_is_known_of_another_history_is_not_given(filler: Filler, store: StagedStore) -> None:
    entry = decode(store.get(KEY.name) or b"")
    store.set(KEY.name, encode(replace(entry, clock=9)), 1e6)
    store.set(CLOCK_NAME, b"5", 1e6)
    gets_error(filler, Fill(error=OUT))
