"""Flushes, switches, the clock, and what a request or a caller may ask: when a fresh entry is not reused."""

import pytest

from cachemgmt.engine.errors import StoreUnavailable
from cachemgmt.engine.filling.cache import Cache
from cachemgmt.engine.reasons import Reason
from cachemgmt.engine.reuse.knowledge import CLOCK_NAME, FlushKind, Knowledge, Rule
from cachemgmt.engine.stores.memory import MemoryStore
from tests.cachemgmt.engine.fakes import (
    KEY,
    FakeSource,
    FakeTime,
    StagedStore,
    keep,
    make_key,
    make_made,
    reason,
    visit,
)

# Flushes, switches and the clock ------------------------------------------------------------------------

FLUSHES: list[tuple[FlushKind, str]] = [
    ("all", ""),
    ("tag", "doc:d"),
    ("tag", "level:reply"),
    ("tag", "collection:policies"),
    ("tag", f"entry:{KEY.entry_id}"),
    ("pattern", "reply:policies:*refund*"),
    ("age", "1700000000.5"),
]


@pytest.mark.parametrize(("kind", "match"), FLUSHES)
def test_a_flush_elsewhere_is_heeded_at_the_next_look_up(
    cache: Cache, store: StagedStore, source: FakeSource, now: FakeTime, kind: FlushKind, match: str
) -> None:
    keep(cache, question="refund fee", tags=("doc:d",))
    now.advance(1)
    source.flush(store, kind, match)
    assert reason(cache) == "flushed"
    keep(cache, question="refund fee", tags=("doc:d",))
    assert reason(cache) is None


@pytest.mark.parametrize(
    ("kind", "match"), [("tag", "doc:other"), ("pattern", "reply:shop:*"), ("age", "1700000000.0")]
)
def test_a_flush_of_others_leaves_it(
    cache: Cache, store: StagedStore, source: FakeSource, kind: FlushKind, match: str
) -> None:
    keep(cache, tags=("doc:d",))
    source.flush(store, kind, match)
    assert reason(cache) is None


def test_what_is_older_than_the_floor_is_not_reused(
    cache: Cache, store: StagedStore, source: FakeSource
) -> None:
    keep(cache)
    source.decide(store, floor=6)
    assert reason(cache) == "flushed"


def test_a_flush_the_store_was_not_told_of_is_heeded_once_it_is_known(
    cache: Cache, source: FakeSource
) -> None:
    keep(cache)
    source.flush()
    assert reason(cache) is None  # for as long as the clock's watcher has not run: at most a second
    source.known(at_least=source.truth.clock)
    assert reason(cache) == "flushed"


def test_a_store_whose_clock_is_behind_brings_nothing_back(
    cache: Cache, store: StagedStore, source: FakeSource
) -> None:
    keep(cache)
    source.flush(store)
    assert reason(cache) == "flushed"
    store.set(CLOCK_NAME, b"1", 60)  # restored from an old file
    assert reason(cache) == "flushed"


def test_what_is_known_is_loaded_once_per_change(
    cache: Cache, store: StagedStore, source: FakeSource
) -> None:
    keep(cache)
    source.decide(store)
    for _ in range(5):
        assert reason(cache) is None
    assert source.loads == 1


def test_switching_off_is_heeded_by_the_very_look_up_that_learns_of_it(
    cache: Cache, store: StagedStore, source: FakeSource
) -> None:
    keep(cache)
    source.decide(store, is_on=False)
    assert reason(cache) == "switched-off"
    assert not keep(cache)
    source.decide(store, is_on=True)
    assert reason(cache) is None


def test_nothing_is_reused_while_news_cannot_be_read(
    cache: Cache, store: StagedStore, source: FakeSource
) -> None:
    keep(cache)
    source.flush(store)
    source.is_database_out = True
    assert reason(cache) == "unconfirmed"
    source.is_database_out = False
    assert reason(cache) == "flushed"


def test_nothing_is_reused_where_neither_store_nor_database_has_said_of_late_that_this_is_all(
    cache: Cache, store: StagedStore, source: FakeSource
) -> None:
    keep(cache)
    source.is_confirmed = False
    assert reason(cache) == "unconfirmed"  # the store has never been told the clock
    store.raise_number(CLOCK_NAME, 5)
    assert reason(cache) is None
    store.clear_all("clock")
    assert reason(cache) == "unconfirmed"
    source.is_confirmed = True
    assert reason(cache) is None


def test_a_store_that_nobody_shares_tells_no_clock(
    store: StagedStore, source: FakeSource, now: FakeTime
) -> None:
    """Nobody else could have raised it there."""
    own = MemoryStore(now=now)
    cache = Cache(store=own, source=source, now=now)
    keep(cache)
    source.flush(own)
    source.is_confirmed = False
    assert reason(cache) == "unconfirmed"
    assert source.loads == 0


def test_what_is_learned_while_it_is_asked_whether_that_is_all_counts(
    store: StagedStore, now: FakeTime
) -> None:
    """The watcher may load the news just after a look-up has given up waiting for them."""

    class LateSource(FakeSource):
        def known(self, at_least: int | None = None) -> Knowledge:
            return self._seen

        def is_current(self, told: int | None) -> bool:
            self._seen = self.truth
            return super().is_current(told)

    source = LateSource(clock=5)
    cache = Cache(store=store, source=source, now=now)
    keep(cache)
    source.flush(store)
    assert reason(cache) == "flushed"


