"""A stored entry as people see it, and what a look-up would make of it."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from cachemgmt.engine.entry import Entry, encode
from cachemgmt.engine.keys import Key
from cachemgmt.engine.reuse.knowledge import Flush, Flushes, Knowledge, Rule
from cachemgmt.inspecting.inspector import STEP, InspectedEntry
from cachemgmt.inspecting.stored_entry import EntryFilter
from tests.cachemgmt.inspecting.shop import KNOWN, TTL_S, Shop, shop

__all__ = ["shop"]


def test_an_entry_is_told_in_full(shop: Shop) -> None:
    name = shop.put("what is the fee", age_s=10, tags=("intent:fees", "doc:fees", "customer:17"))
    shop.put("another")
    found = shop.look().get(name)
    entry = found.entry
    assert entry
    assert (entry.name, entry.level, entry.collection, entry.question) == (
        name,
        "response",
        "shop",
        "what is the fee",
    )
    assert (entry.intent, entry.is_personal, entry.cost_usd) == ("fees", True, Decimal("0.06"))
    assert (entry.made_at, entry.age_s) == (shop.now() - 10, 10)
    assert 100 * 0.95 - 10 <= entry.ttl_left_s <= 100 - 10
    assert (entry.state, entry.why) == ("fresh", "")
    assert "doc:fees" in entry.tags
    assert entry.size_bytes == len(shop.store.get(name) or b"")
    assert (found.value, found.problem) == ({"text": "yes"}, "")
    assert shop.look().get(entry.entry_id) == found


def test_an_entry_of_all_is_nobodys_own(shop: Shop) -> None:
    entry = shop.look().get(shop.put("fee")).entry
    assert entry
    assert not entry.is_personal


@pytest.mark.parametrize("named", ["1f2e3d4c5b6a7988", "response:shop:{" + "0" * 32 + "}"])
def test_what_is_not_stored_is_not_found(shop: Shop, named: str) -> None:
    shop.put("fee")
    assert shop.look().get(named) == InspectedEntry()
    assert shop.look().exists(named) is False


def test_what_is_stored_exists_by_name_and_by_id(shop: Shop) -> None:
    name = shop.put("fee")
    entry = shop.look().get(name).entry
    assert entry
    assert shop.look().exists(name) is True
    assert shop.look().exists(entry.entry_id) is True


@pytest.mark.parametrize("named", ["", "fee", "1f2e", "1F2E3D4C5B6A7988", "clock", "response:shop:*", "*"])
def test_what_names_no_entry_is_refused(shop: Shop, named: str) -> None:
    with pytest.raises(ValueError) as caught:
        shop.look().get(named)
    assert f"{named!r} is neither an entry's name nor its id" in str(caught.value)


def test_an_entry_is_found_by_its_id_among_many(shop: Shop) -> None:
    names = [shop.put(f"question {number}") for number in range(2 * STEP)]
    entry = shop.look().get(names[STEP]).entry
    assert entry
    assert shop.look().get(entry.entry_id).entry == entry


# states -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("age_s", "state", "why"),
    [
        (90, "fresh", ""),
        (140, "stale", "while-made-anew"),
        (400, "stale", "if-error"),
        (601, "expired", "expired"),
    ],
)
def test_age_decides_by_the_rule_as_it_stands(shop: Shop, age_s: float, state: str, why: str) -> None:
    assert shop.state(shop.put("fee", age_s=age_s)) == (state, why)


def test_an_entry_past_its_date_is_expired(shop: Shop) -> None:
    assert shop.state(shop.put("fee", valid_until=shop.now() - 1)) == ("expired", "expired")


@pytest.mark.parametrize(
    "flushed",
    [
        {"flushes": Flushes([Flush(clock=6, kind="tag", match="doc:fees")])},
        {"flushes": Flushes([Flush(clock=6, kind="pattern", match="response:shop:*fee*")])},
        {"floor": 6},
    ],
)
def test_a_flushed_entry_is_told_from_the_living(shop: Shop, flushed: dict[str, Any]) -> None:
    name = shop.put("what is the fee", tags=("doc:fees",))
    other = shop.put("other", clock=6)
    known = replace(KNOWN, **flushed)
    assert shop.state(name, known) == ("flushed", "flushed")
    assert shop.state(other, known) == ("fresh", "")


@pytest.mark.parametrize(
    ("fields", "known", "why"),
    [
        ({}, replace(KNOWN, rules={("response", ""): Rule(ttl_s=100, is_enabled=False)}), "level-off"),
        ({"value": {"text": "yes", "revision": "r1"}}, KNOWN, "policies-changed"),
        ({"clock": 10}, KNOWN, "other-history"),
        ({"key_parts": "[2"}, KNOWN, "mixed-up"),
        ({"key_parts": Key("response", "shop", {"message": "x"}, "v1").parts}, KNOWN, "mixed-up"),
    ],
)
def test_what_else_bars_an_entry_is_said(
    shop: Shop, fields: dict[str, Any], known: Knowledge, why: str
) -> None:
    assert shop.state(shop.put("fee", **fields), known) == ("barred", why)


def test_an_answer_under_the_published_policies_is_fresh(shop: Shop) -> None:
    assert shop.state(shop.put("fee", value={"text": "yes", "revision": "r2"})) == ("fresh", "")


def test_passages_of_an_earlier_revision_are_barred(shop: Shop) -> None:
    key = Key("policy", "shop", {"question": "fee", "revision": "r1"}, "v1")
    raw = encode(
        Entry(
            key_parts=key.parts,
            entry_id=key.entry_id,
            level="policy",
            made_at=shop.now(),
            fill_s=0.0,
            cost_usd=None,
            clock=1,
            tags=(),
            question="fee",
            value=[],
        )
    )
    shop.store.set(key.name, raw, TTL_S)
    assert shop.state(key.name) == ("barred", "policies-changed")


# filters ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"level": "answers"}, "level: 'answers' is none of response, intent"),
        ({"state": "old"}, "state: 'old' is none of fresh, stale, expired, flushed, barred"),
        ({"collection": "*"}, "collection: '*' is no collection's name"),
        ({"collection": "a:b"}, "collection: 'a:b' is no"),
        ({"question": " ?! "}, "question: ' ?! ' has no word to look for"),
    ],
)
def test_a_filter_that_makes_no_sense_is_named(wanted: dict[str, str], said: str) -> None:
    with pytest.raises(ValueError) as caught:
        EntryFilter(**wanted)
    assert said in str(caught.value)
