"""Writes what customers, policies and other models say as one JSON object that none of these texts can leave.

JSON's strings end at a quote, and quotes in them are escaped. What is left are marks that mean something not
to JSON but to a model's server: many cut a prompt into messages by tokens such as `<|im_start|>` or `[INST]`,
wherever these stand. So such marks are escaped too, and characters that nobody sees are left out.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from chat.judging.unseen import without_unseen

_MARKS = re.compile("[<>\u0085\u2028\u2029]|\\[(?=/?[A-Z])")
"""What may be taken for a tag or a line's end. JSON's own brackets stand before no capital letter."""


def payload_of(data: Mapping[str, Any]) -> str:
    """Return `data` (plain JSON values) as one line of JSON."""
    written = json.dumps(seen(data), ensure_ascii=False)
    # Half of a surrogate pair, which JSON lets through, cannot be sent.
    sendable = written.encode("utf-8", "replace").decode("utf-8")
    return _MARKS.sub(lambda mark: f"\\u{ord(mark.group()):04x}", sendable)


def seen(value: Any) -> Any:
    """Return a plain JSON value with all its texts as a person sees them."""
    match value:
        case str():
            return without_unseen(value)
        case list() | tuple():
            return [seen(item) for item in value]
        case dict():
            return {name: seen(item) for name, item in value.items()}
        case _:
            return value


def texts_in(value: Any) -> Iterator[str]:
    """Yield the texts of a plain JSON value, as they are sent."""
    match value:
        case str():
            yield without_unseen(value)
        case list() | tuple():
            for item in value:
                yield from texts_in(item)
        case dict():
            yield from texts_in(list(value.values()))
