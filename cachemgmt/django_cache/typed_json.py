"""Values as JSON that keeps their types. Whatever would come back as something else is refused."""

import base64
import json
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from cachemgmt.engine.errors import Undecodable

MARK = "$"
"""Begins the one key of an object that stands for a value JSON has no type for: {"$decimal": "0.10"}."""
PLAIN = "dict"
"""Marks a dict that by itself would look like such an object."""


def _moment_to_json(moment: datetime) -> str:
    offset = moment.utcoffset()
    if offset and offset.microseconds:  # Python's own reader takes a few of these for UTC
        raise TypeError("cannot be cached: a datetime whose offset is not in whole seconds")
    return moment.isoformat()


TO_JSON: Mapping[type, tuple[str, Callable[[Any], Any]]] = {
    tuple: ("tuple", lambda value: [_to_json(item) for item in value]),
    Decimal: ("decimal", str),
    datetime: ("datetime", _moment_to_json),
    date: ("date", date.isoformat),
    bytes: ("bytes", lambda value: base64.b64encode(value).decode("ascii")),
}
FROM_JSON: Mapping[str, Callable[[Any], Any]] = {
    "tuple": lambda items: tuple(_from_json(item) for item in items),
    "decimal": Decimal,
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "bytes": lambda text: base64.b64decode(text, validate=True),
    PLAIN: lambda items: {key: _from_json(item) for key, item in items.items()},
}


def encode(value: object) -> bytes:
    """Return the value as typed JSON: None, bool, int, float, str, list, tuple, dict with str keys, Decimal,
    datetime, date and bytes, each exactly of that type. Raises TypeError, naming the type, for anything else.

    An int is its digits, so that Redis can count on it. An aware datetime keeps its moment and UTC offset,
    not the name of its zone.
    """
    return json.dumps(_to_json(value), separators=(",", ":")).encode("ascii")


def decode(data: bytes) -> Any:
    """Return the value that `encode` was given. Raises Undecodable for what it never made."""
    try:
        return _from_json(json.loads(data))
    except (ValueError, TypeError, AttributeError, LookupError, ArithmeticError, RecursionError) as error:
        raise Undecodable("The stored value is not one of ours.") from error


def _to_json(value: object) -> Any:
    kind = type(value)  # not isinstance: a subclass would come back as its base
    if value is None or kind in {bool, int, float, str}:
        return value
    if isinstance(value, list) and kind is list:
        return [_to_json(item) for item in value]
    if isinstance(value, dict) and kind is dict:
        return _dict_to_json(value)
    if kind not in TO_JSON:
        raise TypeError(f"cannot be cached: {kind.__module__}.{kind.__qualname__}")
    name, convert = TO_JSON[kind]
    return {MARK + name: convert(value)}


def _dict_to_json(items: dict[Any, Any]) -> dict[str, Any]:
    for key in items:
        if type(key) is not str:
            raise TypeError(f"cannot be cached: a dict with a key of type {type(key).__qualname__}")
    converted = {key: _to_json(item) for key, item in items.items()}
    return {MARK + PLAIN: converted} if _is_marked(converted) else converted


def _from_json(value: Any) -> Any:
    if isinstance(value, list):
        return [_from_json(item) for item in value]
    if not isinstance(value, dict):
        return value
    if not _is_marked(value):
        return {key: _from_json(item) for key, item in value.items()}
    ((name, content),) = value.items()
    return FROM_JSON[name.removeprefix(MARK)](content)


def _is_marked(items: dict[str, Any]) -> bool:
    return len(items) == 1 and next(iter(items)).startswith(MARK)
