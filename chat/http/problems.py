"""Errors as RFC 9457 problem documents: what was wrong, with which field, and whether to try again."""

import logging
import secrets
import sys
from math import ceil
from typing import Annotated, Any, NotRequired

from django.core.exceptions import RequestDataTooBig
from django.core.signals import got_request_exception
from django.http import Http404, HttpRequest, JsonResponse
from pydantic import Field, ValidationError
from rest_framework import exceptions
from rest_framework.response import Response
from typing_extensions import TypedDict

from access.errors import KINDS
from chat import errors
from chat.http.cache_headers import BadDirective

logger = logging.getLogger(__name__)

CONTENT_TYPE = "application/problem+json"

MOST_ERRORS = 20
"""As many fields are named as wrong at once."""

# exception -> (status, type, title, Retry-After in seconds)
PROBLEMS: dict[type[errors.ChatError], tuple[int, str, str, int | None]] = {
    errors.UnknownCollection: (404, "unknown-collection", "There is no such collection", None),
    errors.NotCached: (504, "not-cached", "Nothing is stored for this question", None),
    errors.Overloaded: (503, "overloaded", "Too many questions are waiting for the language model", 5),
    errors.CallsUsedUp: (429, "calls-used-up", "This key has used up its calls to the language model", 60),
    errors.IndexUnavailable: (503, "index-unavailable", "The policies cannot be searched right now", 5),
    errors.ProviderMisconfigured: (
        502,
        "provider-misconfigured",
        "The language model refuses our request",
        None,
    ),
    errors.ProviderBusy: (503, "provider-busy", "The language model asks to slow down", 5),
    errors.ProviderUnavailable: (503, "provider-unavailable", "The language model cannot be reached", 5),
    errors.ProviderTimedOut: (504, "provider-timed-out", "The language model did not answer in time", 5),
    errors.ProviderUnreadable: (502, "provider-unreadable", "The language model's output was unusable", None),
}

TYPES: dict[str, int] = {
    **{kind: status for status, kind, _, _ in PROBLEMS.values()},
    "invalid-input": 400,
    "invalid-json": 400,
    "bad-request": 400,
    **KINDS,
    "not-found": 404,
    "method-not-allowed": 405,
    "too-large": 413,
    "wrong-content-type": 415,
    "internal": 500,
    "not-ready": 503,
}
"""Each problem there is, by the end of its type, with its status."""


class FieldBody(TypedDict):
    """What is wrong with a field, such as `history[1].role`."""

    field: str
    detail: str


class ProblemBody(TypedDict):
    """What went wrong (RFC 9457)."""

    type: Annotated[str, Field(json_schema_extra={"enum": [f"urn:tria:problem:{kind}" for kind in TYPES]})]
    title: str
    status: int
    detail: NotRequired[str]
    errors: NotRequired[list[FieldBody]]
    retry_after_s: NotRequired[Annotated[int, Field(description="As in the header Retry-After.", ge=0)]]
    id: NotRequired[Annotated[str, Field(description="Of an internal problem: its line in the log has it.")]]


def problem(
    status: int,
    kind: str,
    title: str,
    *,
    detail: str | None = None,
    field_errors: list[dict[str, str]] | None = None,
    retry_after_s: int | None = None,
) -> Response:
    """Return a problem document. `field_errors` are [{"field", "detail"}, …]."""
    body: dict[str, Any] = {"type": f"urn:tria:problem:{kind}", "title": title, "status": status}
    if detail:
        body["detail"] = detail
    if field_errors:
        body["errors"] = field_errors
    headers = {}
    if retry_after_s is not None:
        body["retry_after_s"] = retry_after_s  # an event has no header
        headers["Retry-After"] = str(retry_after_s)
    return Response(body, status=status, content_type=CONTENT_TYPE, headers=headers)


