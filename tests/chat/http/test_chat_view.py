"""The chat endpoint over HTTP: answers, headers, and every kind of bad input."""

import json
import logging
from typing import Any

import pytest
from django.test import Client

from chat import assembly
from tests.fakes.kitchen import COLLECTION, Kitchen
from tests.fakes.llm_script import Fail
from tests.fakes.llm_server import LlmServer

REFUND = "What's your refund policy?"


@pytest.fixture
def client(kitchen: Kitchen, monkeypatch: pytest.MonkeyPatch, settings: Any) -> Client:
    """A client of the site, whose pipeline is the kitchen's."""
    monkeypatch.setattr(assembly, "pipeline", lambda: kitchen.pipeline)
    settings.DEFAULT_COLLECTION = COLLECTION
    return Client(raise_request_exception=True)


def post(client: Client, body: Any, **headers: str) -> Any:
    return client.post("/api/chat", body, content_type="application/json", headers=headers)


def test_an_answer_has_all_its_parts(client: Client) -> None:
    response = post(client, {"message": REFUND})
    assert response.status_code == 200
    body = response.json()
    assert set(body) == {"answer", "intent", "sources", "needs_human", "cache", "cost", "timing_ms"}
    assert set(body["intent"]) == {"name", "confidence"}
    assert set(body["sources"][0]) == {"document", "title", "section", "passage"}
    assert set(body["cache"]) == {"status", "level", "reason", "age_s", "ttl_s", "entry_id"}
    assert set(body["cost"]) == {"spent_usd", "saved_usd", "saved_s"}
    assert set(body["timing_ms"]) == {"total", "lookup", "classify", "retrieve", "generate", "validate"}
    assert response["Cache-Status"] == "tria; fwd=miss; stored; detail=absent"
    assert response["Cache-Control"] == "private, no-store"
    assert "Age" not in response


def test_a_hit_is_told_in_body_and_headers(client: Client, kitchen: Kitchen) -> None:
    first = post(client, {"message": REFUND}).json()
    kitchen.clock.advance(488)
    response = post(client, {"message": REFUND})
    body = response.json()
    ttl_s = body["cache"]["ttl_s"]
    assert 1800 * 0.95 - 488 <= ttl_s <= 1800 - 488
    assert body["answer"] == first["answer"]
    assert body["cache"] == {
        "status": "hit",
        "level": "response",
        "reason": None,
        "age_s": 488,
        "ttl_s": ttl_s,
        "entry_id": first["cache"]["entry_id"],
    }
    assert body["cost"]["spent_usd"] == "0"
    assert response["Cache-Status"] == f"tria; hit; ttl={ttl_s}; detail=response"
    assert response["Age"] == "488"


def test_directives_are_taken_from_the_header(client: Client) -> None:
    assert post(client, {"message": REFUND}, cache_control="only-if-cached").status_code == 504
    post(client, {"message": REFUND})
    anew = post(client, {"message": REFUND}, cache_control="no-cache")
    assert anew.json()["cache"]["reason"] == "no-cache"
    assert anew["Cache-Status"].startswith("tria; fwd=request")


