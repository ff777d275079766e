"""Each right, and its absence."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from access.identity import signature_of, signing_secret
from access.models import ApiKey
from tests.access.conftest import REFUND, MakeKey, ask, post, problem

pytestmark = pytest.mark.usefixtures("shop")


def test_without_a_key_nobody_asks_in_production() -> None:
    response = ask(None)
    assert problem(response) == (401, "key-missing", None)
    assert response["WWW-Authenticate"] == 'Bearer realm="tria"'
    assert response["Content-Type"] == "application/problem+json"


def test_in_development_no_key_is_needed_but_a_wrong_one_is_told(settings: Any) -> None:
    settings.REQUIRE_API_KEY = False
    assert ask(None, customer_id="ada", headers={"Cache-Control": "no-cache"}).status_code == 200
    assert problem(ask("tria_nonsense")) == (401, "key-unknown", None)


@pytest.mark.parametrize(
    "header", ["tria_x", "Basic dXNlcjpwdw==", "Bearer", "Bearer ", "Token tria_x", "Bearer\ttria_x"]
)
def test_a_header_of_another_form_is_told(header: str) -> None:
    response = Client().post(
        "/api/chat", {"message": REFUND}, content_type="application/json", headers={"Authorization": header}
    )
    assert response.status_code == 401
    assert response.json()["type"].endswith("key-malformed")


@pytest.mark.parametrize(
    "text", ["tria_", "x" * 5000, "tria_000000000000_" + "A" * 43, "tria-session.", "tria-session.a.b", "é"]
)
def test_what_is_no_key_is_refused(text: str) -> None:
    assert ask(text).status_code == 401


def test_a_key_asks(make_key: MakeKey) -> None:
    key = make_key("ask")
    assert ask(key).json()["cache"]["status"] == "miss"
    assert ask(key).json()["cache"]["status"] == "hit"


def test_a_key_without_the_right_to_ask_does_not(make_key: MakeKey) -> None:
    assert problem(ask(make_key("metrics"))) == (403, "not-allowed", None)


def test_a_key_asks_its_own_collections_alone(make_key: MakeKey) -> None:
    hats = make_key("ask", collections=["hats"])
    assert ask(hats).status_code == 200  # its only one, where none is named
    assert ask(hats, collection="hats").json()["cache"]["status"] == "hit"
    assert problem(ask(hats, collection="shop")) == (403, "not-allowed", "collection")
    assert problem(ask(hats, collection="nowhere")) == (403, "not-allowed", "collection")
    assert problem(ask(make_key("ask"), collection="nowhere")) == (404, "unknown-collection", "collection")


def test_an_expired_key_is_over(make_key: MakeKey) -> None:
    key = make_key("ask", expires_at=timezone.now() - timedelta(seconds=1))
    assert problem(ask(key)) == (401, "key-expired", None)


def test_a_trusted_key_names_customers(make_key: MakeKey) -> None:
    key = make_key("ask", "trusted")
    assert ask(key, "Where is my order 123456?", customer_id="ada").status_code == 200


def test_a_customer_that_nobody_vouches_for_is_refused(make_key: MakeKey) -> None:
    response = ask(make_key("ask"), customer_id="ada")
    assert problem(response) == (403, "customer-not-vouched-for", "customer_id")


def test_a_signed_customer_counts_and_a_wrong_signature_does_not(make_key: MakeKey) -> None:
    key = make_key("ask")
    secret = signing_secret(ApiKey.objects.get().key_id)
    ada = signature_of("ada", secret=secret)
    assert ask(key, customer_id="ada", customer_signature=ada).status_code == 200
    assert ask(key, customer_id="ada", customer_signature=ada.upper()).status_code == 200
    told = (403, "customer-not-vouched-for", "customer_signature")
    assert problem(ask(key, customer_id="bob", customer_signature=ada)) == told
    of_another_key = signature_of("ada", secret=signing_secret("000000000000"))
    assert problem(ask(key, customer_id="ada", customer_signature=of_another_key)) == told
    assert ask(key, customer_id="ada", customer_signature="me").status_code == 400


@pytest.mark.parametrize("directive", ["no-cache", "no-store", "max-age=0", "max-age=60"])
def test_having_answers_made_anew_takes_a_right(make_key: MakeKey, directive: str) -> None:
    headers = {"Cache-Control": directive}
    assert problem(ask(make_key("ask"), headers=headers)) == (403, "not-allowed", "Cache-Control")
    assert ask(make_key("ask", "skip_cache"), headers=headers).status_code == 200


def test_asking_for_what_is_stored_takes_none(make_key: MakeKey) -> None:
    response = ask(make_key("ask"), headers={"Cache-Control": "only-if-cached"})
    assert problem(response) == (504, "not-cached", None)


def get(path: str, key: str | None) -> Any:
    return Client().get(path, headers={"Authorization": f"Bearer {key}"} if key else {})


@pytest.mark.parametrize("path", ["/api/cache/metrics", "/api/cache/health"])
def test_metrics_take_a_right(make_key: MakeKey, path: str) -> None:
    assert get(path, None).status_code == 401
    assert problem(get(path, make_key("ask"))) == (403, "not-allowed", None)
    assert get(path, make_key("metrics")).status_code == 200


def test_whether_it_works_is_told_to_everybody_and_what_it_runs_on_is_not(make_key: MakeKey) -> None:
    assert get("/api/health", None).json() == {"status": "ok"}
    assert get("/api/health", make_key("ask")).json() == {"status": "ok"}
    assert "database" in get("/api/health", make_key("metrics")).json()


def test_no_key_is_in_the_log_or_the_database(make_key: MakeKey, caplog: pytest.LogCaptureFixture) -> None:
    key = make_key("ask")
    ask(key)
    ask(key[:-1] + "x")
    secret = key.rpartition("_")[2]
    assert secret not in caplog.text
    assert not any(secret in str(value) for row in ApiKey.objects.values_list() for value in row)


def test_when_a_key_was_used_is_written_down_later(make_key: MakeKey) -> None:
    from access.usage import write_usage

    ask(make_key("ask"))
    assert ApiKey.objects.get().last_used_at is None
    write_usage()
    assert ApiKey.objects.get().last_used_at is not None


def test_sessions_are_started_by_keys_alone(make_key: MakeKey) -> None:
    assert problem(post("/api/sessions", None, {})) == (401, "key-missing", None)
    token = post("/api/sessions", make_key("ask"), {}).json()["token"]
    assert problem(post("/api/sessions", token, {})) == (403, "not-allowed", None)
