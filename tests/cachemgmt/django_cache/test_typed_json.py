"""Values come back from typed JSON as they were, type and all, or are refused."""

import math
from collections import OrderedDict
from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from enum import IntEnum
from typing import Any

import pytest
from django.utils.safestring import SafeString
from hypothesis import given
from hypothesis import strategies as st

from cachemgmt.django_cache.typed_json import decode, encode
from cachemgmt.engine.errors import Undecodable

OFFSETS = st.none() | st.integers(-86399, 86399).map(lambda seconds: timezone(timedelta(seconds=seconds)))
PLAIN = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.decimals(allow_nan=False)
    | st.dates()
    | st.datetimes(timezones=OFFSETS)
)
KEYS = st.text() | st.sampled_from(["$dict", "$tuple", "$decimal", "$", "$other"])
VALUES: st.SearchStrategy[Any] = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(KEYS, inner),
    max_leaves=20,
)


def types_of(value: Any) -> Any:
    """Return the types in a value, which equality does not tell apart: 1, 1.0 and True are equal."""
    if isinstance(value, dict):
        return dict, {key: types_of(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value), [types_of(item) for item in value]
    return type(value)


@given(VALUES)
def test_a_value_comes_back_as_it_was(value: Any) -> None:
    back = decode(encode(value))
    assert back == value
    assert types_of(back) == types_of(value)


@given(VALUES, VALUES)
def test_different_values_are_stored_differently(one: Any, other: Any) -> None:
    if encode(one) == encode(other):
        assert types_of(one) == types_of(other)
        assert one == other


@pytest.mark.parametrize(
    "value", [math.nan, -0.0, Decimal("NaN"), Decimal("1E+3"), Decimal("0.10"), "\ud800"]
)
def test_what_equality_cannot_judge_comes_back_as_well(value: Any) -> None:
    assert repr(decode(encode(value))) == repr(value)


def test_dicts_keep_their_order() -> None:
    assert list(decode(encode({"b": 1, "a": 2}))) == ["b", "a"]


@pytest.mark.parametrize("value", [0, 7, -7, 10**30])
def test_an_integer_is_its_digits(value: int) -> None:
    assert encode(value) == str(value).encode()


class Colour(IntEnum):
    RED = 1


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ({1, 2}, "builtins.set"),
        (object(), "builtins.object"),
        (1j, "builtins.complex"),
        (Colour.RED, "Colour"),
        (SafeString("a"), "django.utils.safestring.SafeString"),
        (OrderedDict(a=1), "collections.OrderedDict"),
        (bytearray(b"a"), "builtins.bytearray"),
        (timedelta(1), "datetime.timedelta"),
        (datetime(2024, 2, 29, tzinfo=timezone(timedelta(microseconds=1))), "offset"),
        ([{"a": (1, {2})}], "builtins.set"),
        ({1: "a"}, "key of type int"),
        ({None: "a"}, "key of type NoneType"),
    ],
)
def test_any_other_type_is_refused_by_name(value: object, named: str) -> None:
    with pytest.raises(TypeError, match=named):
        encode(value)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80\x05K\x01.",
        b"\xff\xfe",
        b"not json",
        b'{"$other":1}',
        b'{"$decimal":"x"}',
        b'{"$decimal":[1]}',
        b'{"$bytes":"*"}',
        b'{"$bytes":1}',
        b'{"$date":"2024-13-01"}',
        b'{"$datetime":7}',
        b'{"$tuple":7}',
        b'{"$dict":[1]}',
        b"[" * 100_000,
    ],
)
def test_what_was_never_encoded_is_not_decoded(data: bytes) -> None:
    with pytest.raises(Undecodable):
        decode(data)


@pytest.mark.parametrize("make", [list, tuple, dict, bytes, str])
def test_empty_values_come_back(make: Callable[[], object]) -> None:
    assert decode(encode(make())) == make()


def test_an_aware_time_keeps_its_moment_and_offset() -> None:
    moment = datetime(2024, 2, 29, 12, tzinfo=timezone(timedelta(hours=2)))
    back = decode(encode(moment))
    assert back == moment
    assert back.utcoffset() == moment.utcoffset()
    assert decode(encode(date(2024, 2, 29))) == date(2024, 2, 29)
