"""An answer by events, without a server: what is sent, in which order, and who may have it."""

import json
import logging
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from django.http.response import StreamingHttpResponse
from django.test import Client, RequestFactory
from rest_framework.request import Request

from chat import assembly
from chat.answering.question_run import PendingAnswer
from chat.errors import Overloaded
from chat.http import streaming, views
from chat.http.streaming import KEEP_ALIVE, streamed, wants_events
from chat.types import Question
from tests.fakes.kitchen import COLLECTION, Kitchen
from tests.fakes.llm_script import Fail
from tests.fakes.llm_server import LlmServer

REFUND = "What's your refund policy?"
STAGES = ["lookup", "classify", "retrieve", "generate", "validate"]


def at_once(work: Callable[[], None]) -> None:
    """Do the work here: the test's database is this thread's."""
    work()


def read(body: bytes) -> list[tuple[str, dict[str, Any]]]:
    """Return the events of a stream, without its comments."""
    found = []
    for block in body.decode().split("\n\n"):
        if block and not block.startswith(":"):
            name, data = block.split("\n")
            found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


@pytest.fixture
def client(kitchen: Kitchen, monkeypatch: pytest.MonkeyPatch, settings: Any) -> Client:
    """A client of the site, whose pipeline is the kitchen's and works in the request's thread."""
    monkeypatch.setattr(assembly, "pipeline", lambda: kitchen.pipeline)
    monkeypatch.setattr(views, "streamed", partial(streamed, in_background=at_once))
    settings.DEFAULT_COLLECTION = COLLECTION
    return Client()


def ask(client: Client, body: Any, accept: str = "text/event-stream", **headers: str) -> Any:
    return client.post(
        "/api/chat", body, content_type="application/json", headers={"accept": accept, **headers}
    )


def test_stages_are_told_as_they_begin_and_then_the_answer(client: Client) -> None:
    response = ask(client, {"message": REFUND})
    assert response.status_code == 200
    assert response["Content-Type"] == "text/event-stream"
    assert (response["Cache-Control"], response["X-Accel-Buffering"]) == ("no-store", "no")
    events = read(response.getvalue())
    assert [name for name, _ in events] == ["stage"] * 5 + ["answer"]
    assert [data["stage"] for _, data in events[:-1]] == STAGES
    after_ms = [data["after_ms"] for _, data in events[:-1]]
    assert after_ms == sorted(after_ms)


def test_an_answer_is_the_same_with_events_and_without(client: Client) -> None:
    by_event = read(ask(client, {"message": REFUND}).getvalue())[-1][1]
    plain = client.post("/api/chat", {"message": REFUND}, content_type="application/json").json()
    assert plain["cache"]["status"] == "hit"
    for answer in (by_event, plain):
        del answer["cache"], answer["timing_ms"], answer["cost"]
    assert by_event == plain


def test_a_stored_answer_is_one_event_with_its_headers(client: Client) -> None:
    ask(client, {"message": REFUND}).getvalue()
    response = ask(client, {"message": REFUND})
    assert not response.streaming
    assert response["Cache-Status"].startswith("tria; hit")
    assert response["Cache-Control"] == "no-store"
    [(name, answer)] = read(response.content)
    assert (name, answer["cache"]["status"]) == ("answer", "hit")


@pytest.mark.parametrize(
    ("body", "status"),
    [({"message": ""}, 400), ({"message": REFUND, "collection": "nowhere"}, 404)],
    ids=["invalid", "unknown-collection"],
)
def test_what_is_known_beforehand_is_a_plain_problem(client: Client, body: Any, status: int) -> None:
    response = ask(client, body)
    assert (response.status_code, response["Content-Type"]) == (status, "application/problem+json")


def test_a_failing_provider_is_the_last_event(
    client: Client, kitchen: Kitchen, llm_server: LlmServer
) -> None:
    llm_server.always("generate", Fail(429, retry_after=30))
    events = read(ask(client, {"message": REFUND}).getvalue())
    assert [name for name, _ in events] == ["stage"] * 4 + ["problem"]
    assert events[-1][1] == {
        "type": "urn:tria:problem:provider-busy",
        "title": "The language model asks to slow down",
        "status": 503,
        "retry_after_s": 30,
    }
    assert kitchen.bulkhead.facts()["admitted"] == 0


