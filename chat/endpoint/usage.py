"""What a call cost in tokens, as far as the endpoint tells. What it does not tell is unknown, and never 0."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SHAPES_RESULTS = False  # counts tokens: see chat.source_code

MOST_TOKENS = 2**31 - 1
"""No call has more: a larger number is a mistake, and no database column holds it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """The tokens of one call. `prompt_tokens` and `completion_tokens` are None where they are not told.

    `cached_tokens`, a part of the prompt's, have a lower price. Endpoints without a cache of prompts do not
    speak of them, so what is not told of them, or cannot be true, counts as none.
    """

    prompt_tokens: int | None = None
    cached_tokens: int = 0
    completion_tokens: int | None = None


UNKNOWN = Usage()
NOTHING = Usage(prompt_tokens=0, completion_tokens=0)
"""A call that was never answered by a model: refused, or never sent."""


def usage_of(body: object, *, is_embedding: bool = False) -> Usage:
    """Return the usage that a decoded response states. Embedding completes nothing: 0 completion tokens."""
    told = _mapping(body, "usage")
    prompt = _count(told.get("prompt_tokens"))
    completion = 0 if is_embedding else _count(told.get("completion_tokens"))
    total = _count(told.get("total_tokens"))
    if total is not None and prompt is None and completion is not None:
        prompt = _count(total - completion)
    if total is not None and completion is None and prompt is not None:
        completion = _count(total - prompt)
    cached = _count(_mapping(told, "prompt_tokens_details").get("cached_tokens")) or 0
    return Usage(
        prompt_tokens=prompt,
        cached_tokens=cached if prompt is not None and cached <= prompt else 0,
        completion_tokens=completion,
    )


def _mapping(body: object, name: str) -> Mapping[str, Any]:
    found = body.get(name) if isinstance(body, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _count(value: object) -> int | None:
    """Return a number of tokens, None for what is none. Some endpoints write it as 12.0 or "12"."""
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit():
        value = int(value) if len(value.strip()) <= len(str(MOST_TOKENS)) else -1
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_TOKENS
    return value if is_count else None  # type: ignore[return-value]
