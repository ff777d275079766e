"""A result's key: a fingerprint of everything the result depends on."""

import json
import math
import unicodedata
from dataclasses import dataclass, field
from hashlib import blake2b

from cachemgmt.engine.errors import Unkeyable

SCHEMA = 2
"""Raised when the meaning of keys or entries changes: older entries are then misses."""

ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)

EDGE_MARKS = " .,!?;:\"'`´«»‹›“”„‟‘’‚‛"


def canonical_json(value: object) -> str:
    """Return the one JSON text of a plain value: sorted keys, no spaces, ASCII only.

    Two different values never share a text (1, 1.0, "1" and true all differ); but a character and the two
    surrogates that JSON writes it with are one. Raises Unkeyable for anything but None, booleans, numbers,
    strings, lists and string-keyed mappings, and for NaN: a mapping with the keys 1 and "1" would otherwise
    become ambiguous.
    """
    _require_plain(value)
    return ENCODER.encode(value)


def _require_plain(value: object) -> None:
    match value:
        case None | bool() | int() | str():
            return
        case float():
            if not math.isfinite(value):
                raise Unkeyable("NaN and infinities are not keyable")
        case list() | tuple():
            for item in value:
                _require_plain(item)
        case dict():
            for name, item in value.items():
                if not isinstance(name, str):
                    raise Unkeyable(f"a mapping's key is a {type(name).__name__}, not a string")
                _require_plain(item)
        case _:
            raise Unkeyable(f"{type(value).__name__} is not keyable")


def fingerprint(value: object) -> str:
    """Return 32 hexadecimal digits (BLAKE2b, 128 bits) that stand for a plain JSON value."""
    return blake2b(canonical_json(value).encode("ascii"), digest_size=16).hexdigest()


def fold(text: str) -> str:
    """Return the text in the characters that keys use: NFC, casefolded, with straight apostrophes."""
    # Phones type the curly apostrophe, keyboards the straight one.
    straight = text.replace("\u2019", "'")
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", straight).casefold())


def normalise_message(text: str) -> str:
    """Return the form of a message that keys use: its characters as `fold` has them, single spaces, no marks
    at the edges.

    Only sentence marks and quotes go, and only at the edges: "fee 5%" is not "fee 5", ".5 %" not "5 %". Empty
    means that nothing was said that could be cached. Normalising twice changes nothing.
    """
    spaced = " ".join(fold(text).split())
    bare = spaced.strip(EDGE_MARKS)
    before = spaced[: spaced.find(bare)]
    is_fraction = bare[:1].isdigit() and before.endswith((".", ","))
    return before[-1] + bare if is_fraction else bare


@dataclass(frozen=True, slots=True)
class Key:
    """Where a result is kept. `inputs` are plain JSON values; `version` stands for the stage that made it."""

    level: str
    collection: str
    inputs: object = field(compare=False)
    version: str
    parts: str = field(init=False, compare=True)
    digest: str = field(init=False, compare=False)

    def __post_init__(self) -> None:
        parts = canonical_json([SCHEMA, self.level, self.collection, self.inputs, self.version])
        object.__setattr__(self, "parts", parts)
        digest = blake2b(parts.encode("ascii"), digest_size=16).hexdigest()
        object.__setattr__(self, "digest", digest)

    @property
    def name(self) -> str:
        """The name in the store. Readable, so that people and patterns can tell levels and collections.

        In braces stands what places it in a cluster: an entry and its lease lie together."""
        return f"{self.level}:{self.collection}:{{{self.digest}}}"

    @property
    def lease_name(self) -> str:
        """The name in the store of the right to fill it."""
        return f"lease:{{{self.digest}}}"

    @property
    def entry_id(self) -> str:
        """The short name that an entry is reported and flushed by."""
        return self.digest[:16]