def test_no_place_is_a_problem_and_takes_none(client: Client, kitchen: Kitchen) -> None:
    places = [kitchen.bulkhead.place() for _ in range(64)]
    for place in places:
        place.take()
    name, problem = read(ask(client, {"message": REFUND}).getvalue())[-1]
    assert (name, problem["status"], problem["retry_after_s"]) == ("problem", 503, 5)
    assert problem["type"].endswith(":overloaded")
    assert kitchen.bulkhead.facts()["admitted"] == 64


def test_only_if_cached_is_told_by_an_event(client: Client) -> None:
    [*_, (name, problem)] = read(ask(client, {"message": REFUND}, cache_control="only-if-cached").getvalue())
    assert (name, problem["type"]) == ("problem", "urn:tria:problem:not-cached")


def test_a_bug_is_told_without_its_cause_and_logged(
    client: Client, kitchen: Kitchen, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise KeyError("secret")

    monkeypatch.setattr(kitchen.pipeline, "make", broken)
    name, problem = read(ask(client, {"message": REFUND}).getvalue())[-1]
    assert (name, problem["status"], problem["type"]) == ("problem", 500, "urn:tria:problem:internal")
    assert "secret" not in str(problem)
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


def missed(kitchen: Kitchen) -> PendingAnswer:
    """Return the question as the pipeline has looked it up: nothing is stored for it yet."""
    found = kitchen.pipeline.look_up(Question(message=REFUND, collection=COLLECTION))
    assert isinstance(found, PendingAnswer)
    return found


def test_comments_are_sent_while_nothing_happens(kitchen: Kitchen) -> None:
    left: list[Callable[[], None]] = []
    response = streamed(kitchen.pipeline, missed(kitchen), in_background=left.append, keep_alive_s=0.001)
    assert isinstance(response, StreamingHttpResponse)
    sent = parts(response)
    assert [next(sent), next(sent)] == [KEEP_ALIVE, KEEP_ALIVE]
    left.pop()()
    assert read(b"".join(sent))[-1][0] == "answer"


def test_an_answer_is_made_and_kept_though_its_asker_has_gone(kitchen: Kitchen) -> None:
    left: list[Callable[[], None]] = []
    response = streamed(kitchen.pipeline, missed(kitchen), in_background=left.append, keep_alive_s=0.001)
    next(parts(response))
    response.close()
    left.pop()()
    assert kitchen.ask(REFUND).cache.status == "hit"
    assert kitchen.bulkhead.facts()["admitted"] == 0


def parts(response: Any) -> Iterator[bytes]:
    return iter(response.streaming_content)


def test_no_thread_is_a_plain_refusal(kitchen: Kitchen, monkeypatch: pytest.MonkeyPatch) -> None:
    class NoThread:
        def __init__(self, **_: object) -> None: ...

        def start(self) -> None:
            raise RuntimeError("can't start new thread")

    monkeypatch.setattr(streaming, "Thread", NoThread)
    with pytest.raises(Overloaded):
        streamed(kitchen.pipeline, missed(kitchen))


@pytest.mark.parametrize(
    ("accept", "is_wanted"),
    [
        ("text/event-stream", True),
        ("Text/Event-Stream", True),
        ("text/event-stream, application/json;q=0.9", True),
        ("text/event-stream, */*", True),
        ("text/event-stream;q=0.5, application/json", False),
        ("text/event-stream;q=0, */*", False),
        ("application/json, text/event-stream", False),
        ("*/*", False),
        ("text/*", False),
        ("", False),
        ("text/event-stream;q=soon", True),
    ],
)
def test_events_are_for_those_who_name_them(rf: RequestFactory, accept: str, is_wanted: bool) -> None:
    assert wants_events(Request(rf.post("/api/chat", headers={"accept": accept}))) is is_wanted
