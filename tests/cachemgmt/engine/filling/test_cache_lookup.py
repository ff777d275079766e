"""Looking up and keeping: what may be reused, and what may be stored."""

import logging
from decimal import Decimal

import pytest

from cachemgmt.engine.errors import StoreRefused, StoreUnavailable
from cachemgmt.engine.filling.cache import Cache
from cachemgmt.engine.reuse.freshness import RETENTION_S
from cachemgmt.engine.reuse.knowledge import CLOCK_NAME, Rule
from tests.cachemgmt.engine.fakes import (
    KEY,
    FakeSource,
    FakeTime,
    StagedStore,
    fresh_s,
    keep,
    make_key,
    make_made,
    reason,
    visit,
)

# Keeping and finding ------------------------------------------------------------------------------------


def test_what_is_kept_is_found_with_all_that_belongs_to_it(cache: Cache, now: FakeTime) -> None:
    assert keep(cache, value={"text": "hello"}, tags=("intent:fees", "doc:d"), fill_s=2.5)
    now.advance(10)
    found = cache.lookup([KEY], visit())
    assert found.value == {"text": "hello"}
    assert found.entry is not None
    assert found.entry.made_at == now() - 10
    assert found.entry.fill_s == 2.5
    assert found.entry.cost_usd == Decimal("0.06")
    assert found.entry.clock == 5
    assert found.entry.tags == (
        "level:reply",
        "collection:policies",
        f"entry:{KEY.entry_id}",
        "intent:fees",
        "doc:d",
    )
    assert cache.age_and_ttl_s(found.entry) == pytest.approx((10, fresh_s() - 10))


@pytest.mark.parametrize("value", [None, False, 0, "", [], {}])
def test_an_empty_value_is_found_too(cache: Cache, value: object) -> None:
    keep(cache, value=value)
    found = cache.lookup([KEY], visit())
    assert found
    assert found.value == value


def test_nothing_is_found_under_another_key(cache: Cache) -> None:
    keep(cache)
    assert reason(cache, make_key("another")) == "absent"
    assert reason(cache, make_key(collection="shop")) == "absent"


def test_the_first_reusable_of_several_keys_is_found_in_one_read(cache: Cache, store: StagedStore) -> None:
    keys = [make_key(name) for name in ("mine", "shared", "other")]
    keep(cache, keys[1], "shared")
    keep(cache, keys[2], "other")
    assert cache.lookup(keys, visit()).value == "shared"
    assert store.asked == [[key.name for key in keys]]


def test_nothing_is_kept_under_a_key_it_was_not_made_for(cache: Cache, store: StagedStore) -> None:
    assert not cache.keep(KEY, make_made(make_key("another")), visit())[1]
    assert not cache.keep(KEY, make_made(None), visit())[1]
    assert list(store.names()) == []


def test_what_is_older_than_its_ttl_is_not_kept(cache: Cache, store: StagedStore, now: FakeTime) -> None:
    assert not keep(cache, made_at=now() - fresh_s() - 0.001)
    assert list(store.names()) == []
    assert keep(cache, made_at=now() - fresh_s() + 1)
    now.advance(1.001)
    assert reason(cache) == "expired"


@pytest.mark.parametrize(
    ("rule", "stays_s"),
    [
        (Rule(ttl_s=1800), RETENTION_S),
        (Rule(ttl_s=1800, stale_if_error_s=60), RETENTION_S),
        (Rule(ttl_s=1800, stale_if_error_s=2 * RETENTION_S), 2 * RETENTION_S),
        (Rule(ttl_s=1800, stale_while_revalidate_s=3 * RETENTION_S), 3 * RETENTION_S),
    ],
)
def test_the_store_keeps_it_past_its_ttl_for_as_long_as_it_may_be_of_use(
    cache: Cache,
    store: StagedStore,
    source: FakeSource,
    now: FakeTime,
    rule: Rule,
    stays_s: float,
) -> None:
    source.decide(store, rules={(level, ""): rule for level in ("reply", "response")})
    source.known(at_least=source.truth.clock)
    keep(cache)
    now.advance(fresh_s() + stays_s - 1)
    assert store.exists(KEY.name)
    now.advance(1)
    assert not store.exists(KEY.name)


