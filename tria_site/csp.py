"""Headers of every page that Django 5.2 does not set: nothing is loaded or run that does not come from here
(Content-Security-Policy), and no page gets at the device (Permissions-Policy)."""

from collections.abc import Callable
from functools import cached_property

from django.http import HttpRequest, HttpResponse
from django.urls import reverse

HEADER = "Content-Security-Policy"

PERMISSIONS = "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()"

EVERYWHERE = {
    "default-src": "'self'",
    "frame-ancestors": "'none'",
    "base-uri": "'self'",
    "form-action": "'self'",
    "object-src": "'none'",
}
IN_ADMIN = {
    # The admin's Alpine compiles its expressions at run time and sets style attributes.
    "script-src": "'self' 'unsafe-eval'",
    "style-src": "'self' 'unsafe-inline'",
    "img-src": "'self' data:",
}
IN_API_DOCS = {
    # Swagger UI's icons stand in its style sheet.
    "img-src": "'self' data:",
}


def header_value(rules: dict[str, str]) -> str:
    """Return the rules as the header spells them."""
    return "; ".join(f"{name} {sources}" for name, sources in rules.items())


class ContentSecurityPolicyMiddleware:
    """Adds the headers to each response; one that a view has set itself is left as it is."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        self._everywhere = header_value(EVERYWHERE)
        self._in_admin = header_value({**EVERYWHERE, **IN_ADMIN})
        self._in_api_docs = header_value({**EVERYWHERE, **IN_API_DOCS})

    @cached_property
    def _admin_path(self) -> str:
        return reverse("admin:index")

    @cached_property
    def _api_docs_path(self) -> str:
        return reverse("api-docs")

    def _value_for(self, path: str) -> str:
        if path.startswith(self._admin_path):
            return self._in_admin
        return self._in_api_docs if path == self._api_docs_path else self._everywhere

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response.headers.setdefault(HEADER, self._value_for(request.path))
        response.headers.setdefault("Permissions-Policy", PERMISSIONS)
        return response
