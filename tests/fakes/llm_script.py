"""What a test can make the language model's endpoint do, and what the endpoint remembers."""

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any


@dataclass(frozen=True)
class Fail:
    """Answer with an error status; its text quotes the key and the message, as a careless server's may."""

    status: int
    retry_after: float | str | None = None
    code: str | None = None
    param: str | None = None


@dataclass(frozen=True)
class Say:
    """Answer with this text, whatever was asked. Billed as any answer."""

    content: str | None
    finish_reason: str = "stop"
    refusal: str | None = None


@dataclass(frozen=True)
class Refuse(Say):
    """Decline to answer."""

    content: str | None = None
    refusal: str | None = "I can't help with that."


@dataclass(frozen=True)
class Truncate(Say):
    """Stop in mid-sentence, at the limit of tokens."""

    content: str | None = '{"reply": "You can return'
    finish_reason: str = "length"


@dataclass(frozen=True)
class Malformed(Say):
    """Answer with something that is no JSON."""

    content: str | None = "Certainly! The answer is {"


@dataclass(frozen=True)
class Fenced:
    """Answer rightly, but with prose and a fence around, as models without schemas do."""


@dataclass(frozen=True)
class Dressed:
    """Answer rightly, but with another message made of the right one, or another body of the right body."""

    message: Callable[[dict[str, Any]], object] = lambda message: message
    body: Callable[[bytes], bytes] = lambda body: body


@dataclass(frozen=True, kw_only=True)
class Picky:
    """Refuse the requests of which `refuses` is true, with this response; answer the others."""

    refuses: Callable[[Mapping[str, Any]], bool]
    status: int
    body: bytes
    content_type: str = "application/json"
    then: Dressed | None = None


@dataclass(frozen=True)
class Body:
    """Answer with these bytes as the whole body."""

    content: bytes
    content_type: str = "application/json"


@dataclass(frozen=True)
class Disconnect:
    """Hang up in the middle of the response, or before its beginning."""

    is_mid_response: bool = True


@dataclass(frozen=True)
class Hang:
    """Never answer."""


@dataclass(frozen=True)
class Drip:
    """Send white space, piece by piece, and never the answer."""


@dataclass(frozen=True)
class Hold:
    """Answer once `until` is set, rightly or what `then` says; `reached` says that the call has come in."""

    until: threading.Event = field(default_factory=threading.Event)
    reached: threading.Event = field(default_factory=threading.Event)
    then: "Say | Picky | None" = None


@dataclass(frozen=True, kw_only=True)
class Order:
    """What a text orders a model to answer, by stage. The model knows the text by its `sign`."""

    sign: str
    verdicts: Mapping[str, Mapping[str, object]]


@dataclass(frozen=True)
class Obey:
    """Answer as the first of these orders says whose sign stands anywhere in what is sent, else rightly: the
    most gullible of all models."""

    orders: tuple[Order, ...]


@dataclass(frozen=True)
class Slow:
    """Answer rightly, but only after so many seconds."""

    seconds: float


Action = Fail | Say | Fenced | Dressed | Picky | Body | Disconnect | Hang | Drip | Hold | Slow | Obey


def data_of(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON object in the user message: its last line, as rules may stand above it."""
    return dict(json.loads(request["messages"][-1]["content"].splitlines()[-1]))


@dataclass(frozen=True, kw_only=True)
class ServedCall:
    """One request and what it cost. Status 0: no response. Only whole responses are billed."""

    stage: str
    model: str
    status: int
    request: Mapping[str, Any]
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0

    @property
    def messages(self) -> list[dict[str, str]]:
        """The chat messages as they arrived."""
        return list(self.request.get("messages", []))

    @property
    def data(self) -> dict[str, Any]:
        """The JSON object in the user message."""
        return data_of(self.request)


@dataclass(frozen=True, kw_only=True)
class Rate:
    """A model's price in USD per million tokens."""

    prompt: Decimal
    cached: Decimal
    completion: Decimal
