"""What nobody foresaw: a problem with an id for the client, the same id in the log, and a count."""

import json
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Event
from typing import Any

import pytest
from django.test import Client

from cachemgmt.api import BookCall, write_counts
from cachemgmt.engine.stores.memory import MemoryStore
from cachemgmt.models import MetricBucket
from chat import assembly
from chat.errors import ChatError
from chat.http import views
from chat.http.streaming import streamed
from chat.knowledge.embedders import HashedWordsEmbedder
from chat.providers.base import Provider
from chat.providers.extractive import ExtractiveProvider
from chat.types import Classification, Passage, Turn
from tests.e2e.fleet import wait_until
from tests.fakes.fixtures import make_openai_provider
from tests.fakes.kitchen import COLLECTION, Kitchen, MemoryIndex
from tests.fakes.llm_server import LlmServer
from tria_site.logs import LineFormatter

SECRET = "I am Ada and my card is 4111"
REFUND = "What's your refund policy?"


class QuotingStore(MemoryStore):
    """A store with a fault: it raises what it was asked for."""

    def get_many(self, names: Sequence[str]) -> list[bytes | None]:
        raise LookupError(SECRET)


class FaultyProvider(ExtractiveProvider):
    """A provider with a fault: it raises the message, as soon as the test lets it."""

    def __init__(self) -> None:
        super().__init__(HashedWordsEmbedder())
        self.may_fail = Event()
        self.calls = 0

    def classify(self, *, message: str, history: Sequence[Turn], book: BookCall) -> Classification:
        self.calls += 1
        self.may_fail.wait(10)
        raise RuntimeError(message)


class QuotingIndex(MemoryIndex):
    """An index with a fault: it raises the question."""

    def search(self, *, question: str, **_others: Any) -> list[Passage]:
        raise KeyError(question) from ValueError(SECRET)


def with_index_fault(provider: Provider) -> Kitchen:
    kitchen = Kitchen(provider)
    kitchen.index.__class__ = QuotingIndex
    return kitchen


def with_store_fault(provider: Provider) -> Kitchen:
    return Kitchen(provider, store=QuotingStore())


@pytest.fixture(params=[with_index_fault, with_store_fault])
def faulty(
    request: pytest.FixtureRequest,
    db: None,
    llm_server: LlmServer,
    monkeypatch: pytest.MonkeyPatch,
    settings: Any,
) -> Kitchen:
    """A pipeline with a fault, behind the site."""
    kitchen: Kitchen = request.param(make_openai_provider(llm_server))
    monkeypatch.setattr(assembly, "pipeline", lambda: kitchen.pipeline)
    monkeypatch.setattr(views, "streamed", partial(streamed, in_background=lambda work: work()))
    settings.DEFAULT_COLLECTION = COLLECTION
    return kitchen


@pytest.fixture
def client() -> Client:
    """A client to whom errors are what they are to others: responses."""
    return Client(raise_request_exception=False)


def ask(client: Client, message: str = REFUND, **headers: str) -> Any:
    return client.post("/api/chat", {"message": message}, content_type="application/json", headers=headers)


def problem_in(response: Any) -> dict[str, Any]:
    """Return the problem document of a response, by whichever way it came."""
    body: bytes = b"".join(response) if response.streaming else response.content
    if response["Content-Type"] == "text/event-stream":
        assert response.status_code == 200
        name, data = body.decode().strip().split("\n\n")[-1].split("\n")
        assert name == "event: problem"
        body = data.removeprefix("data: ").encode()
    else:
        assert (response.status_code, response["Content-Type"]) == (500, "application/problem+json")
    found: dict[str, Any] = json.loads(body)
    return found


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
def test_the_client_is_told_an_id_and_the_log_where_it_was_raised(
    faulty: Kitchen, client: Client, accept: str, caplog: pytest.LogCaptureFixture
) -> None:
    problem = problem_in(ask(client, accept=accept))
    assert set(problem) == {"type", "title", "status", "id"}
    assert (problem["type"], problem["status"]) == ("urn:tria:problem:internal", 500)
    [record] = [record for record in caplog.records if record.levelno >= logging.ERROR]
    line = LineFormatter("%(message)s").format(record)
    assert problem["id"] in line
    assert "Traceback (most recent call last)" in line
    assert "test_faults.py" in line
    assert any(f"builtins.{name}" in line for name in ("KeyError", "LookupError"))
    for words in (SECRET, REFUND, "refund policy"):
        assert words not in line


def test_each_has_an_id_of_its_own(faulty: Kitchen, client: Client) -> None:
    assert problem_in(ask(client))["id"] != problem_in(ask(client))["id"]


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
def test_it_is_counted_where_the_collection_is_known(faulty: Kitchen, client: Client, accept: str) -> None:
    problem_in(ask(client, accept=accept))
    write_counts()
    [row] = MetricBucket.objects.filter(level="answer")
    assert (row.outcome, row.reason, row.collection, row.count) == ("error", "internal", COLLECTION, 1)
    metrics = client.get("/metrics").content.decode()
    assert 'tria_questions_total{outcome="error",reason="internal"} 1.0' in metrics


def test_those_who_wait_for_a_fill_are_told_as_well_each_with_an_id(
    db: None, client: Client, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    provider = FaultyProvider()
    kitchen = Kitchen(provider)
    monkeypatch.setattr(assembly, "pipeline", lambda: kitchen.pipeline)
    settings.DEFAULT_COLLECTION = COLLECTION
    with ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(ask, Client(raise_request_exception=False)) for _ in range(3)]
        wait_until(lambda: kitchen.bulkhead.facts()["admitted"] == 3, 10)
        provider.may_fail.set()
    problems = [problem_in(one.result()) for one in asked]
    assert len({problem["id"] for problem in problems}) == 3
    assert {problem["type"] for problem in problems} == {"urn:tria:problem:internal"}
    assert provider.calls < 3, "nobody waited"
    assert kitchen.bulkhead.facts()["admitted"] == 0


def test_what_is_foreseen_is_not_counted_as_unforeseen(
    kitchen: Kitchen, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ChatError):
        kitchen.ask(REFUND, cache="only_if_cached")
    write_counts()
    assert [row.reason for row in MetricBucket.objects.filter(outcome="error")] == ["not-cached"]


def test_listeners_of_django_hear_of_it(faulty: Kitchen) -> None:
    with pytest.raises(LookupError):
        ask(Client(raise_request_exception=True))


def test_outside_the_apis_views_it_is_the_same(
    client: Client, db: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_request: Any) -> None:
        raise ValueError(SECRET)

    monkeypatch.setattr("chat.http.page.render", lambda *_args, **_options: fail(None))
    response = client.get("/")
    assert (response.status_code, response["Content-Type"]) == (500, "application/problem+json")
    [record] = [record for record in caplog.records if record.levelno >= logging.ERROR]
    line = LineFormatter("%(message)s").format(record)
    assert response.json()["id"] in line
    assert SECRET not in line


def test_a_request_that_django_refuses_gets_a_problem_too(client: Client, db: None) -> None:
    response = client.get("/livez", headers={"host": "evil.test"})
    assert (response.status_code, response["Content-Type"]) == (400, "application/problem+json")
    assert response.json()["type"] == "urn:tria:problem:bad-request"
