"""Sessions of browser pages, and which origins may ask."""

import time
from typing import Any

import pytest
from django.test import Client

from access.sessions import Session, read_token, token_of
from chat.models import Collection
from tests.access.conftest import MakeKey, ask, post, problem

ORIGIN = "https://www.shop.example"


@pytest.fixture
def listed(shop: Collection) -> Collection:
    """The shop, whose website may ask."""
    Collection.objects.filter(slug="shop").update(allowed_origins=f"{ORIGIN}\nhttps://m.shop.example")
    return shop


def start(key: str, **body: Any) -> dict[str, Any]:
    """Start a session, and return what is told of it."""
    response = post("/api/sessions", key, body)
    assert response.status_code == 201
    found: dict[str, Any] = response.json()
    return found


@pytest.mark.usefixtures("shop")
def test_a_session_asks_its_collection_for_its_customer(make_key: MakeKey) -> None:
    found = start(make_key("ask", "trusted"), customer_id="ada")
    assert found["collection"] == "shop"
    assert found["customer_id"] == "ada"
    token = found["token"]
    assert ask(token).status_code == 200
    assert ask(token, customer_id="ada", collection="shop").status_code == 200
    assert problem(ask(token, customer_id="bob")) == (403, "customer-not-vouched-for", "customer_id")
    assert problem(ask(token, collection="hats")) == (403, "not-allowed", "collection")


@pytest.mark.usefixtures("shop")
def test_a_session_without_a_customer_names_none(make_key: MakeKey) -> None:
    token = start(make_key("ask", "trusted"))["token"]
    assert problem(ask(token, customer_id="ada")) == (403, "customer-not-vouched-for", "customer_id")


@pytest.mark.usefixtures("shop")
def test_a_session_is_for_no_more_than_its_key(make_key: MakeKey) -> None:
    hats = make_key("ask", collections=["hats"])
    refused = post("/api/sessions", hats, {"collection": "shop"})
    assert problem(refused) == (403, "not-allowed", "collection")
    vouched = post("/api/sessions", hats, {"customer_id": "ada"})
    assert problem(vouched) == (403, "customer-not-vouched-for", "customer_id")
    assert start(hats)["collection"] == "hats"


@pytest.mark.usefixtures("shop")
def test_a_reload_in_the_browser_makes_nothing_anew(make_key: MakeKey) -> None:
    token = start(make_key("ask", "skip_cache"))["token"]
    ask(token)
    response = ask(token, headers={"Cache-Control": "no-cache"})
    assert response.json()["cache"]["status"] == "hit"


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"ttl_s": 5}, "ttl_s"),
        ({"ttl_s": "long"}, "ttl_s"),
        ({"collection": 1}, "collection"),
        ({"x": 1}, "x"),
    ],
)
def test_a_wrong_wish_for_a_session_is_named(make_key: MakeKey, body: dict[str, Any], field: str) -> None:
    assert problem(post("/api/sessions", make_key("ask"), body)) == (400, "invalid-input", field)


@pytest.mark.usefixtures("shop")
def test_a_session_lasts_as_long_as_asked_and_no_longer_than_set(make_key: MakeKey, settings: Any) -> None:
    settings.SESSION_TTL_S = 600
    key = make_key("ask")
    assert start(key, ttl_s=60)["expires_at"] == pytest.approx(time.time() + 60, abs=5)
    assert start(key, ttl_s=6000)["expires_at"] == pytest.approx(time.time() + 600, abs=5)


def test_a_token_is_what_was_signed_and_not_over() -> None:
    session = Session(key_id="0123456789ab", collection="shop", expires_at=1000, customer_id="zoë/1")
    token = token_of(session)
    assert read_token(token, now=999) == session
    assert read_token(token, now=1000) is None
    head, body, signature = token.split(".")
    other = token_of(Session(key_id="0123456789ab", collection="hats", expires_at=2000)).split(".")
    assert read_token(".".join([head, other[1], signature]), now=999) is None
    assert read_token(".".join([head, body, signature[::-1]]), now=999) is None


def test_a_token_of_another_secret_key_is_nothing(settings: Any) -> None:
    token = token_of(Session(key_id="0123456789ab", collection="shop", expires_at=1000))
    settings.SECRET_KEY = "x" * 50
    assert read_token(token, now=1) is None


@pytest.mark.usefixtures("listed")
def test_a_listed_page_asks_with_a_session_and_reads_the_answer(make_key: MakeKey) -> None:
    response = ask(start(make_key("ask"))["token"], headers={"Origin": ORIGIN})
    assert response.status_code == 200
    assert response["Access-Control-Allow-Origin"] == ORIGIN
    assert "cache-status" in response["Access-Control-Expose-Headers"]
    assert "Access-Control-Allow-Credentials" not in response


@pytest.mark.usefixtures("listed")
@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://www.shop.example", f"{ORIGIN}.evil.example"]
)
def test_another_page_does_not_ask(make_key: MakeKey, origin: str) -> None:
    response = ask(start(make_key("ask"))["token"], headers={"Origin": origin})
    assert problem(response) == (403, "origin-not-allowed", "Origin")
    assert "Access-Control-Allow-Origin" not in response


@pytest.mark.usefixtures("listed")
def test_a_page_of_one_collection_does_not_ask_another(make_key: MakeKey) -> None:
    token = start(make_key("ask"), collection="hats")["token"]
    assert problem(ask(token, headers={"Origin": ORIGIN})) == (403, "origin-not-allowed", "Origin")


@pytest.mark.usefixtures("listed")
def test_a_key_in_a_browser_page_is_refused(make_key: MakeKey) -> None:
    response = ask(make_key("ask"), headers={"Origin": ORIGIN})
    assert problem(response) == (403, "key-in-browser", "Authorization")


@pytest.mark.usefixtures("listed")
@pytest.mark.parametrize(("origin", "is_allowed"), [(ORIGIN, True), ("https://evil.example", False)])
def test_a_preflight_is_answered_for_listed_origins(make_key: MakeKey, origin: str, is_allowed: bool) -> None:
    make_key("ask")
    preflight = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    response = Client().options("/api/chat", headers=preflight)
    assert response.status_code == 200
    assert response.has_header("Access-Control-Allow-Origin") is is_allowed


@pytest.mark.usefixtures("shop")
def test_our_own_page_asks_by_a_session_where_it_is_served(settings: Any) -> None:
    settings.CHAT_PAGE = True
    page = Client().get("/")
    assert 'data-session="/page-session"' in page.content.decode()
    own = Client().post("/page-session", headers={"Origin": "http://testserver"})
    assert ask(own.json()["token"]).status_code == 200
    assert Client().post("/page-session", headers={"Origin": ORIGIN}).status_code == 404
    settings.CHAT_PAGE = False
    assert Client().get("/").status_code == 404
    assert Client().post("/page-session").status_code == 404
    assert problem(ask(own.json()["token"])) == (401, "session-over", None)


@pytest.mark.usefixtures("listed")
@pytest.mark.parametrize("path", ["/admin/login/", "/api/health", "/api/sessions", "/"])
def test_a_listed_page_reads_nothing_but_answers(path: str) -> None:
    response = Client().get(path, headers={"Origin": ORIGIN})
    assert "Access-Control-Allow-Origin" not in response
