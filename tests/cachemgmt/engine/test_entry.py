"""The envelope: what goes in comes out, and nothing else is taken for one."""

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachemgmt.engine.entry import Entry, decode, encode
from cachemgmt.engine.errors import Undecodable
from cachemgmt.engine.reuse.freshness import age_s, ttl_left_s
from cachemgmt.engine.reuse.knowledge import Rule
from tests.cachemgmt.engine.fakes import make_key
from tests.cachemgmt.engine.test_keys import plain

ENTRY = Entry(
    key_parts=make_key().parts,
    entry_id=make_key().entry_id,
    level="reply",
    made_at=1_700_000_000.25,
    fill_s=11.5,
    cost_usd=Decimal("0.0612"),
    clock=7,
    tags=("level:reply", "intent:refund", "doc:returns"),
    question="what's the fee \ud800 😀",
    value={"text": "Two days.", "cited": [0, 2], "none": None, "share": 0.1},
    valid_until=1_800_000_000.0,
    max_ttl_s=300.0,
)
ROW: dict[str, Any] = json.loads(encode(ENTRY))


def test_an_entry_comes_back_as_it_was() -> None:
    assert decode(encode(ENTRY)) == ENTRY


def test_what_is_not_known_comes_back_as_none() -> None:
    entry = replace(ENTRY, cost_usd=None, valid_until=None, max_ttl_s=None, tags=(), value=None)
    assert decode(encode(entry)) == entry


@given(plain, st.text())
def test_any_plain_value_comes_back(value: Any, question: str) -> None:
    entry = decode(encode(replace(ENTRY, value=value, question=question)))
    assert (entry.value, entry.question) == (value, question)


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_a_cost_comes_back_to_the_last_digit(cost_usd: Decimal) -> None:
    assert str(decode(encode(replace(ENTRY, cost_usd=cost_usd))).cost_usd) == str(cost_usd)


def test_a_value_that_is_not_plain_is_not_encoded() -> None:
    with pytest.raises(TypeError):
        encode(replace(ENTRY, value=object()))
    with pytest.raises(ValueError, match="JSON"):
        encode(replace(ENTRY, value=float("nan")))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x00",
        b"\xff\xfe",
        b"{",
        b"[]",
        b"{}",
        b"null",
        b"1",
        b'"text"',
        b'[{"v": 1}]',
        b"\x80\x04\x95pickle",
        b"[" * 100_000,
        b'{"v": 1}',
        encode(ENTRY)[:-1],
        encode(ENTRY) + b"}",
        encode(ENTRY).replace(b'"v":2', b'"v":1'),
        encode(ENTRY).replace(b'"v":2', b'"v":3'),
        encode(ENTRY).replace(b'"v":2', b'"v":"2"'),
        encode(ENTRY)[1:],
    ],
    ids=lambda raw: raw[:20],
)
def test_rubbish_is_undecodable(raw: bytes) -> None:
    with pytest.raises(Undecodable):
        decode(raw)


@given(st.binary())
def test_random_bytes_are_undecodable(raw: bytes) -> None:
    with pytest.raises(Undecodable):
        decode(raw)


@pytest.mark.parametrize("name", list(ROW))
def test_an_entry_with_a_part_missing_is_undecodable(name: str) -> None:
    row = {field: value for field, value in ROW.items() if field != name}
    with pytest.raises(Undecodable):
        decode(json.dumps(row).encode())


@pytest.mark.parametrize(
    "entry_id",
    [
        "",
        "f" * 15,
        "f" * 17,
        "g" * 16,
        "-" + "f" * 15,
        "+" + "f" * 15,
        "0x" + "f" * 14,
        "fff_" + "f" * 12,
        " " + "f" * 15,
        "ff ff" + "f" * 11,
        "\u0661" * 16,
    ],
)
def test_an_id_that_is_none_is_undecodable(entry_id: str) -> None:
    """Jitter is read off it."""
    with pytest.raises(Undecodable):
        decode(json.dumps({**ROW, "id": entry_id}).encode())


TEXTS = ["key", "id", "level", "question"]
NUMBERS = ["made_at", "fill_s", "clock", "valid_until", "max_ttl_s"]
NO_TEXT: list[object] = [None, 1, 1.5, True, [], {}, ["a"]]
NO_NUMBER: list[object] = ["", "1", True, [], {}, [1], float("nan"), float("inf"), 10**400]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, value) for name in TEXTS for value in NO_TEXT),
        *((name, value) for name in NUMBERS for value in NO_NUMBER),
        *((name, None) for name in ("made_at", "fill_s", "clock")),
        *(("cost_usd", value) for value in (1, 0.5, "", "cheap", "NaN", "Infinity", [], [0, [1], 0], True)),
        *(("tags", value) for value in (None, 1, True, [1], [None], [["a"]])),
    ],
    ids=lambda value: str(value)[:20],
)
def test_an_entry_with_a_part_of_another_kind_is_undecodable(name: str, value: object) -> None:
    with pytest.raises(Undecodable):
        decode(json.dumps({**ROW, name: value}).encode())


@given(
    st.dictionaries(
        st.sampled_from(sorted(ROW)), plain | st.floats() | st.sampled_from([1, "NaN", 10**400]), max_size=5
    )
)
def test_whatever_is_decoded_could_have_been_encoded(changes: dict[str, Any]) -> None:
    raw = json.dumps({**ROW, **changes}).encode()
    try:
        entry = decode(raw)
    except Undecodable:
        return
    assert age_s(entry, 0.0) >= 0
    assert ttl_left_s(entry, Rule(ttl_s=60), 0.0) <= 60
    if "value" not in changes:
        assert decode(encode(entry)) == replace(entry, fill_s=round(entry.fill_s, 6))


def test_the_intent_is_read_from_the_tags() -> None:
    assert ENTRY.intent == "refund"
    assert replace(ENTRY, tags=("level:reply",)).intent is None


def test_an_entry_belongs_to_its_key_only() -> None:
    assert ENTRY.belongs_to(make_key())
    assert not ENTRY.belongs_to(make_key("another"))