HISTORY = [{"role": "user", "content": "Hi"}]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "message"),
        ({"message": ""}, "message"),
        ({"message": "  \n\t"}, "message"),
        ({"message": "\u200b"}, "message"),
        ({"message": None}, "message"),
        ({"message": 7}, "message"),
        ({"message": ["a"]}, "message"),
        ({"message": "x" * 4001}, "message"),
        ({"message": "a\x00b"}, "message"),
        ({"message": "a\x1bb"}, "message"),
        ({"message": "a\x85b"}, "message"),
        ({"message": "a\ud800b"}, "message"),
        ({"message": "x", "mesage": "y"}, "mesage"),
        ({"message": "x", "history": "y"}, "history"),
        ({"message": "x", "history": {}}, "history"),
        ({"message": "x", "history": [1]}, "history[0]"),
        ({"message": "x", "history": [*HISTORY, {"role": "system", "content": "y"}]}, "history[1].role"),
        ({"message": "x", "history": [{"role": ["user"], "content": "y"}]}, "history[0].role"),
        ({"message": "x", "history": [{"role": "user"}]}, "history[0].content"),
        ({"message": "x", "history": [{"role": "user", "content": 5}]}, "history[0].content"),
        ({"message": "x", "history": [{"role": "user", "content": "a\ud800"}]}, "history[0].content"),
        ({"message": "x", "history": [{"role": "user", "content": "y", "name": "z"}]}, "history[0].name"),
        ({"message": "x", "history": HISTORY * 101}, "history"),
        ({"message": "x", "collection": "No Such"}, "collection"),
        ({"message": "x", "collection": 5.5}, "collection"),
        ({"message": "x", "customer_id": ""}, "customer_id"),
        ({"message": "x", "customer_id": "x" * 201}, "customer_id"),
        ([], "body"),
        ("x", "body"),
        (None, "body"),
    ],
    ids=repr,
)
def test_bad_input_is_refused_by_the_field_and_nothing_is_stored(
    client: Client, kitchen: Kitchen, llm_server: LlmServer, body: Any, field: str
) -> None:
    response = post(client, json.dumps(body))
    assert response.status_code == 400
    assert response["Content-Type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == 400
    assert field in {row["field"] for row in problem["errors"]}
    assert llm_server.calls == []
    assert list(kitchen.store.names()) == []


@pytest.mark.parametrize("body", [b"{", b"", b"\xff\xfe", b'{"message": NaN}', b"[" * 100_000])
def test_a_broken_body_is_refused(client: Client, body: bytes) -> None:
    response = client.generic("POST", "/api/chat", body, content_type="application/json")
    assert response.status_code == 400
    assert response["Content-Type"] == "application/problem+json"


def test_a_huge_body_is_refused(client: Client) -> None:
    response = post(client, {"message": "x", "history": [{"role": "user", "content": "y" * 10_000}] * 60})
    assert response.status_code == 413
    assert response["Content-Type"] == "application/problem+json"


def test_another_content_type_is_refused(client: Client) -> None:
    response = client.post("/api/chat", {"message": "x"})
    assert response.status_code == 415
    assert response.json()["type"].endswith("wrong-content-type")


def test_another_method_is_refused(client: Client) -> None:
    response = client.get("/api/chat")
    assert (response.status_code, response["Content-Type"]) == (405, "application/problem+json")
    assert "POST" in response["Allow"]


def test_an_unknown_collection_is_named(client: Client) -> None:
    response = post(client, {"message": REFUND, "collection": "nowhere"})
    assert response.status_code == 404
    assert response.json()["errors"][0]["field"] == "collection"


def test_a_useless_directive_is_named(client: Client) -> None:
    response = post(client, {"message": REFUND}, cache_control="max-age=soon")
    assert response.json()["errors"][0]["field"] == "Cache-Control"


@pytest.mark.parametrize(
    ("failure", "status", "kind"),
    [
        (Fail(401), 502, "provider-misconfigured"),
        (Fail(429, retry_after=30), 503, "provider-busy"),
        (Fail(500), 503, "provider-unavailable"),
    ],
)
def test_a_failing_provider_is_a_problem_of_its_own(
    client: Client, llm_server: LlmServer, failure: Fail, status: int, kind: str
) -> None:
    llm_server.always("classify", failure)
    response = post(client, {"message": REFUND})
    assert response.status_code == status
    assert response.json()["type"] == f"urn:tria:problem:{kind}"
    assert response.headers.get("Retry-After") == {503: "30" if failure.status == 429 else "5"}.get(status)


def test_no_message_answer_or_key_is_logged(
    client: Client, llm_server: LlmServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    answer = post(client, {"message": REFUND}).json()["answer"]
    llm_server.always("classify", Fail(500))
    post(client, {"message": "Is my secret safe?"})
    logged = " ".join(str(record.__dict__) for record in caplog.records)
    for text in (REFUND, answer, "Is my secret safe?", llm_server.api_key):
        assert text not in logged


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_an_answer_that_was_not_to_be_made_alarms_nobody(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    assert post(client, {"message": REFUND}, cache_control="only-if-cached").status_code == 504
    assert warnings_of(caplog) == []


def test_a_failure_is_told_once(
    client: Client, llm_server: LlmServer, caplog: pytest.LogCaptureFixture
) -> None:
    llm_server.always("classify", Fail(400))
    assert post(client, {"message": REFUND}).status_code == 502
    told = "A question was not answered: provider-misconfigured"
    assert [line for line in warnings_of(caplog) if "provider call" not in line] == [told]


def test_text_beyond_latin_is_answered(client: Client) -> None:
    assert post(client, {"message": "退款政策是什么? 😀 Ünïcödé"}).status_code == 200


def test_punctuation_alone_is_answered_but_never_kept(client: Client, kitchen: Kitchen) -> None:
    body = post(client, {"message": "???"}).json()
    assert body["cache"]["status"] in {"bypass", "miss"}
    assert [name for name in kitchen.store.names() if name.startswith("response")] == []
