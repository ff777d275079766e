"""This process's own copies: what the shared store has lost, spoilt or forgotten is not paid for again."""

from dataclasses import replace

import pytest

from cachemgmt.engine.entry import decode, encode
from cachemgmt.engine.errors import StoreRefused, StoreUnavailable
from cachemgmt.engine.filling.cache import Cache
from cachemgmt.engine.filling.filling import Filler
from cachemgmt.engine.reuse.knowledge import CLOCK_NAME
from cachemgmt.engine.stores.memory import MemoryStore
from tests.cachemgmt.engine.fakes import (
    KEY,
    FakeSource,
    FakeTime,
    Fill,
    StagedStore,
    fresh_s,
    keep,
    make_key,
    never,
    reason,
    take,
    visit,
)


@pytest.fixture
def store(now: FakeTime) -> StagedStore:
    """A store with copies of its own beside the shared ones."""
    store = StagedStore(now=now)
    store.spares = {}
    return store


@pytest.fixture
def cache(store: StagedStore, source: FakeSource, now: FakeTime) -> Cache:
    return Cache(store=store, source=source, now=now)


def lose(store: StagedStore) -> None:
    """Let the shared store forget everything, as at FLUSHALL or an eviction."""
    store.clear_all()
    assert store.get(KEY.name) is None


def spoil(store: StagedStore, raw: bytes) -> None:
    """Let something else stand in the shared store, which this process has neither read nor written."""
    MemoryStore.set(store, KEY.name, raw, 60)


def test_what_the_store_has_lost_is_still_a_hit_and_stored_again(
    cache: Cache, filler: Filler, store: StagedStore
) -> None:
    keep(cache, value="ours")
    kept = store.get(KEY.name)
    lose(store)
    hit = take(filler, never)
    assert (hit.status, hit.value) == ("hit", "ours")
    assert store.get(KEY.name) == kept


def test_what_is_stored_again_stays_no_longer_than_it_would_have(
    cache: Cache, store: StagedStore, now: FakeTime
) -> None:
    keep(cache)
    now.advance(1000)
    lose(store)
    assert reason(cache) is None
    now.advance(fresh_s() - 1000 + 1)
    assert reason(cache) == "expired"


def test_what_was_read_is_remembered(cache: Cache, store: StagedStore, source: FakeSource) -> None:
    keep(cache, value="theirs")  # by another process
    store.spares = {}
    assert cache.lookup([KEY], visit()).value == "theirs"
    lose(store)
    assert cache.lookup([KEY], visit()).value == "theirs"


@pytest.mark.parametrize("raw", [b"", b"rubbish", b"\x80\x04pickle", b'{"v":1}'])
def test_what_was_spoilt_is_still_a_hit_and_mended(cache: Cache, store: StagedStore, raw: bytes) -> None:
    keep(cache, value="ours")
    kept = store.get(KEY.name) or b""
    spoil(store, raw)
    assert cache.lookup([KEY], visit()).value == "ours"
    assert store.get(KEY.name) == kept


def older(store: StagedStore, **changes: object) -> bytes:
    return encode(replace(decode(store.get(KEY.name) or b""), value="older", **changes))  # type: ignore[arg-type]


def test_something_older_from_an_old_file_gives_way(cache: Cache, store: StagedStore, now: FakeTime) -> None:
    now.advance(1800)
    keep(cache, value="ours")
    kept = store.get(KEY.name)
    spoil(store, older(store, made_at=now() - 1800))
    assert cache.lookup([KEY], visit()).value == "ours"
    assert store.get(KEY.name) == kept


def test_something_flushed_from_an_old_file_gives_way(
    cache: Cache, store: StagedStore, source: FakeSource
) -> None:
    keep(cache, value="flushed")
    restored = store.get(KEY.name) or b""
    source.flush(store)
    assert reason(cache) == "flushed"
    keep(cache, value="anew")
    spoil(store, restored)
    store.set(CLOCK_NAME, b"5", 60)
    assert cache.lookup([KEY], visit()).value == "anew"


def test_somebody_elses_entry_under_our_name_gives_way(cache: Cache, store: StagedStore) -> None:
    keep(cache, value="ours")
    keep(cache, make_key("another"), "theirs")
    spoil(store, store.get(make_key("another").name) or b"")
    assert cache.lookup([KEY], visit()).value == "ours"


def test_what_is_fresh_in_the_store_goes_before_ones_own(cache: Cache, store: StagedStore) -> None:
    keep(cache, value="ours")
    theirs = older(store)
    spoil(store, theirs)
    assert cache.lookup([KEY], visit()).value == "older"
    assert store.spare(KEY.name) == theirs


# Ones own is judged like any other ----------------------------------------------------------------------


def test_a_flush_reaches_ones_own_copies(cache: Cache, store: StagedStore, source: FakeSource) -> None:
    keep(cache)
    lose(store)
    source.flush(store)
    assert reason(cache) == "flushed"
    assert store.get(KEY.name) is None


def test_ones_own_is_stale_like_any_other(cache: Cache, store: StagedStore, now: FakeTime) -> None:
    keep(cache)
    lose(store)
    now.advance(fresh_s() + 0.001)
    assert reason(cache) == "expired"
    assert store.get(KEY.name) is None


def test_ones_own_is_not_reused_while_news_cannot_be_read(
    cache: Cache, store: StagedStore, source: FakeSource
) -> None:
    keep(cache)
    lose(store)
    source.is_confirmed = False
    assert reason(cache) == "unconfirmed"


@pytest.mark.parametrize("directives", [{"no_cache": True}, {"no_store": True}])
def test_who_wants_nothing_stored_gets_nothing_of_ones_own(
    cache: Cache, store: StagedStore, directives: dict[str, bool]
) -> None:
    keep(cache)
    lose(store)
    assert not cache.lookup([KEY], visit(**directives))
    assert store.get(KEY.name) is None


def test_what_can_be_read_nowhere_is_a_miss_and_removed(
    cache: Cache, filler: Filler, store: StagedStore
) -> None:
    store.set(KEY.name, b"rubbish", 60)
    store.spares = {KEY.name: b"rubbish, too"}
    assert take(filler, Fill()).reason == "unreadable"
    assert take(filler, never).status == "hit"


@pytest.mark.parametrize("error", [StoreUnavailable(), StoreRefused()])
def test_a_store_that_takes_nothing_does_not_keep_one_from_ones_own(
    cache: Cache, store: StagedStore, error: StoreUnavailable
) -> None:
    keep(cache, value="ours")
    lose(store)
    store.fails = {"set": error}
    assert cache.lookup([KEY], visit()).value == "ours"
