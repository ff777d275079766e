"""Which requests pass the API's short chain, and what it must not lose."""

import io
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler

from tria_site.handlers import ApiHandler, application_of

Respond = tuple[str, dict[str, str], bytes]


def environ(path: str, method: str = "GET", **more: str) -> dict[str, Any]:
    return {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "8003",
        "wsgi.input": io.BytesIO(),
        "wsgi.url_scheme": "http",
        "HTTP_HOST": "localhost",
        **more,
    }


def respond(application: Callable[..., Iterable[bytes]], request: dict[str, Any]) -> Respond:
    """Return the status, headers and body of the application's response."""
    told: list[tuple[str, dict[str, str]]] = []

    def start_response(status: str, headers: list[tuple[str, str]]) -> None:
        told.append((status, dict(headers)))

    body = application(request, start_response)
    return (*told[0], b"".join(body))


@pytest.mark.parametrize(
    ("path", "is_api"),
    [
        ("/api/chat", True),
        ("/api/sessions", True),
        ("/api/health", True),
        ("/api/cache/metrics", True),
        ("/api/nothing-here", True),
        ("/metrics", True),
        ("/livez", True),
        ("/readyz", True),
        ("/", False),
        ("/page-session", False),
        ("/admin/", False),
        ("/admin/api/chat", False),
        ("/api/docs", False),
        ("/api/schema", False),
        ("/static/chat/icon.svg", False),
        ("/metrics-of-a-page", False),
    ],
)
def test_api_requests_pass_the_short_chain_and_pages_the_whole(path: str, is_api: bool) -> None:
    taken: list[str] = []

    def handler(name: str) -> Callable[..., Iterable[bytes]]:
        def handle(_environ: object, _start: object) -> list[bytes]:
            taken.append(name)
            return []

        return handle

    application_of(api=handler("api"), pages=handler("pages"))(environ(path), lambda *_: None)
    assert taken == ["api" if is_api else "pages"]


@pytest.mark.parametrize(
    ("request_environ", "expected"),
    [
        (environ("/api/nothing-here"), "404"),
        (environ("/api/health", HTTP_HOST="evil.example"), "400"),
        (environ("/api/chat", "POST", CONTENT_TYPE="text/plain", CONTENT_LENGTH="0"), "400"),
        (environ("/api/chat", "PUT"), "405"),
    ],
)
def test_the_short_chain_says_what_the_whole_one_does(
    db: None, request_environ: dict[str, Any], expected: str
) -> None:
    short = respond(ApiHandler(), dict(request_environ))
    whole = respond(WSGIHandler(), dict(request_environ))
    assert short[0].startswith(expected)
    assert (short[0], short[2]) == (whole[0], whole[2])
    assert whole[1].keys() - short[1].keys() <= {"Vary"}, "what has no cache may keep varies by nothing"


def test_a_page_that_names_its_origin_gets_its_headers(db: None) -> None:
    preflight = environ(
        "/api/chat",
        "OPTIONS",
        HTTP_ORIGIN="https://shop.example",
        HTTP_ACCESS_CONTROL_REQUEST_METHOD="POST",
    )
    assert "origin" in respond(ApiHandler(), preflight)[1]["Vary"].lower()
    assert "Vary" not in respond(ApiHandler(), environ("/api/health"))[1]


def test_the_short_chain_is_part_of_the_whole() -> None:
    own = {"tria_site.handlers.CorsWithOrigin": "corsheaders.middleware.CorsMiddleware"}
    in_place = [own.get(path, path) for path in settings.API_MIDDLEWARE]
    assert in_place == [path for path in settings.MIDDLEWARE if path in in_place], "and in its order"
