"""Keys: equal questions meet, different ones never do."""

import json
import unicodedata
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cachemgmt.engine.errors import Unkeyable
from cachemgmt.engine.key import Key, canonical_json, fingerprint, normalise_message

any_text = st.text(st.characters(codec=None, exclude_categories=()), max_size=30)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def exactly(value: Any) -> Any:
    """Return the value with its types beside it, so that 1, 1.0 and True are told apart."""
    match value:
        case list():
            return ("list", [exactly(item) for item in value])
        case dict():
            return ("dict", {name: exactly(item) for name, item in value.items()})
        case float():
            return ("float", repr(value))
        case _:
            return (type(value).__name__, value)


def turned_round(value: Any) -> Any:
    """Return the value with every mapping in the opposite order."""
    match value:
        case list():
            return [turned_round(item) for item in value]
        case dict():
            return {name: turned_round(item) for name, item in reversed(value.items())}
        case _:
            return value


@given(plain)
def test_the_order_of_a_mapping_does_not_matter(value: Any) -> None:
    assert canonical_json(value) == canonical_json(turned_round(value))


@given(plain, plain)
@example(1, 1.0)
@example(1, True)
@example(1, "1")
@example(None, "null")
@example([], {})
@example({"a": None}, {})
@example(["a,b"], ["a", "b"])
@example(0.0, -0.0)
def test_values_share_a_text_only_if_they_are_the_same(one: Any, other: Any) -> None:
    assert (canonical_json(one) == canonical_json(other)) == (exactly(one) == exactly(other))


@given(plain)
def test_the_text_is_json_of_the_value_in_ascii(value: Any) -> None:
    text = canonical_json(value)
    assert text.isascii()
    assert exactly(json.loads(text)) == exactly(value)


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        float("inf"),
        [1, [float("-inf")]],
        {1: "a"},
        {"a": {None: 1}},
        {"a": object()},
        b"bytes",
        {"a", "b"},
        1j,
    ],
    ids=repr,
)
def test_what_is_not_plain_is_unkeyable(value: object) -> None:
    with pytest.raises(Unkeyable):
        canonical_json(value)
    with pytest.raises(Unkeyable):
        Key("reply", "policies", value, "v1")


@given(any_text)
def test_any_text_can_be_keyed_also_lone_surrogates(text: str) -> None:
    assert Key("reply", "policies", text, "v1").name.isascii()
    assert len(fingerprint(text)) == 32


parts = st.tuples(st.text(max_size=5), st.text(max_size=5), plain, st.text(max_size=5))


@given(parts, parts)
@example(("a", "bc", None, ""), ("ab", "c", None, ""))
@example(("a", "b", "c", "d"), ("a", "b", ["c"], "d"))
def test_keys_agree_in_parts_only_if_they_agree_in_all_inputs(
    one: tuple[str, str, Any, str], other: tuple[str, str, Any, str]
) -> None:
    is_same = exactly(list(one)) == exactly(list(other))
    assert (Key(*one).parts == Key(*other).parts) == is_same
    assert (Key(*one).digest == Key(*other).digest) == is_same


def test_each_part_of_a_key_makes_it_another() -> None:
    keys = [
        Key("reply", "shop", {"q": "fee"}, "v1"),
        Key("intent", "shop", {"q": "fee"}, "v1"),
        Key("reply", "bank", {"q": "fee"}, "v1"),
        Key("reply", "shop", {"q": "fees"}, "v1"),
        Key("reply", "shop", {"q": "fee"}, "v2"),
    ]
    assert len({key.name for key in keys}) == len({key.entry_id for key in keys}) == len(keys)


def test_the_name_tells_level_and_collection() -> None:
    key = Key("reply", "shop", {"q": "fee"}, "v1")
    assert key.name == f"reply:shop:{key.digest}"
    assert key.digest.startswith(key.entry_id)


def test_keys_are_the_same_in_every_process() -> None:
    inputs: Mapping[str, object] = {"question": "what's the fee", "history": [["user", "héllo"]]}
    assert Key("reply", "policies", inputs, "v1").digest == "93c50df56ab0d930c55ef3132ce5092a"


@given(any_text)
@example("..5")
@example("\u037e fee \u1fef")
@example("\u03b1\u0345\u0301")
@example("\u01f0 \u0149 \u1e9e \u0130")
def test_normalising_twice_changes_nothing(text: str) -> None:
    once = normalise_message(text)
    assert normalise_message(once) == once


@given(st.text(max_size=30))
@example("  ")
@example("What's\tthe\nfee")
@example("\u03b1\u0345\u0301")
def test_forms_case_and_spaces_do_not_matter(text: str) -> None:
    expected = normalise_message(text)
    assert normalise_message(unicodedata.normalize("NFD", text)) == expected
    assert normalise_message(f"  {text}\n") == expected
    assert normalise_message(text.replace(" ", " \t\u00a0 ")) == expected
    assert expected == expected.strip()
    assert "  " not in expected


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What's your refund policy?", " what's your refund policy "),
        ("WHAT'S YOUR REFUND POLICY?!", "what's your refund policy"),
        ('"What is the fee?"', "what is the fee"),
        ("«Straße»", "STRASSE"),
        ("Cafe\u0301 fee", "café fee"),
        ("fee:", "fee"),
        ("...and 5?", "and 5"),
        ("! 5 %", "5 %"),
    ],
)
def test_these_are_the_same_question(one: str, other: str) -> None:
    assert normalise_message(one) == normalise_message(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("fee 5%", "fee 5"),
        ("#5", "5"),
        ("$5", "5"),
        ("-5", "5"),
        (".5 percent?", "5 percent?"),
        ('".5 percent"', "5 percent"),
        ("c++", "c"),
        ("c#", "c"),
        ("re-sign", "resign"),
        ("1.5", "15"),
        ("5 m²", "5 m2"),
        ("a  b", "ab"),
        ("résumé", "resume"),
        ("What's this", "whats this"),
        ("(fee)", "fee"),
        ("fee 😀", "fee"),
    ],
)
def test_these_are_different_questions(one: str, other: str) -> None:
    assert normalise_message(one) != normalise_message(other)


@pytest.mark.parametrize("text", ["", " ", "?", "?!...", "\"'", "\t\n\u3000", " . , "])
def test_nothing_but_marks_is_empty(text: str) -> None:
    assert normalise_message(text) == ""


def test_a_lone_surrogate_does_not_break_a_message() -> None:
    assert normalise_message("fee \ud800?") == "fee \ud800"


def test_a_phones_apostrophe_is_a_keyboards() -> None:
    assert normalise_message("What\u2019s your refund policy?") == normalise_message(
        "what's your refund policy"
    )
