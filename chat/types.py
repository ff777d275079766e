"""The values that travel through the pipeline, from a question to its answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal, Protocol

from cachemgmt.api import Directives, Reason, Status

Role = Literal["user", "assistant"]
Stage = Literal["classify", "retrieve", "generate", "validate"]
IntentKind = Literal["policy", "smalltalk", "handoff"]

HISTORY_LENGTH = 3
"""How many of the last messages may shape an answer; more is cut before anything else happens."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """One earlier message of the conversation, as the client sent it."""

    role: Role
    content: str


class Asker(Protocol):
    """Whoever asked, as far as the pipeline must mind him."""

    def confirm(self, *, reread: bool = False) -> None:
        """Raise if he may not ask any more, by the clock that was just read; `reread` where none was."""
        ...

    def begin_calls(self) -> float | None:
        """Take a call to the language model ahead; return the seconds to wait where he has used up his."""
        ...

    def end_calls(self, n_calls: int) -> None:
        """Say how many calls it became."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """What a customer asks, of which collection, and how the cache may be used for it.

    `history` holds at most `HISTORY_LENGTH` messages, oldest first, without `message` itself.
    `customer_id` is trusted: whoever builds a Question has checked it. `asker`: None for ourselves.
    """

    message: str
    collection: str
    history: tuple[Turn, ...] = ()
    customer_id: str | None = None
    directives: Directives = field(default_factory=Directives)
    purpose: Literal["customer", "warming", "refresh"] = "customer"
    asker: Asker | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Intent:
    """One kind of wish a customer can have, described by examples."""

    name: str
    description: str
    kind: IntentKind
    is_personal: bool
    examples: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Classification:
    """What the classify stage says of a message.

    `confidence` is 0..1, `language` a lower-case ISO 639-1 code ("en").
    `leans_on_context`: the message alone could mean something else after another conversation.
    `self_contained`: the message in a form that stands alone; only set where it was classified with
    its history, and then never empty.
    """

    intent: str
    confidence: float
    language: str
    is_personal: bool
    leans_on_context: bool
    self_contained: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Passage:
    """A piece of a policy document, with where it stands and how near it is to the question.

    `document` is the document's key in its collection, `heading_path` the headings above the text from
    the outermost to the nearest (without the document's title), `score` the similarity, 0..1.
    """

    document: str
    title: str
    heading_path: tuple[str, ...]
    text: str
    score: float = 0.0

    @property
    def section(self) -> str:
        """The nearest heading, or the title where the document has no headings."""
        return self.heading_path[-1] if self.heading_path else self.title


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """A drafted reply, and the passages it rests on as indexes into the passages it was given."""

    text: str
    cited: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """Whether a reply may be sent; if not, what speaks against it, for the one who writes it again."""

    is_supported: bool
    objections: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """A passage an answer rests on, as the customer sees it."""

    document: str
    title: str
    section: str
    passage: str


@dataclass(frozen=True, kw_only=True, slots=True)
class CacheReport:
    """How the cache took part in an answer, in the words of the glossary."""

    status: Status
    level: Literal["response", "reply"] | None
    reason: Reason | None
    age_s: int | None
    ttl_s: int | None
    entry_id: str | None
    is_stored: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What the customer gets, and how it came about. Amounts are USD, None where a cost is unknown; `saved_s`
    are the seconds that making what was reused took."""

    text: str
    intent: str
    confidence: float
    sources: tuple[Source, ...]
    needs_human: bool
    cache: CacheReport
    spent_usd: Decimal | None
    saved_usd: Decimal | None
    saved_s: float
    timing_ms: Mapping[str, float]
