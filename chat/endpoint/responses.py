"""Reads what an OpenAI-compatible endpoint answers: a result, or why it is of no use.

No message made here quotes what the endpoint sent: it may hold the customer's words, the answer or the key.
"""

import json
from collections.abc import Callable
from typing import TypeVar

from pydantic import BaseModel, Field, ValidationError

from chat.endpoint.failures import Failure, unreadable
from chat.errors import ProviderRefused

T = TypeVar("T")
CUT_OFF = frozenset({"length", "max_tokens"})


class Message(BaseModel):
    """What the model says, or why it says nothing. Its thoughts, in fields of their own, are left alone."""

    content: object = None
    refusal: object = None
    tool_calls: object = None

    @property
    def text(self) -> str:
        """The content's text. Some endpoints ask a model for a form by a tool, and hand on its arguments."""
        return (text_of(self.content) or text_of_tool(self.tool_calls)).strip("\ufeff \t\r\n")


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


def read_answer(body: object, *, of_what: str, read: Callable[[str], T]) -> T | Failure:
    """Return what `read` makes of a completion's text; it raises ValueError for a text of the wrong form."""
    try:
        choice = Completion.model_validate(body).choices[0]
    except ValidationError:
        return unreadable(f"The response is no completion: {of_what}.")
    finish_reason = (choice.finish_reason or "").casefold()
    if choice.message.refusal or finish_reason == "content_filter":
        return Failure(error=ProviderRefused(f"The model declines: {of_what}."), outcome="refused")
    if finish_reason in CUT_OFF:
        # The same call would be cut off at the same place.
        return unreadable(f"The answer is cut off: {of_what}.", is_passing=False)
    content = choice.message.text
    if not content:
        return unreadable(f"The answer is empty: {of_what}.")
    try:
        return read(content)
    except ValueError:
        return unreadable(f"The answer is not of the form that was asked for: {of_what}.")


def text_of(content: object) -> str:
    """Return the text of a message's content: a text, parts of which only texts count, or decoded JSON."""
    match content:
        case str():
            return content
        case list():
            return "".join(text_of(part) for part in content)
        case {"type": "text" | "output_text", "text": {"value": str() as text}}:
            return text
        case {"type": "text" | "output_text", "text": str() as text}:
            return text
        case dict() if "type" not in content:
            return json.dumps(content, ensure_ascii=False)
        case _:
            return ""


def text_of_tool(calls: object) -> str:
    """Return the arguments of the only tool that the model calls, "" otherwise: none was offered."""
    match calls:
        case [{"function": {"arguments": str() as arguments}}]:
            return arguments
        case [{"function": {"arguments": dict() as arguments}}]:
            return json.dumps(arguments, ensure_ascii=False)
        case _:
            return ""


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
