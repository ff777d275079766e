"""Says what an OpenAI-compatible endpoint's responses mean: a result, or which failure.

No message made here quotes what the endpoint sent: it may hold the customer's words, the answer or the key.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

from pydantic import BaseModel, Field, NonNegativeInt, ValidationError

from chat.errors import (
    ProviderBusy,
    ProviderError,
    ProviderMisconfigured,
    ProviderRefused,
    ProviderUnavailable,
    ProviderUnreadable,
)

T = TypeVar("T")
LONGEST_WAIT_S = 2.0
"""A server that asks for a longer pause than this is busy: nobody waits for it."""
OPTIONAL_PARAMETERS = frozenset({"max_tokens", "temperature", "response_format"})
"""What some models refuse, reasoning models the first two, and can be asked without."""


class UsageDetails(BaseModel):
    """Of the prompt's tokens, those billed at the lower price."""

    cached_tokens: NonNegativeInt | None = None


class Usage(BaseModel):
    """The tokens that a response says it cost."""

    prompt_tokens: NonNegativeInt = 0
    completion_tokens: NonNegativeInt = 0
    prompt_tokens_details: UsageDetails | None = None

    @property
    def cached_tokens(self) -> int:
        """Of `prompt_tokens`, so never more than these."""
        details = self.prompt_tokens_details
        return min(details.cached_tokens or 0, self.prompt_tokens) if details else 0


class Message(BaseModel):
    """What the model says, or why it says nothing."""

    content: str | None = None
    refusal: str | None = None


class Choice(BaseModel):
    """One of the model's answers; only one is ever asked for."""

    message: Message
    finish_reason: str | None = None


class Completion(BaseModel):
    """The part of a Chat Completions response that matters here."""

    choices: list[Choice] = Field(min_length=1)


class Vector(BaseModel):
    """One text's vector, with the place of the text in the request."""

    index: int
    embedding: list[float] = Field(min_length=1)


class Embeddings(BaseModel):
    """The part of an embeddings response that matters here."""

    data: list[Vector]


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """A call that came to nothing: what to raise, how to book it, and what could help.

    Failures are returned, and raised only outside of any `except`: so the endpoint's own error, which may
    quote the key or the customer, is never chained to ours.
    """

    error: ProviderError
    outcome: Literal["error", "refused", "unreadable", "timeout"]
    is_passing: bool = False
    """The same call may succeed a moment later."""
    retry_after_s: float | None = None
    refused_parameter: str | None = None
    """The call may succeed without this one."""


def usage_of(body: object) -> Usage:
    """Return the usage that a decoded response states, zeros if it states none that can be read."""
    try:
        return Usage.model_validate(body.get("usage") or {}) if isinstance(body, dict) else Usage()
    except ValidationError:
        return Usage()


def read_answer(body: object, *, of_what: str, read: Callable[[str], T]) -> T | Failure:
    """Return what `read` makes of a completion's text; it raises ValueError for a text of the wrong form."""
    try:
        choice = Completion.model_validate(body).choices[0]
    except ValidationError:
        return unreadable(f"The response is no completion: {of_what}.")
    if choice.message.refusal or choice.finish_reason == "content_filter":
        return Failure(error=ProviderRefused(f"The model declines: {of_what}."), outcome="refused")
    if choice.finish_reason == "length":
        # The same call would be cut off at the same place.
        return unreadable(f"The answer is cut off: {of_what}.", is_passing=False)
    content = (choice.message.content or "").strip()
    if not content:
        return unreadable(f"The answer is empty: {of_what}.")
    try:
        return read(content)
    except ValueError:
        return unreadable(f"The answer is not of the form that was asked for: {of_what}.")


def read_vectors(body: object, *, of_what: str, n_texts: int) -> list[list[float]] | Failure:
    """Return the vectors of an embeddings response, in the order of the texts."""
    try:
        vectors = sorted(Embeddings.model_validate(body).data, key=lambda vector: vector.index)
    except ValidationError:
        return unreadable(f"The response holds no vectors: {of_what}.")
    if [vector.index for vector in vectors] != list(range(n_texts)):
        return unreadable(f"The response does not hold one vector for each text: {of_what}.")
    if len({len(vector.embedding) for vector in vectors}) > 1:
        return unreadable(f"The vectors differ in length: {of_what}.")
    return [vector.embedding for vector in vectors]


def unreadable(message: str, *, is_passing: bool = True) -> Failure:
    """Return the failure of a call whose output is of no use."""
    return Failure(error=ProviderUnreadable(message), outcome="unreadable", is_passing=is_passing)


def failure_of_status(
    status: int, *, code: str | None, param: str | None, headers: Mapping[str, str], of_what: str
) -> Failure:
    """Return what a response of status 400 or above means; `code` and `param` are its error's."""
    of_what = f"HTTP status {status}: {of_what}."
    if code == "content_filter":
        return Failure(error=ProviderRefused(of_what), outcome="refused")
    if code == "insufficient_quota":
        # Sent as 429, but no pause mends it.
        error: ProviderError = ProviderMisconfigured(f"The account's credit is used up. {of_what}")
        return Failure(error=error, outcome="error")
    if status not in {408, 409, 429} and status < 500:
        refused = param if param in OPTIONAL_PARAMETERS and status in {400, 422} else None
        return Failure(error=ProviderMisconfigured(of_what), outcome="error", refused_parameter=refused)
    retry_after_s = read_retry_after(headers)
    if status == 429 or (retry_after_s or 0) > LONGEST_WAIT_S:
        error = ProviderBusy(of_what, retry_after_s=retry_after_s)
    else:
        error = ProviderUnavailable(of_what)
    return Failure(error=error, outcome="error", is_passing=True, retry_after_s=retry_after_s)


def read_retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds a server asks to wait, None if it does not say so in seconds (dates are ignored)."""
    for name, unit_s in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers[name]) * unit_s
        except (KeyError, ValueError):
            continue
        if 0 <= seconds < float("inf"):
            return seconds
    return None
