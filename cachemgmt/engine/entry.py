"""The envelope that every stored result travels in."""

import json
from dataclasses import dataclass
from decimal import Decimal
from math import isfinite
from typing import Any

from cachemgmt.engine.errors import Undecodable
from cachemgmt.engine.keys import SCHEMA, Key

INTENT_TAG = "intent:"
DECODER = json.JSONDecoder()


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A result with all that decides whether it may be reused.

    `key_parts` repeats the key's canonical inputs, so that a collision or a mixed-up reply is a miss.
    Times are Unix seconds. `cost_usd` is what making it cost, None where a price is unknown. `clock` is
    the invalidation clock known before its first input was read. `max_ttl_s` caps the level's TTL.
    """

    key_parts: str
    entry_id: str
    level: str
    made_at: float
    fill_s: float
    cost_usd: Decimal | None
    clock: int
    tags: tuple[str, ...]
    question: str
    value: Any
    valid_until: float | None = None
    max_ttl_s: float | None = None

    @property
    def intent(self) -> str | None:
        """The intent it is tagged with, if any: TTL rules may name one."""
        return next((tag.removeprefix(INTENT_TAG) for tag in self.tags if tag.startswith(INTENT_TAG)), None)

    def belongs_to(self, key: Key) -> bool:
        """Whether it was really made for that key."""
        return self.key_parts == key.parts


def encode(entry: Entry) -> bytes:
    """Return the entry as versioned JSON. The value must be plain JSON."""
    row = {
        "v": SCHEMA,
        "key": entry.key_parts,
        "id": entry.entry_id,
        "level": entry.level,
        "made_at": entry.made_at,
        "fill_s": round(entry.fill_s, 6),
        "cost_usd": None if entry.cost_usd is None else str(entry.cost_usd),
        "clock": entry.clock,
        "tags": entry.tags,
        "question": entry.question,
        "value": entry.value,
        "valid_until": entry.valid_until,
        "max_ttl_s": entry.max_ttl_s,
    }
    return json.dumps(row, separators=(",", ":"), allow_nan=False).encode("ascii")


def decode(raw: bytes) -> Entry:
    """Return the entry; raise Undecodable for anything that `encode` of this schema did not write."""
    try:
        row = DECODER.decode(raw.decode("ascii"))  # `json.loads` would first guess how it is encoded
        if row["v"] != SCHEMA:
            raise Undecodable("written under another schema")
        return Entry(
            key_parts=_text(row["key"]),
            entry_id=_entry_id(row["id"]),
            level=_text(row["level"]),
            made_at=_number(row["made_at"]),
            fill_s=_number(row["fill_s"]),
            cost_usd=None if row["cost_usd"] is None else _amount(row["cost_usd"]),
            clock=int(_number(row["clock"])),
            tags=tuple(_text(tag) for tag in row["tags"]),
            question=_text(row["question"]),
            value=row["value"],
            valid_until=None if row["valid_until"] is None else _number(row["valid_until"]),
            max_ttl_s=None if row["max_ttl_s"] is None else _number(row["max_ttl_s"]),
        )
    except (ValueError, KeyError, TypeError, ArithmeticError, RecursionError) as error:
        raise Undecodable from error


def decode_stored(raw: bytes | None) -> Entry | None:
    """Return the entry, None for nothing and for what cannot be read."""
    try:
        return None if raw is None else decode(raw)
    except Undecodable:
        return None


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} where a text should be")
    return value


def _entry_id(value: object) -> str:
    """Return 16 hexadecimal digits: an entry's share of the jitter is read off them."""
    text = _text(value)
    if len(text) != 16 or len(bytes.fromhex(text)) != 8:  # int() would take signs and underscores, too
        raise ValueError("not 16 hexadecimal digits")
    return text


def _number(value: object) -> float:
    """Return a finite number: by NaN, an entry would stay fresh for ever."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise TypeError(f"{type(value).__name__} where a number should be")
    return float(value)


def _amount(value: object) -> Decimal:
    amount = Decimal(_text(value))
    if not amount.is_finite():
        raise ValueError("an amount that is not a number")
    return amount
