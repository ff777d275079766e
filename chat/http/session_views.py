"""Sessions for browser pages over HTTP: started by a server with a key, or for our own chat page."""

import time
from typing import Annotated

from django.conf import settings
from django.http import Http404, HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST
from pydantic import BeforeValidator, Field
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from typing_extensions import TypedDict

from access.admission import Admission, wish_of
from access.authentication import who_asks
from access.caller import PAGE_ID
from access.errors import Refused
from access.origins import foreign_origin
from access.sessions import Session, token_of
from cachemgmt.api import Directives
from chat.http.bodies import Body, CustomerId, Signature, Slug, read_json

NEVER_KEPT = {"Cache-Control": "no-store"}


def whole_number(value: object) -> object:
    """Return 900.0 as 900: JSON has one kind of number, and to it both are the same."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


class SessionBody(Body):
    """What a session is for, and how long it lasts."""

    collection: Slug | None = None
    customer_id: CustomerId | None = None
    customer_signature: Signature | None = None
    ttl_s: Annotated[int, Field(ge=60), BeforeValidator(whole_number)] | None = None


class SessionView(APIView):
    """POST to start a session for a browser page, which then asks with its token instead of the key."""

    right = "ask"

    def post(self, request: Request) -> Response:
        body = SessionBody.model_validate(
            read_json(request.META.get("CONTENT_TYPE", ""), request.body) if request.body else {}
        )
        if who_asks(request).is_session:
            raise Refused("A session cannot start another: its server does", "not-allowed")
        admission = Admission(request, wish_of(body, Directives()))
        admission.confirm(reread=True)
        session = Session(
            key_id=who_asks(request).key_id,
            collection=admission.collection,
            customer_id=admission.customer_id,
            expires_at=int(time.time()) + min(body.ttl_s or settings.SESSION_TTL_S, settings.SESSION_TTL_S),
        )
        return Response(told(session), status=status.HTTP_201_CREATED, headers=NEVER_KEPT)


@csrf_exempt  # it carries no cookie, and what it gives is no visitor's own
@require_POST
def page_session(request: HttpRequest) -> JsonResponse:
    """Return a session for our own chat page, to the page itself. 404 where there is no such page."""
    if not settings.CHAT_PAGE or foreign_origin(request) is not None:
        raise Http404
    expires_at = int(time.time()) + settings.SESSION_TTL_S
    session = Session(key_id=PAGE_ID, collection=settings.DEFAULT_COLLECTION, expires_at=expires_at)
    return JsonResponse(told(session), status=201, headers=NEVER_KEPT)


class SessionAnswer(TypedDict):
    """A session that was started. `expires_at` is a Unix time."""

    token: str
    expires_at: int
    collection: str
    customer_id: str | None


def told(session: Session) -> SessionAnswer:
    """Return the session as its starter is told of it."""
    return SessionAnswer(
        token=token_of(session),
        expires_at=int(session.expires_at),
        collection=session.collection,
        customer_id=session.customer_id,
    )
