"""What a production server says and refuses, byte for byte, before any question is answered."""

import json
import socket
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.client import parse_headers
from io import BytesIO

import pytest

from tests.e2e.conftest import Product

WITHIN_S = 30.0
BODY_LIMIT = 256 * 1024
HEADERS_LIMIT = 64 * 1024
PROXY = {"Host": "tria.example", "X-Forwarded-Proto": "https"}
"""What the proxy that ends TLS says."""
EVERYWHERE = {
    "strict-transport-security": "max-age=31536000; includeSubDomains; preload",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
}
CSP = "default-src 'self'; frame-ancestors 'none'; base-uri 'self'; form-action 'self'; object-src 'none'"
REVEALING = ("Traceback", "urlpatterns", "URLconf", "django", "site-packages", "sqlite", "settings", ".py")


@dataclass(frozen=True, kw_only=True)
class Response:
    """What came back. Headers' names are in lower case; of a repeated one, all values."""

    status: int
    headers: Mapping[str, list[str]]
    body: str


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """A server with production's settings, an empty database and no policies, behind no proxy."""
    data_dir = tmp_path_factory.mktemp("production")
    environment = {
        "TRIA_ENV": "production",
        "SECRET_KEY": "k" * 50,
        "ALLOWED_HOSTS": "tria.example,127.0.0.1",
        "DATABASE_URL": f"sqlite:///{data_dir / 'production.sqlite3'}",
        "DEFAULT_COLLECTION": "policies",
        "EMBEDDER": "hashed",
    }
    with Product(data_dir=data_dir, environment=environment) as running:
        yield running


@pytest.fixture(scope="module")
def key(production: Product) -> dict[str, str]:
    """The header of somebody who may ask and read metrics."""
    made = production.manage("api_key", "create", "test", "--right", "ask", "--right", "metrics")
    return {"Authorization": f"Bearer {made.strip()}"}


def send(product: Product, head: str, headers: Mapping[str, str], body: bytes = b"") -> Response:
    """Send a request as it stands, and return the response."""
    lines = [f"{head} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    with socket.create_connection(("127.0.0.1", product.port), WITHIN_S) as connection:
        connection.sendall("\r\n".join([*lines, "Connection: close", "", ""]).encode() + body)
        received = BytesIO(b"".join(iter(lambda: connection.recv(65536), b"")))
    status = int(received.readline().split()[1])
    found: dict[str, list[str]] = {}
    for name, value in parse_headers(received).items():
        found.setdefault(name.lower(), []).append(value)
    return Response(status=status, headers=found, body=received.read().decode())


def get(product: Product, path: str) -> Response:
    return send(product, f"GET {path}", PROXY)


def post(product: Product, path: str, body: bytes, **headers: str) -> Response:
    length = {"Content-Type": "application/json", "Content-Length": str(len(body))}
    return send(product, f"POST {path}", {**PROXY, **length, **headers}, body)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 404),  # the chat page is not served in production unless it is wanted
        ("/metrics", 401),
        ("/admin/login/", 200),
        ("/admin/", 302),
        ("/static/chat/page.css", 200),
        ("/api/health", 200),
        ("/api/chat", 401),
        ("/no/such/page", 404),
        ("/admin/no/such/page", 302),
    ],
)
def test_every_response_carries_the_headers(production: Product, path: str, status: int) -> None:
    response = get(production, path)
    assert response.status == status
    assert {name: response.headers.get(name) for name in EVERYWHERE} == {
        name: [value] for name, value in EVERYWHERE.items()
    }
    (policy,) = response.headers["content-security-policy"]
    assert policy.startswith(CSP)
    if not path.startswith("/admin/"):
        assert policy == CSP
    if not path.startswith("/static/"):
        assert response.headers["x-frame-options"] == ["DENY"]


def test_plain_http_is_led_to_https_but_for_probes(production: Product) -> None:
    response = send(production, "GET /admin/?a=1", {"Host": "tria.example"})
    assert (response.status, response.headers["location"]) == (301, ["https://tria.example/admin/?a=1"])
    for path in ("/api/health", "/livez", "/readyz"):
        assert send(production, f"GET {path}", {"Host": "tria.example"}).status == 200


def test_another_host_is_refused(production: Product) -> None:
    for host in ("evil.test", "tria.example.evil.test", "tria.example:80@evil.test"):
        response = send(production, "GET /", {**PROXY, "Host": host})
        assert response.status == 400
        assert_tells_nothing(response)


def test_cookies_are_secure_http_only_and_same_site(production: Product) -> None:
    with database(production) as rows:
        rows.execute("DELETE FROM auth_user")
    production.manage("shell", "-c", MAKE_ADMIN)
    page = get(production, "/admin/login/")
    (csrf,) = page.headers["set-cookie"]
    assert {"Secure", "SameSite=Lax"} <= set(csrf.split("; "))
    token = csrf.split(";")[0].partition("=")[2]
    form = f"username=root&password=for-this-test-alone&csrfmiddlewaretoken={token}"
    response = post(
        production,
        "/admin/login/",
        form.encode(),
        **{
            "Content-Type": "application/x-www-form-urlencoded",
            "Cookie": f"csrftoken={token}",
            "Referer": "https://tria.example/admin/login/",
        },
    )
    assert response.status == 302
    by_name = {cookie.partition("=")[0]: set(cookie.split("; ")) for cookie in response.headers["set-cookie"]}
    assert {"Secure", "HttpOnly", "SameSite=Lax"} <= by_name["sessionid"]
    # A logged-in person, too, is told nothing of how the site is made.
    session = next(part for part in by_name["sessionid"] if part.startswith("sessionid="))
    for path in ("/admin/no/such/page/", "/admin/chat/document/99/change/"):
        assert_tells_nothing(send(production, f"GET {path}", {**PROXY, "Cookie": session}))


