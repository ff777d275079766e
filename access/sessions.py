"""Sessions: short-lived tokens for browser pages, which cannot keep an API key secret.

A token says which key started it, for which collection and customer, and until when; it is signed with
SECRET_KEY, and stored nowhere. It holds no longer than the key does.
"""

import time
from dataclasses import dataclass

from django.core import signing

PREFIX = "tria-session."
SALT = "access.sessions"


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """What a token says. `expires_at` is a Unix time."""

    key_id: str
    collection: str
    expires_at: float
    customer_id: str | None = None


def token_of(session: Session) -> str:
    """Return the session's token: about 200 characters that need no quoting in a header."""
    said = [session.key_id, session.collection, session.expires_at, session.customer_id]
    return PREFIX + _signer().sign_object(said)


def read_token(token: str, *, now: float | None = None) -> Session | None:
    """Return the session of a token, None for one that we did not sign, or that is over."""
    try:
        key_id, collection, expires_at, customer_id = _signer().unsign_object(token.removeprefix(PREFIX))
    except (signing.BadSignature, ValueError, UnicodeError):
        return None
    if expires_at <= (time.time() if now is None else now):
        return None
    return Session(key_id=key_id, collection=collection, expires_at=expires_at, customer_id=customer_id)


def _signer() -> signing.Signer:
    return signing.Signer(salt=SALT, sep=".")
