"""From the Authorization header to the caller, without a query: DRF's authentication and permission."""

from dataclasses import dataclass, replace
from typing import Any, cast

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from access import sessions
from access.address import client_address
from access.caller import ANYONE, PAGE_ID, RIGHTS, STRANGER, Caller, known_callers, page_caller
from access.errors import KeysUnreadable, NotAuthenticated, Refused
from access.keys import SHAPE, digest_of
from access.limits import check_asks, check_wrong_key
from access.usage import note_use
from cachemgmt.api import Knowledge, known, learn


@dataclass(frozen=True, kw_only=True, slots=True)
class Identified:
    """A request's caller, by which header and from where, and what was known when he was found."""

    caller: Caller
    header: str
    address: str
    known: Knowledge


def identified(header: str, *, address: str) -> Identified:
    """Return who sends this Authorization header, as `caller_for`."""
    then = known()  # before he is looked for: what is learnt meanwhile is news to him, too
    caller = caller_for(header, address=address)
    return Identified(caller=caller, header=header, address=address, known=then)


class BearerAuthentication(BaseAuthentication):
    """`request.auth` is an `Identified`. There is no user: people log in to the admin, programs have keys."""

    def authenticate(self, request: Request) -> tuple[None, Identified]:
        found = identified(request.META.get("HTTP_AUTHORIZATION", ""), address=client_address(request))
        if found.caller.key_id and not found.caller.is_session:
            note_use(found.caller.key_id)
        return None, found

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="tria"'


class HasRight(BasePermission):
    """Each view says which right it needs: `right = "ask"`, or None where none is."""

    def has_permission(self, request: Request, view: Any) -> bool:
        if not hasattr(view, "right"):
            raise ImproperlyConfigured(f"{type(view).__name__} must say which right it needs")
        if view.right is not None:
            require_right(who_asks(request), view.right)
        return True


class AskThrottle(BaseThrottle):
    """Counts what comes to views that are there for asking."""

    def allow_request(self, request: Request, view: Any) -> bool:
        if getattr(view, "right", None) == "ask":
            found = identity_of(request)
            check_asks(found.caller, found.address)
        return True


def identity_of(request: Request) -> Identified:
    """Return what was found of a request that was authenticated here."""
    return cast("Identified", request.auth)


def who_asks(request: Request) -> Caller:
    """Return the caller of a request that was authenticated here."""
    return identity_of(request).caller


def require_right(caller: Caller, right: Any) -> None:
    """Raise NotAuthenticated or Refused where the caller does not have the right."""
    if caller is STRANGER:
        raise NotAuthenticated("An API key is needed: Authorization: Bearer tria_…", "key-missing")
    if not caller.may(right):
        who = "A session of a browser page" if caller.is_session else f"The key “{caller.name}”"
        raise Refused(f"{who} may not {RIGHTS[right]}", "not-allowed")


def caller_for(header: str, *, address: str) -> Caller:
    """Return who sends this Authorization header; raise NotAuthenticated, KeysUnreadable or, after too many
    wrong ones, TooMany.

    No query, and no round trip for a key that this process knows.
    """
    if not header:
        return STRANGER if settings.REQUIRE_API_KEY else ANYONE
    scheme, _, text = header.partition(" ")
    text = text.strip()
    if scheme.lower() != "bearer" or not text:
        raise NotAuthenticated("The header must read Authorization: Bearer tria_…", "key-malformed")
    caller = _of_session(text, address) if text.startswith(sessions.PREFIX) else _of_key(text, address)
    if caller.is_over():
        raise NotAuthenticated("This API key has expired", "key-expired")
    return caller


def _of_key(text: str, address: str) -> Caller:
    caller = _known(digest_of(text), address) if SHAPE.fullmatch(text) else None
    if caller is None:
        raise NotAuthenticated("This API key is not known, or was revoked", "key-unknown")
    return caller


def _of_session(token: str, address: str) -> Caller:
    """The key that started the session must still be in force, and may ask what the session is for."""
    session = sessions.read_token(token)
    key = _started_by(session.key_id, address) if session else None
    if session is None or key is None or not (key.may("ask") and key.may_ask_of(session.collection)):
        raise NotAuthenticated("This session is over: start a new one", "session-over")
    return replace(
        key,
        expires_at=min(session.expires_at, key.expires_at or session.expires_at),
        rights=frozenset({"ask"}),
        collections=frozenset({session.collection}),
        is_session=True,
        customer_id=session.customer_id,
    )


def _started_by(key_id: str, address: str) -> Caller | None:
    if key_id == PAGE_ID:
        return page_caller()
    if not key_id:
        return None if settings.REQUIRE_API_KEY else ANYONE
    return _known(key_id, address)


def _known(name: str, address: str) -> Caller | None:
    """Return the key by its digest or id. One that is not known here may have been made just now: that is
    looked for, at the price of a round trip, until the address has tried too many."""
    if known_callers() is None:
        learn()
    callers = known_callers()
    if callers is None:
        raise KeysUnreadable
    if name not in callers:
        check_wrong_key(address)
        learn()
    return (known_callers() or callers).get(name)
