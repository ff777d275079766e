"""Keys: equal questions meet, different ones never do."""

import json
import unicodedata
from collections.abc import Mapping
from typing import Any, Literal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cachemgmt.engine.errors import Unkeyable
from cachemgmt.engine.keys import Key, canonical_json, fingerprint, normalise_message

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


forms: st.SearchStrategy[Literal["NFC", "NFD"]] = st.sampled_from(["NFC", "NFD"])


def nearly(value: Any) -> st.SearchStrategy[Any]:
    """Return values that differ from this one in one place at most, or in their kind alone."""
    match value:
        case list() if value:
            at = st.integers(0, len(value) - 1)
            return at.flatmap(
                lambda n: nearly(value[n]).map(lambda new: [*value[:n], new, *value[n + 1 :]])
            ) | st.sampled_from([value[1:], [value], {"0": value}, [*value, None], value[::-1]])
        case dict() if value:
            return st.sampled_from(sorted(value)).flatmap(
                lambda name: nearly(value[name]).map(lambda new: {**value, name: new})
            ) | st.sampled_from([{**value, "": None}, list(value.items()), list(value.values()), [value]])
        case bool():
            return st.sampled_from([value, int(value), str(value), str(value).lower(), [value]])
        case int():
            return st.sampled_from([value, value + 1, str(value), [value], bool(value)]) | st.just(
                float(value) if abs(value) < 2**53 else value
            )
        case str():
            forms = [unicodedata.normalize(form, value) for form in ("NFC", "NFD", "NFKC")]
            return st.sampled_from([value, f"{value} ", f'"{value}"', value.upper(), [value], *forms])
        case _:
            return st.sampled_from([value, str(value), [value], None, "", [], {}])


@given(plain.flatmap(lambda value: st.tuples(st.just(value), nearly(value))))
def test_values_that_differ_but_a_little_share_no_text(pair: tuple[Any, Any]) -> None:
    one, other = pair
    # A list of pairs becomes one of lists, as in JSON.
    one, other = json.loads(json.dumps(one)), json.loads(json.dumps(other))
    assert (canonical_json(one) == canonical_json(other)) == (exactly(one) == exactly(other))
    keys = [Key("reply", "shop", value, "v1") for value in (one, other)]
    assert (keys[0].digest == keys[1].digest) == (exactly(one) == exactly(other))


surrogates = st.text(st.sampled_from("a\ud83d\ude00\U0001f600\udfff"), max_size=4)


@given(surrogates, surrogates)
@example("\ud83d\ude00", "\U0001f600")
def test_texts_share_a_key_only_if_they_are_the_same_in_utf_16(one: str, other: str) -> None:
    """JSON knows no difference between a character and the two halves it is written by."""
    is_same = one.encode("utf-16", "surrogatepass") == other.encode("utf-16", "surrogatepass")
    assert (canonical_json(one) == canonical_json(other)) == is_same


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
    ids=lambda value: type(value).__name__,
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
    assert key.name == f"reply:shop:{{{key.digest}}}"
    assert key.digest.startswith(key.entry_id)


@given(st.sampled_from(["reply", "intent"]), st.sampled_from(["shop", "bank"]), plain)
def test_an_entry_and_its_lease_lie_together_in_a_cluster(level: str, collection: str, value: Any) -> None:
    """A cluster places a name by what stands in its first braces."""
    key = Key(level, collection, value, "v1")
    placed = {name[name.index("{") + 1 : name.index("}")] for name in (key.name, key.lease_name)}
    assert placed == {key.digest}
    assert key.lease_name != key.name


def test_keys_are_the_same_in_every_process() -> None:
    inputs: Mapping[str, object] = {"question": "what's the fee", "history": [["user", "héllo"]]}
    assert Key("reply", "policies", inputs, "v1").digest == "5cff116f52b40703be4a74887714072a"


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


@given(st.text(min_size=1, max_size=20), forms, st.sampled_from(["", " ", "?", "!? "]))
def test_one_question_has_one_key_however_it_is_typed(
    text: str, form: Literal["NFC", "NFD"], edge: str
) -> None:
    typed = unicodedata.normalize(form, text)
    keys = {
        Key("reply", "shop", {"message": normalise_message(one), "n": 1}, "v1").digest
        for one in (text, typed, f"{edge}{text}{edge}" if text[0].isalpha() else text)
    } | {Key("reply", "shop", {"n": 1, "message": normalise_message(text)}, "v1").digest}
    assert len(keys) == 1


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
