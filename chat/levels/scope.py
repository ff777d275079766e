"""Whose question it is, and so who may share what is made for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cachemgmt.api import CacheRequest, Directives, Key, Reason, normalise_message
from chat.judging import privacy
from chat.types import HISTORY_LENGTH, Turn


@dataclass(frozen=True, kw_only=True, slots=True)
class Scope:
    """Whose question it is, and how this request uses the cache.

    `is_personal`: what is made may be shared with nobody but `customer_id`, and without one is not kept.
    `is_empty`: nothing was said that a key could stand for. `is_counted`: whether outcomes go into the
    metrics (those of warming do not).
    """

    collection: str
    customer_id: str | None = None
    is_personal: bool = False
    is_empty: bool = False
    is_counted: bool = True
    visit: CacheRequest = field(default_factory=lambda: CacheRequest(Directives()))

    @property
    def barred(self) -> Reason | None:
        """Why nothing may be looked up or kept, None if it may."""
        if self.is_empty:
            return "empty"
        return "personal" if self.is_personal and self.customer_id is None else None


def last_turns(history: Sequence[Turn]) -> tuple[Turn, ...]:
    """Return the last messages, as keys and models see them: normalised, and no more than count."""
    return tuple(
        Turn(role=turn.role, content=normalise_message(turn.content)) for turn in history[-HISTORY_LENGTH:]
    )


def scoped_keys(level: str, inputs: Mapping[str, Any], version: str, scope: Scope) -> list[Key]:
    """Return the keys a result may stand under for this asker: the one all share, then his own.

    What is known to be personal stands under his own alone. Without a customer there is only the shared
    key, and `Scope.barred` keeps personal results away from it.
    """
    own = [] if scope.customer_id is None else [scope.customer_id]
    shared: list[str | None] = [] if own and scope.is_personal else [None]
    return [
        Key(level, scope.collection, {**inputs, "customer": customer}, version)
        for customer in (*shared, *own)
    ]


def keep_under(keys: Sequence[Key], scope: Scope, *, is_personal: bool = False) -> Key | None:
    """Return the key a result is kept under: the shared one, for a personal result the customer's own, and
    none where there is no customer or nothing was said."""
    if scope.is_empty:
        return None
    if not (is_personal or scope.is_personal):
        return keys[0]
    return keys[-1] if scope.customer_id is not None else None


def users_texts(turns: Sequence[Turn]) -> list[str]:
    """Return what the customer wrote."""
    return [turn.content for turn in turns if turn.role == "user"]


def is_personal(texts: Sequence[str]) -> bool:
    """Whether one of the customer's texts is about himself."""
    return privacy.personal_reason(texts) is not None


def tells_personal(turns: Sequence[Turn], published: Sequence[str]) -> bool:
    """Whether what he was told says more of him than stands in the published passages."""
    told = (turn.content for turn in turns if turn.role == "assistant" and turn.content)
    return any(privacy.reply_personal_reason(text, published=published) for text in told)


def owner_tags(scope: Scope, *, is_own: bool) -> tuple[str, ...]:
    """Return the tag that flushes what is kept for this customer alone."""
    return (f"customer:{scope.customer_id}",) if is_own and scope.customer_id else ()


def is_kept_for_owner(tags: Sequence[str]) -> bool:
    """Whether what carries these tags is one customer's own."""
    return any(tag.startswith("customer:") for tag in tags)
