"""A call to a model, as the one who made it reports it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True, slots=True)
class ProviderCall:
    """One call to a model, as it is booked: whatever came of it, with the tokens its response states.

    `prompt_tokens` includes `cached_tokens`. Tokens are None where the endpoint does not tell them, and 0
    where a call is known to have cost nothing: it was refused, or never sent.
    """

    stage: str
    model: str
    outcome: Literal["ok", "error", "refused", "unreadable", "timeout"]
    seconds: float
    prompt_tokens: int | None = 0
    cached_tokens: int = 0
    completion_tokens: int | None = 0


BookCall = Callable[[ProviderCall], None]
