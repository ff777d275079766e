"""The API's description (OpenAPI), made of the types of the bodies that are served, and its page."""

import json
from functools import cache
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe
from drf_spectacular.generators import SchemaGenerator

from tria_site.operations import COMPONENTS

BEARER = {
    "type": "http",
    "scheme": "bearer",
    "description": "An API key (`tria_…`), or the short-lived token of a page. Needed in production.",
}

SECURITY: list[dict[str, list[str]]] = [{"bearer": []}, {}]
"""A key, or none: in development none is needed."""

NEEDS_NO_BODY = frozenset({"startSession"})
PUBLIC = frozenset({"health", "live", "ready"})
"""The operations that never need a key."""


def complete(result: dict[str, Any], **_: object) -> dict[str, Any]:
    """Return the description with the bodies' schemas: drf-spectacular's POSTPROCESSING_HOOKS."""
    components = result.setdefault("components", {})
    components.setdefault("schemas", {}).update(COMPONENTS)
    components.setdefault("securitySchemes", {})["bearer"] = BEARER
    for path in result["paths"].values():
        for operation in path.values():
            operation["security"] = [] if operation["operationId"] in PUBLIC else SECURITY
            if "requestBody" in operation:
                operation["requestBody"]["required"] = operation["operationId"] not in NEEDS_NO_BODY
    return result


@cache
def description() -> bytes:
    """Return the description as JSON. It depends on the code alone."""
    generator: Any = SchemaGenerator
    made = generator().get_schema(request=None, public=True)
    return json.dumps(made, ensure_ascii=False, separators=(",", ":")).encode()


@require_safe
def schema(_request: HttpRequest) -> HttpResponse:
    """Return the description."""
    return HttpResponse(description(), content_type="application/json")


@require_safe
def docs(request: HttpRequest) -> HttpResponse:
    """Return the page on which the API can be read and tried."""
    return render(request, "api/docs.html")
