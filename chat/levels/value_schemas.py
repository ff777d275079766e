"""What is stored: which form it has, which tags flush it, and when it no longer holds."""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cachemgmt.api import Entry, Knowledge
from chat.judging.intents import intent_named
from chat.levels.scope import Scope, is_personal, owner_tags
from chat.types import Classification, Passage

Confidence = Annotated[float, Field(ge=0, le=1)]


class Stored(BaseModel):
    """A value of known fields: what is read back must fit what reads it."""

    model_config = ConfigDict(extra="forbid", strict=True)


class StoredSource(Stored):
    """A passage an answer rests on."""

    document: str
    title: str
    section: str
    passage: str


class StoredResponse(Stored):
    """A complete answer. `revision`: the policies it was made under, None where it holds under any.
    `reply_id`: the reply it was made of, where there is one."""

    text: str
    intent: str
    confidence: Confidence
    sources: list[StoredSource]
    revision: str | None = None
    reply_id: str | None = None


class StoredReading(Stored):
    """A `Classification`."""

    intent: str
    confidence: Confidence
    language: str
    is_personal: bool
    leans_on_context: bool
    self_contained: str | None = None


S = TypeVar("S", bound=Stored)


def checked(form: type[S], value: Mapping[str, Any]) -> S:
    """Return the value in that form; raise ValueError naming the fields that are missing or wrong."""
    try:
        return form.model_validate(dict(value))
    except ValidationError as error:
        fields = {".".join(str(part) for part in one["loc"]) for one in error.errors()}
    raise ValueError(f"missing or wrong in what was to be stored: {', '.join(sorted(fields))}")


def reading_of(value: Mapping[str, Any]) -> Classification:
    """Return the value as a classification; raise ValueError as `checked`."""
    return Classification(**checked(StoredReading, value).model_dump())


def is_own_reading(found: Classification, scope: Scope) -> bool:
    """Whether a classification may be shared with nobody but this customer."""
    return (
        scope.is_personal
        or found.is_personal
        or intent_named(found.intent).is_personal
        or (found.self_contained is not None and is_personal([found.self_contained]))
    )


def document_tags(sources: Sequence[Passage | StoredSource]) -> tuple[str, ...]:
    """Return the tags that flush what was made from these passages' documents."""
    return tuple(sorted({f"doc:{source.document}" for source in sources}))


def response_tags(answer: StoredResponse, scope: Scope) -> tuple[str, ...]:
    """Return the tags that flush a complete answer."""
    own = owner_tags(scope, is_own=scope.is_personal)
    return (f"intent:{answer.intent}", *own, *document_tags(answer.sources))


def made_under_published_policies(collection: str) -> Callable[[Entry, Knowledge], bool]:
    """Return the objection to answers that were made under other policies than the published ones."""

    def accept(entry: Entry, known: Knowledge) -> bool:
        revision = entry.value.get("revision")
        return revision is None or revision == known.revisions.get(collection)

    return accept
