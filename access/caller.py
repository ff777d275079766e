"""Who asks, and what he may do."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from django.conf import settings

from cachemgmt.api import known

Right = Literal["ask", "trusted", "skip_cache", "metrics"]

RIGHTS: Mapping[Right, str] = {
    "ask": "ask questions, and start sessions for browser pages",
    "trusted": "say which customer asks (customer_id), without a signature",
    "skip_cache": "have answers made anew (Cache-Control: no-cache, no-store, max-age)",
    "metrics": "read metrics and the details of the health check",
}
"""What a key can allow."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Caller:
    """Who asks. `key_id` is the API key's, also where a session that it started asks; "" without any key.

    `collections`: the ones he may ask, None for all. The limits are per key, 0 for none. `expires_at` is a
    Unix time. `is_session`: a browser page, with a token; `customer_id` is then the customer it is for.
    """

    key_id: str = ""
    name: str = ""
    collections: frozenset[str] | None = None
    rights: frozenset[Right] = frozenset()
    asks_per_minute: int = 0
    calls_per_hour: int = 0
    expires_at: float | None = None
    is_session: bool = False
    customer_id: str | None = None

    def is_over(self) -> bool:
        """Whether the key, or the session, has expired."""
        return self.expires_at is not None and self.expires_at <= time.time()

    def may(self, right: Right) -> bool:
        """Whether he has the right."""
        return right in self.rights

    def may_ask_of(self, collection: str) -> bool:
        """Whether that collection is his to ask."""
        return self.collections is None or collection in self.collections


ANYONE = Caller(name="anyone", rights=frozenset(RIGHTS))
"""Who asks without a key where none is required, as in development: whoever reaches the port."""

STRANGER = Caller(name="a stranger")
"""Who asks without a key where one is required."""

PAGE_ID = "page"


def page_caller() -> Caller | None:
    """Return the visitor of our own chat page, None where it is not served."""
    if not settings.CHAT_PAGE:
        return None
    return Caller(
        key_id=PAGE_ID,
        name="the chat page",
        collections=frozenset({settings.DEFAULT_COLLECTION}),
        rights=frozenset({"ask"}),
        asks_per_minute=settings.ASKS_PER_MINUTE_PER_KEY,
        calls_per_hour=settings.CALLS_PER_HOUR_PER_KEY,
    )


def known_callers() -> Mapping[str, Caller] | None:
    """Return the keys in force by their digest and by their id, as this process knows them; None where it
    could not read any yet. No query."""
    return known().others.get(CALLERS)


CALLERS = "callers"
"""The name of the keys among the decisions that the cache's clock keeps new."""