def test_an_entry_of_a_newer_clock_has_it_loaded(
    cache: Cache, store: StagedStore, source: FakeSource, now: FakeTime
) -> None:
    source.decide()
    newer = Cache(store=store, source=FakeSource(clock=6), now=now)
    keep(newer)
    assert reason(cache) is None
    assert source.loads == 1


def test_an_entry_of_another_history_is_not_reused(cache: Cache, store: StagedStore, now: FakeTime) -> None:
    """Of a database that was made anew or restored since: what was flushed there is not known here."""
    keep(Cache(store=store, source=FakeSource(clock=9), now=now))
    assert reason(cache) == "other-history"


def test_a_level_that_is_switched_off_is_neither_read_nor_written(
    cache: Cache, store: StagedStore, source: FakeSource
) -> None:
    keep(cache, tags=("intent:fees",))
    off, on = Rule(ttl_s=60, is_enabled=False), Rule(ttl_s=60)
    source.decide(store, rules={("reply", ""): off, ("reply", "fees"): on})
    assert reason(cache) == "level-off"  # an intent's rule does not switch its level on
    assert reason(cache) == "level-off"
    assert not keep(cache, tags=("intent:fees",))
    made = make_made(KEY, tags=("intent:fees",))
    assert not cache.keep(KEY, made, visit(no_cache=True))[1]
    assert reason(cache, make_key(level="intent")) == "absent"


def test_an_intent_that_is_switched_off_is_neither_reused_nor_kept(
    cache: Cache, store: StagedStore, source: FakeSource
) -> None:
    keep(cache, tags=("intent:refund",))
    source.decide(store, rules={("reply", "refund"): Rule(ttl_s=60, is_enabled=False)})
    assert reason(cache) == "level-off"
    assert not keep(cache, tags=("intent:refund",))
    assert keep(cache, tags=("intent:fees",))


def test_a_disabled_cache_touches_no_store(store: StagedStore, source: FakeSource, now: FakeTime) -> None:
    cache = Cache(store=store, source=source, is_enabled=False, now=now)
    assert not keep(cache)
    assert reason(cache) == "disabled"
    assert (store.asked, list(store.names())) == ([], [])


def test_an_entry_carries_the_clock_known_before_its_first_input_was_read(
    cache: Cache, store: StagedStore, source: FakeSource
) -> None:
    mine = visit()
    cache.lookup([KEY], mine)  # at 5
    source.flush(store)
    cache.lookup([make_key("another")], mine)  # learns of 6
    entry, is_stored = cache.keep(KEY, make_made(KEY), mine)
    assert entry.clock == 5
    assert not is_stored, "what is dead on arrival would replace another's that is not"
    assert reason(cache) == "absent"


@pytest.mark.parametrize("directives", [{"no_cache": True}, {"no_store": True}, {}])
def test_a_visit_notes_the_clock_whatever_comes_of_the_look_up(
    cache: Cache, store: StagedStore, source: FakeSource, directives: dict[str, bool]
) -> None:
    store.fails = {"get_many": StoreUnavailable()}
    mine = visit(**directives)
    cache.lookup([KEY], mine)
    assert mine.clock == 5


# Directives and objections ------------------------------------------------------------------------------


def test_max_age_refuses_what_is_older(cache: Cache, now: FakeTime) -> None:
    keep(cache)
    now.advance(30)
    assert reason(cache, max_age_s=30) is None
    assert reason(cache, max_age_s=29) == "max-age"
    assert reason(cache, max_age_s=0) == "max-age"


def test_no_cache_looks_at_nothing_and_keeps(cache: Cache, store: StagedStore) -> None:
    keep(cache, value="old")
    assert reason(cache, no_cache=True) == "no-cache"
    assert store.asked == [[]]
    assert cache.keep(KEY, make_made(KEY, "new"), visit(no_cache=True))[1]
    assert cache.lookup([KEY], visit()).value == "new"


def test_no_store_looks_at_nothing_and_keeps_nothing(cache: Cache) -> None:
    keep(cache, value="old")
    assert reason(cache, no_store=True) == "no-store"
    assert reason(cache, no_store=True, no_cache=True) == "no-store"
    assert not cache.keep(KEY, make_made(KEY, "new"), visit(no_store=True))[1]
    assert cache.lookup([KEY], visit()).value == "old"


def test_the_callers_reason_bars_a_look_up(cache: Cache, store: StagedStore) -> None:
    keep(cache)
    found = cache.lookup([KEY], visit(), barred="personal")
    assert (found.entry, found.reason, store.asked) == (None, "personal", [[]])


@pytest.mark.parametrize(
    ("directives", "barred", "expected"),
    [
        ({"no_store": True}, None, "no-store"),
        ({"no_cache": True}, None, "no-cache"),
        ({}, "personal", "personal"),
        ({}, None, "store-out"),
    ],
)
def test_a_store_that_is_out_does_not_hide_a_wish(
    cache: Cache, store: StagedStore, directives: dict[str, bool], barred: Reason | None, expected: str
) -> None:
    """Else the request would share a fill under way as if it had missed."""
    store.fails = {"get_many": StoreUnavailable()}
    assert cache.lookup([KEY], visit(**directives), barred=barred).reason == expected


def test_the_caller_may_object_to_an_entry(cache: Cache, store: StagedStore, source: FakeSource) -> None:
    keep(cache, value={"revision": "r1"})
    source.decide(store, revisions={"policies": "r2"})
    found = cache.lookup(
        [KEY], visit(), accept=lambda entry, known: entry.value["revision"] == known.revisions["policies"]
    )
    assert (found.entry, found.reason) == (None, "policies-changed")