MAKE_ADMIN = """
from django.contrib.auth.models import User
User.objects.create_superuser("root", password="for-this-test-alone")
"""


@contextmanager
def database(product: Product) -> Iterator[sqlite3.Connection]:
    """Open the server's database; what is done is committed."""
    with closing(sqlite3.connect(product.data_dir / "production.sqlite3", timeout=WITHIN_S)) as rows, rows:
        yield rows


# Faults -------------------------------------------------------------------------------------------------


def assert_tells_nothing(response: Response) -> None:
    """Fail if a response shows how the site is made."""
    assert not [word for word in REVEALING if word in response.body]


def test_an_unknown_page_tells_nothing(production: Product) -> None:
    response = get(production, "/no/such/page")
    assert json.loads(response.body)["type"] == "urn:tria:problem:not-found"
    assert_tells_nothing(response)


@pytest.mark.parametrize("path", ["/admin/login/", "/api/cache/metrics"])
def test_a_fault_tells_nothing(production: Product, key: dict[str, str], path: str) -> None:
    table = {"/admin/login/": "django_session", "/api/cache/metrics": "cachemgmt_metricbucket"}[path]
    with database(production) as rows:
        rows.execute(f"ALTER TABLE {table} RENAME TO away")
    try:
        response = send(production, f"GET {path}", {**PROXY, **key, "Cookie": f"sessionid={'a' * 32}"})
    finally:
        with database(production) as rows:
            rows.execute(f"ALTER TABLE away RENAME TO {table}")
    assert response.status == 500
    assert json.loads(response.body)["status"] == 500
    assert_tells_nothing(response)


def test_a_forged_form_is_refused(production: Product) -> None:
    response = post(production, "/admin/login/", b"username=a&password=b")
    assert response.status == 403
    assert_tells_nothing(replace_known(response))


def replace_known(response: Response) -> Response:
    """Return it without the one word that Django's own page for this has, in its help."""
    return Response(status=response.status, headers={}, body=response.body.replace("settings", ""))


# Sizes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/api/chat", "/admin/login/"])
def test_a_body_over_the_limit_is_refused_unread(production: Product, key: dict[str, str], path: str) -> None:
    length = {"Content-Type": "application/json", "Content-Length": str(BODY_LIMIT + 1)}
    response = send(
        production, f"POST {path}", {**PROXY, **key, **length}, b"{"
    )  # what is announced never comes
    assert response.status in ({413} if path == "/api/chat" else {400, 403, 413})
    assert_tells_nothing(replace_known(response))


def test_a_body_without_a_length_is_taken_for_none(production: Product, key: dict[str, str]) -> None:
    chunk = f"{0x2000:x}\r\n{'a' * 0x2000}\r\n".encode()
    headers = {**PROXY, **key, "Content-Type": "application/json", "Transfer-Encoding": "chunked"}
    response = send(production, "POST /api/chat", headers, chunk * 64 + b"0\r\n\r\n")
    assert response.status == 400


@pytest.mark.parametrize(
    ("head", "headers"),
    [
        ("GET /" + "a" * HEADERS_LIMIT, {}),
        ("GET /", {"X-Long": "a" * HEADERS_LIMIT}),
        ("GET /", {f"X-{n}": "a" for n in range(200)}),
    ],
    ids=["address", "header", "headers"],
)
def test_a_head_over_the_limit_is_refused(production: Product, head: str, headers: dict[str, str]) -> None:
    assert send(production, head, {**PROXY, **headers}).status == 431


@pytest.mark.parametrize("lengths", [["-1"], ["2", "3"], ["2x"]])
def test_lengths_that_are_none_are_refused(production: Product, lengths: list[str]) -> None:
    head = "POST /api/chat HTTP/1.1\r\n" + "\r\n".join(f"Content-Length: {length}" for length in lengths)
    with socket.create_connection(("127.0.0.1", production.port), WITHIN_S) as connection:
        connection.sendall(f"{head}\r\nHost: tria.example\r\nConnection: close\r\n\r\n{{}}".encode())
        assert b" 400 " in connection.recv(100)


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"a":' * 40_000, b'{"message": ' + b"9" * 10_000 + b"}"])
def test_json_that_is_deep_or_long_is_refused(production: Product, key: dict[str, str], body: bytes) -> None:
    response = post(production, "/api/chat", body, **key)
    assert response.status == 400
    assert_tells_nothing(response)


def test_headers_that_do_not_come_end_the_connection(production: Product) -> None:
    with socket.create_connection(("127.0.0.1", production.port), WITHIN_S) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: tria.example\r\n")
        assert connection.recv(100) == b""
