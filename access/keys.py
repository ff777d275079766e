"""API keys: how they look, how they are kept, and how each process knows them.

A key is `tria_<id>_<secret>`. The secret has 256 random bits, so one SHA-256 keeps it: what cannot be guessed
needs no slow hash, and a hit has no time for one.
"""

import hashlib
import re
import secrets
from dataclasses import dataclass

from django.conf import settings

from access.caller import Caller
from access.models import ApiKey

PREFIX = "tria_"
SHAPE = re.compile(r"tria_[0-9a-f]{12}_[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Issued:
    """A new key. `text` is told once and kept nowhere."""

    row: ApiKey
    text: str


def issue(row: ApiKey) -> Issued:
    """Make the key that the unsaved row describes, save it, and return it with its text."""
    row.key_id = secrets.token_hex(6)
    text = f"{PREFIX}{row.key_id}_{secrets.token_urlsafe(32)}"
    row.digest = digest_of(text)
    row.save()
    return Issued(row=row, text=text)


def digest_of(text: str) -> str:
    """Return what is kept of a key: 64 hex digits."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def load_callers() -> dict[str, Caller]:
    """Return the keys that are not revoked, by digest and by id. One query. Those that expired are among
    them: each question looks at the time itself."""
    callers: dict[str, Caller] = {}
    for row in ApiKey.objects.filter(revoked_at=None):
        callers[row.digest] = callers[row.key_id] = caller_of(row)
    return callers


def caller_of(row: ApiKey) -> Caller:
    """Return who asks with that key."""
    return Caller(
        key_id=row.key_id,
        name=row.name,
        collections=frozenset(row.collections) or None,
        rights=frozenset(row.rights),
        asks_per_minute=_limit(row.asks_per_minute, settings.ASKS_PER_MINUTE_PER_KEY),
        calls_per_hour=_limit(row.calls_per_hour, settings.CALLS_PER_HOUR_PER_KEY),
        expires_at=row.expires_at.timestamp() if row.expires_at else None,
    )


def _limit(own: int | None, default: int) -> int:
    return default if own is None else own
