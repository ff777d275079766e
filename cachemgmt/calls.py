"""A call to a model, as the one who made it reports it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True, slots=True)
class ProviderCall:
    """One call to a model, as it is booked: whatever came of it, with the tokens its response states.

    `prompt_tokens` includes `cached_tokens`. A call that failed before any usage was reported has zeros.
    """

    stage: str
    model: str
    outcome: Literal["ok", "error", "refused", "unreadable", "timeout"]
    seconds: float
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0


BookCall = Callable[[ProviderCall], None]