def problem_response(error: Exception, context: dict[str, Any]) -> Response:
    """Return the problem for an exception of a view: DRF's EXCEPTION_HANDLER. One that nobody foresaw is
    logged, and told to whoever listens to Django's `got_request_exception`."""
    if isinstance(error, errors.ChatError):
        for kind, (status, name, title, retry_after_s) in PROBLEMS.items():
            if isinstance(error, kind):
                wanted_s = getattr(error, "retry_after_s", None)
                wait_s = retry_after_s if wanted_s is None else max(1, round(wanted_s))
                is_meant = kind is errors.NotCached  # he asked for an answer only where one is stored
                level = logging.INFO if is_meant else logging.WARNING
                logger.log(level, "A question was not answered: %s", name, extra={"outcome": name})
                fields = [{"field": "collection", "detail": title}] if status == 404 else None
                return problem(status, name, title, field_errors=fields, retry_after_s=wait_s)
    if isinstance(error, ValidationError | exceptions.ValidationError | BadDirective):
        wrong = field_errors(error)[:MOST_ERRORS]
        return problem(400, "invalid-input", "The request is not valid", field_errors=wrong)
    if isinstance(error, exceptions.ParseError | RecursionError):
        return problem(400, "invalid-json", "The body is not valid JSON")
    if isinstance(error, RequestDataTooBig):
        return problem(413, "too-large", "The body is too large")
    if isinstance(error, exceptions.UnsupportedMediaType):
        return problem(415, "wrong-content-type", "The body must be application/json")
    if isinstance(error, exceptions.APIException):
        codes = error.get_codes()
        name = str(codes if isinstance(codes, str) else error.default_code).replace("_", "-")
        field = getattr(error, "field", None)
        response = problem(
            error.status_code,
            name,
            str(error.detail),
            field_errors=[{"field": field, "detail": str(error.detail)}] if field else None,
            retry_after_s=ceil(wait_s) if (wait_s := getattr(error, "wait", None)) else None,
        )
        if auth_header := getattr(error, "auth_header", None):
            response["WWW-Authenticate"] = auth_header
        if isinstance(error, exceptions.MethodNotAllowed):
            response["Allow"] = ", ".join(context["view"].allowed_methods)
        return response
    if isinstance(error, Http404):
        return problem(404, "not-found", "There is nothing here")
    if request := context.get("request"):
        got_request_exception.send(sender=type(context["view"]), request=request)
    return internal_problem(error)


def internal_problem(error: BaseException | None) -> Response:
    """Log an error that nobody foresaw; return its problem, which tells nothing but the id in that line."""
    problem_id = secrets.token_hex(8)
    extra = {"outcome": "internal", "problem_id": problem_id}
    logger.error("Nobody foresaw this error: problem %s", problem_id, exc_info=error, extra=extra)
    response = problem(500, "internal", "Something went wrong on our side")
    response.data["id"] = problem_id
    return response


def field_errors(
    error: ValidationError | exceptions.ValidationError | BadDirective,
) -> list[dict[str, str]]:
    """Return what is wrong with which field, with paths such as `history[1].role`, and never the value."""
    if isinstance(error, BadDirective):
        return [{"field": "Cache-Control", "detail": str(error)}]
    if isinstance(error, exceptions.ValidationError):
        by_field = error.detail if isinstance(error.detail, dict) else {"body": error.detail}
        return [{"field": name, "detail": " ".join(map(str, told))} for name, told in by_field.items()]
    return [
        {"field": path_of(row["loc"]), "detail": detail_of(row["type"], row["msg"])}
        for row in error.errors(include_url=False, include_context=False, include_input=False)
    ]


def detail_of(kind: str, message: str) -> str:
    """Return what is wrong in words that do not name our classes."""
    return "must be a JSON object" if kind == "model_type" else message.removeprefix("Value error, ")


def path_of(places: tuple[int | str, ...]) -> str:
    """Return where in the body something stands."""
    path = "".join(f"[{place}]" if isinstance(place, int) else f".{place}" for place in places)
    return path.lstrip(".") or "body"


def server_error(request: HttpRequest) -> JsonResponse:
    """Return the problem for what was raised outside the API's views: Django's handler500."""
    return JsonResponse(internal_problem(sys.exception()).data, status=500, content_type=CONTENT_TYPE)


def bad_request(request: HttpRequest, exception: Exception) -> JsonResponse:
    """Return the problem for a request that Django refuses, such as one to another host: its handler400."""
    body = {"type": "urn:tria:problem:bad-request", "title": "The request is not valid", "status": 400}
    return JsonResponse(body, status=400, content_type=CONTENT_TYPE)


def not_found(request: HttpRequest, exception: Exception) -> JsonResponse:
    """Return the problem for an unknown address: Django's handler404."""
    body = {"type": "urn:tria:problem:not-found", "title": "There is nothing here", "status": 404}
    return JsonResponse(body, status=404, content_type=CONTENT_TYPE)
