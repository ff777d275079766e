"""The chat endpoint's body: what may be in it, and how an answer is rendered."""

import json
import re
from decimal import Decimal
from typing import Annotated, Any, Literal, NoReturn

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import to_json
from rest_framework.exceptions import ParseError, UnsupportedMediaType

from access.admission import Admission
from chat.types import Answer, Question, Turn

MAX_MESSAGE_CHARS = 4000
MAX_HISTORY = 100

UNSENDABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
"""Control characters but tab and line ends."""

VISIBLE = re.compile(r"[^\s\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")


def check_text(value: str) -> str:
    """Return the text as it was sent; raise ValueError if it is blank or has control characters."""
    if not VISIBLE.search(value):
        raise ValueError("may not be blank")
    found = UNSENDABLE.search(value)
    if found:
        raise ValueError(f"contains the control character U+{ord(found.group()):04X}")
    return value


Message = Annotated[str, Field(max_length=MAX_MESSAGE_CHARS), AfterValidator(check_text)]
EarlierMessage = Annotated[str, Field(max_length=MAX_MESSAGE_CHARS * 4), AfterValidator(check_text)]
CustomerId = Annotated[str, Field(max_length=200), AfterValidator(check_text)]
Signature = Annotated[str, Field(pattern=r"^[0-9A-Fa-f]{64}$")]
Slug = Annotated[str, Field(max_length=50, pattern=r"^[A-Za-z0-9_-]+$")]


class Body(BaseModel):
    """A JSON object of known fields: a number is no string, and a mistyped name is an error."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class TurnBody(Body):
    """One earlier message."""

    role: Literal["user", "assistant"]
    content: EarlierMessage


class QuestionBody(Body):
    """What a customer asks. `history` is without the message itself, oldest first. `customer_signature`: the
    HMAC-SHA256 of `customer_id` by the key's signing secret, in hex, for a key that is not trusted."""

    message: Message
    history: Annotated[list[TurnBody], Field(max_length=MAX_HISTORY)] = []
    collection: Slug | None = None
    customer_id: CustomerId | None = None
    customer_signature: Signature | None = None

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
    body = {
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
        "cost": {"spent_usd": usd(answer.spent_usd), "saved_usd": usd(answer.saved_usd)},
        "timing_ms": answer.timing_ms,
    }
    return to_json(body)
