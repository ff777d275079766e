"""The chat endpoint's bodies: what may be in a question, and how an answer is rendered.

Their types are what the API's description is made of (`tria_site.openapi`).
"""

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal, NoReturn

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, with_config
from pydantic_core import to_json
from rest_framework.exceptions import ParseError, UnsupportedMediaType
from typing_extensions import TypedDict

from access.admission import Admission
from cachemgmt.api import Reason, Status
from chat.types import HISTORY_LENGTH, Answer, Question, Turn

MAX_MESSAGE_CHARS = 4000
MAX_HISTORY = 100

CONTROL = r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"
"""Control characters but tab and line ends."""

INVISIBLE = r"\s\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"
UNSENDABLE = re.compile(f"[{CONTROL}]")
VISIBLE = re.compile(f"[^{INVISIBLE}]")
TEXT_SCHEMA: dict[str, Any] = {"pattern": f"^[^{CONTROL}]*[^{INVISIBLE}{CONTROL}][^{CONTROL}]*$"}
"""What `check_text` accepts."""


def check_text(value: str) -> str:
    """Return the text as it was sent; raise ValueError if it is blank or has control characters."""
    if not VISIBLE.search(value):
        raise ValueError("may not be blank")
    found = UNSENDABLE.search(value)
    if found:
        raise ValueError(f"contains the control character U+{ord(found.group()):04X}")
    return value


Message = Annotated[
    str,
    Field(
        max_length=MAX_MESSAGE_CHARS,
        description="The question. Not blank.",
        examples=["What's your refund policy?"],
        json_schema_extra=TEXT_SCHEMA,
    ),
    AfterValidator(check_text),
]
EarlierMessage = Annotated[
    str,
    Field(max_length=MAX_MESSAGE_CHARS * 4, json_schema_extra=TEXT_SCHEMA),
    AfterValidator(check_text),
]
CustomerId = Annotated[
    str,
    Field(max_length=200, json_schema_extra=TEXT_SCHEMA),
    AfterValidator(check_text),
]
Signature = Annotated[str, Field(pattern=r"^[0-9A-Fa-f]{64}$")]
Slug = Annotated[str, Field(max_length=50, pattern=r"^[A-Za-z0-9_-]+$", examples=["sample"])]


class Body(BaseModel):
    """A JSON object of known fields: a number is no string, and a mistyped name is an error."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class TurnBody(Body):
    """One earlier message."""

    role: Literal["user", "assistant"]
    content: EarlierMessage


class QuestionBody(Body):
    """What a customer asks. `history` is without the message itself, oldest first."""

    message: Message
    history: Annotated[
        list[TurnBody],
        Field(
            max_length=MAX_HISTORY,
            description=f"The earlier messages of this conversation; the last {HISTORY_LENGTH} count.",
        ),
    ] = []
    collection: Annotated[
        Slug | None, Field(description="Which policies. The service's default collection if left out.")
    ] = None
    customer_id: Annotated[
        CustomerId | None,
        Field(
            description="Whose question it is: what is personal is kept for this customer alone, and without "
            "it not at all. Counts from a trusted key, or with its signature; else refused.",
        ),
    ] = None
    customer_signature: Annotated[
        Signature | None,
        Field(description="The HMAC-SHA256 of `customer_id` by the key's signing secret, in hex."),
    ] = None

    def question(self, admission: Admission) -> Question:
        """Return the body as a Question, as it was admitted."""
        return Question(
            message=self.message,
            history=tuple(Turn(role=turn.role, content=turn.content) for turn in self.history),
            collection=admission.collection,
            customer_id=admission.customer_id,
            directives=admission.directives,
            asker=admission,
        )


Usd = Annotated[str | None, Field(description="USD as a decimal string, null where a price is not known.")]
exact = with_config(ConfigDict(extra="forbid"))
"""Of a response: it has these fields and no others."""


@exact
class IntentBody(TypedDict):
    """What the message wishes for, and how sure that is."""

    name: str
    confidence: Annotated[float, Field(ge=0, le=1)]


@exact
class SourceBody(TypedDict):
    """A passage that the answer rests on."""

    document: str
    title: str
    section: str
    passage: str


@exact
class CacheBody(TypedDict):
    """How the cache took part."""

    status: Status
    level: Annotated[
        Literal["response", "reply"] | None, Field(description="What a stored answer was reused from.")
    ]
    reason: Annotated[Reason | None, Field(description="Why it was made, not kept, or reused past its time.")]
    age_s: Annotated[int | None, Field(description="Seconds since it was made.")]
    ttl_s: Annotated[int | None, Field(description="Seconds it stays fresh; negative once stale.")]
    entry_id: Annotated[str | None, Field(description="By which it can be flushed.")]


@exact
class CostBody(TypedDict):
    """What this request spent, and what it would have spent without the cache: money, and seconds."""

    spent_usd: Usd
    saved_usd: Usd
    saved_s: Annotated[float, Field(ge=0, description="What making it took, of what was reused.")]


@exact
class AnswerBody(TypedDict):
    """An answer from the policies, and how it came about."""

    answer: str
    intent: IntentBody
    sources: list[SourceBody]
    needs_human: Annotated[bool, Field(description="Whether this is a hand-off to a person.")]
    cache: CacheBody
    cost: CostBody
    timing_ms: Annotated[Mapping[str, float], Field(description="In all, and of the stages those that ran.")]


def refuse_constant(name: str) -> NoReturn:
    """NaN and the infinities are not JSON, though Python reads them."""
    raise ValueError(name)


DECODER = json.JSONDecoder(parse_constant=refuse_constant)


def read_body(content_type: str, body: bytes) -> QuestionBody:
    """Return the request's body, checked. Raises UnsupportedMediaType, ParseError or pydantic's
    ValidationError, which names the fields."""
    return QuestionBody.model_validate(read_json(content_type, body))


def read_json(content_type: str, body: bytes) -> Any:
    """Return what the body says; raise UnsupportedMediaType or ParseError."""
    if body and content_type.partition(";")[0].strip().lower() != "application/json":
        raise UnsupportedMediaType(content_type)
    try:
        return DECODER.decode(body.decode())
    except ValueError as error:
        raise ParseError from error


def usd(amount: Decimal | None) -> str | None:
    """Return the amount as a plain decimal string, None where it is not known."""
    return None if amount is None else f"{amount.normalize():f}" if amount else "0"


def rendered(answer: Answer) -> bytes:
    """Return the answer as the endpoint's JSON body."""
    cache = answer.cache
    body: AnswerBody = {
        "answer": answer.text,
        "intent": {"name": answer.intent, "confidence": answer.confidence},
        "sources": [
            {
                "document": source.document,
                "title": source.title,
                "section": source.section,
                "passage": source.passage,
            }
            for source in answer.sources
        ],
        "needs_human": answer.needs_human,
        "cache": {
            "status": cache.status,
            "level": cache.level,
            "reason": cache.reason,
            "age_s": cache.age_s,
            "ttl_s": cache.ttl_s,
            "entry_id": cache.entry_id,
        },
        "cost": {
            "spent_usd": usd(answer.spent_usd),
            "saved_usd": usd(answer.saved_usd),
            "saved_s": round(answer.saved_s, 3),
        },
        "timing_ms": answer.timing_ms,
    }
    return to_json(body)