@pytest.mark.parametrize("error", [StoreUnavailable(), StoreRefused()])
def test_a_store_that_fails_is_a_miss_and_no_error(
    cache: Cache, store: StagedStore, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    store.fails = {"get_many": error, "set": error}  # type: ignore[dict-item]
    assert reason(cache) == "store-out"
    assert not keep(cache)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_a_visit_uses_one_session_of_the_store(store: StagedStore, source: FakeSource, now: FakeTime) -> None:
    """What fails or is slow then holds the request up once."""
    sessions: list[StagedStore] = []

    class Sessions(StagedStore):
        def session(self) -> "Sessions":
            sessions.append(self)
            return self

    cache = Cache(store=Sessions(now=now), source=source, now=now)
    mine = visit()
    for _ in range(3):
        cache.lookup([KEY], mine)
        cache.keep(KEY, make_made(KEY), mine)
        cache.reread_clock(mine)
    assert len(sessions) == 1
    cache.lookup([KEY], visit())
    assert len(sessions) == 2


# What is not one of our entries -------------------------------------------------------------------------


@pytest.mark.parametrize("raw", [b"", b"rubbish", b"null", b'{"v":1}', b"\xff", b"\x80\x04pickle"])
def test_rubbish_is_a_miss_and_is_deleted(cache: Cache, store: StagedStore, raw: bytes) -> None:
    store.set(KEY.name, raw, 60)
    assert reason(cache) == "unreadable"
    assert not store.exists(KEY.name)
    assert reason(cache) == "absent"


@pytest.mark.parametrize("change", [b'"clock":5', b'"made_at":1700000000.0'])
def test_numbers_out_of_bounds_are_rubbish_too(cache: Cache, store: StagedStore, change: bytes) -> None:
    keep(cache)
    raw = store.get(KEY.name) or b""
    assert change in raw
    for wrong in (b"NaN", b"Infinity", b"1e999", b"9" * 400, b'"5"'):
        store.set(KEY.name, raw.replace(change, change.split(b":")[0] + b":" + wrong), 60)
        assert reason(cache) == "unreadable"


def test_rubbish_that_cannot_be_deleted_is_a_miss(cache: Cache, store: StagedStore) -> None:
    store.set(KEY.name, b"rubbish", 60)
    store.fails = {"delete": StoreUnavailable(), "remove": StoreUnavailable()}
    assert reason(cache) == "unreadable"


def test_what_took_the_place_of_rubbish_meanwhile_is_not_deleted(cache: Cache, store: StagedStore) -> None:
    """Between its reading and its removal another process may have stored something good there."""
    store.set(KEY.name, b"rubbish", 60)
    store.after_read = lambda: keep(cache, value="good")
    assert reason(cache) == "unreadable"
    assert cache.lookup([KEY], visit()).value == "good"


def test_rubbish_under_one_key_does_not_hide_the_next(cache: Cache, store: StagedStore) -> None:
    store.set(KEY.name, b"rubbish", 60)
    keep(cache, make_key("shared"), "shared")
    assert cache.lookup([KEY, make_key("shared")], visit()).value == "shared"


def test_somebody_elses_entry_under_our_name_is_a_miss(cache: Cache, store: StagedStore) -> None:
    other = make_key("another")
    keep(cache, other, "for another question")
    store.set(KEY.name, store.get(other.name) or b"", 60)
    assert reason(cache) == "mixed-up"


@pytest.mark.parametrize("clock", [b"", b"rubbish", b"-3", b"1.5", b"\xff", b"\xc2\xb2", b"9" * 5000])
def test_a_clock_that_is_no_number_is_ignored(
    cache: Cache, store: StagedStore, source: FakeSource, clock: bytes
) -> None:
    keep(cache)
    store.set(CLOCK_NAME, clock, 60)
    assert reason(cache) is None
    assert source.loads == 0


# Freshness ----------------------------------------------------------------------------------------------


def test_it_is_fresh_for_the_levels_ttl(cache: Cache, now: FakeTime) -> None:
    keep(cache)
    now.advance(fresh_s() - 0.001)
    assert reason(cache) is None
    now.advance(0.002)
    assert reason(cache) == "expired"


def test_reading_does_not_make_it_younger(cache: Cache, now: FakeTime) -> None:
    keep(cache)
    for _ in range(3):
        now.advance(600)
        found = reason(cache)
    assert found == "expired"


def test_a_rule_changed_later_acts_on_what_is_stored(
    cache: Cache, store: StagedStore, source: FakeSource, now: FakeTime
) -> None:
    keep(cache)
    source.decide(store, rules={("reply", ""): Rule(ttl_s=60)})
    now.advance(60)
    assert reason(cache) == "expired"
    source.decide(store, rules={(level, ""): Rule(ttl_s=7200) for level in ("reply", "response")})
    now.advance(fresh_s(ttl_s=7200) - 60 - 0.001)
    assert reason(cache) is None
    now.advance(0.002)
    assert reason(cache) == "expired"


def test_an_intents_rule_acts_on_its_entries_only(
    cache: Cache, store: StagedStore, source: FakeSource, now: FakeTime
) -> None:
    refund, fees = make_key("refund"), make_key("fees")
    keep(cache, refund, tags=("intent:refund",))
    keep(cache, fees, tags=("intent:fees",))
    source.decide(store, rules={("reply", "refund"): Rule(ttl_s=60)})
    now.advance(60)
    assert reason(cache, refund) == "expired"
    assert reason(cache, fees) is None


def test_its_own_maximum_caps_its_ttl(cache: Cache, now: FakeTime) -> None:
    keep(cache, max_ttl_s=300)
    now.advance(fresh_s(ttl_s=300) - 0.001)
    assert reason(cache) is None
    now.advance(0.002)
    assert reason(cache) == "expired"


def test_nothing_is_reused_after_it_ceased_to_be_valid(cache: Cache, now: FakeTime) -> None:
    keep(cache, valid_until=now() + 60)
    now.advance(59)
    assert reason(cache) is None
    now.advance(1)
    assert reason(cache) == "expired"


def test_a_time_that_was_set_back_does_not_age_it(cache: Cache, now: FakeTime) -> None:
    keep(cache)
    now.advance(-10_000)
    found = cache.lookup([KEY], visit())
    assert found.entry is not None
    assert cache.age_and_ttl_s(found.entry) == pytest.approx((0, fresh_s()))


def test_it_is_told_for_how_long_it_has_been_stale(cache: Cache, now: FakeTime) -> None:
    entry, _ = cache.keep(KEY, make_made(KEY), visit())
    now.advance(fresh_s() + 7)
    assert cache.age_and_ttl_s(entry)[1] == pytest.approx(-7)
