"""The application that is served: pages pass all of MIDDLEWARE, API requests only what they need."""

import re
from collections.abc import Callable, Iterable
from typing import Any, cast

from corsheaders.middleware import CorsMiddleware
from django.conf import settings
from django.core.handlers.exception import convert_exception_to_response
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.module_loading import import_string

Environ = dict[str, Any]
Application = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]


class ApiHandler(WSGIHandler):
    """Django's handler with API_MIDDLEWARE in place of MIDDLEWARE."""

    def load_middleware(self, is_async: bool = False) -> None:
        """Chain API_MIDDLEWARE around the views. None of it has hooks beside its call."""
        self._view_middleware: list[Any] = []
        self._template_response_middleware: list[Any] = []
        self._exception_middleware: list[Any] = []
        views: Any = self  # whose inside the stubs leave out
        chain = convert_exception_to_response(views._get_response)
        for path in reversed(settings.API_MIDDLEWARE):
            chain = convert_exception_to_response(import_string(path)(chain))
        self._middleware_chain = chain


class CorsWithOrigin(CorsMiddleware):
    """CORS for the requests of pages, which name their origin. To look through all headers of the others,
    which are most, costs a stored answer a twentieth of its time."""

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Return the response, with CORS headers where the request names an origin."""
        if "HTTP_ORIGIN" not in request.META:
            return cast("HttpResponseBase", self.get_response(request))
        return cast("HttpResponseBase", super().__call__(request))


def application_of(*, api: Application, pages: Application) -> Application:
    """Return the application that gives the requests for API_PATHS to `api`, all others to `pages`."""
    is_api = re.compile(settings.API_PATHS).match

    def application(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        handler = api if is_api(environ.get("PATH_INFO", "")) else pages
        return handler(environ, start_response)

    return application
