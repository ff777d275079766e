"""An answer as server-sent events: the stages as they begin, then the answer or the problem.

What is not stored is made in a thread of its own, so that the request's thread can look after the client.
Once he has gone, the next keep-alive ends his stream; the answer is made all the same: others may be waiting
for it, and it is kept for who asks next.
"""

from collections.abc import Callable, Iterator, Mapping
from queue import Empty, SimpleQueue
from threading import Thread
from time import perf_counter

from django.db import connections
from django.http import HttpResponse
from django.http.response import HttpResponseBase, StreamingHttpResponse
from pydantic_core import to_json
from rest_framework.request import Request

from cachemgmt.api import release_connection
from chat.answering.pipeline import Pipeline
from chat.answering.question_run import PendingAnswer
from chat.errors import Overloaded
from chat.http.bodies import rendered
from chat.http.problems import problem_response

MEDIA_TYPE = "text/event-stream"
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
KEEP_ALIVE_S = 5.0
"""How often something is sent while nothing happens: to keep the connection, or notice that it is gone."""

KEEP_ALIVE = b": keep-alive\n\n"

Told = SimpleQueue[tuple[bytes, bool]]
"""Events as they are sent, each with whether it is the last."""


def wants_events(request: Request) -> bool:
    """Whether the client asks for events, by their name, and would not rather have a JSON body."""
    if MEDIA_TYPE not in request.META.get("HTTP_ACCEPT", "").lower():
        return False
    return request.get_preferred_type(["application/json", MEDIA_TYPE]) == MEDIA_TYPE


def in_thread(work: Callable[[], None]) -> None:
    """Do the work in a thread of its own, which keeps no database connection. Raises Overloaded where no
    thread can be started."""

    def run() -> None:
        try:
            work()
        finally:
            connections.close_all()

    try:
        Thread(target=run, name="tria-stream", daemon=True).start()
    except RuntimeError as error:
        raise Overloaded from error


def streamed(
    pipeline: Pipeline,
    missed: PendingAnswer,
    *,
    in_background: Callable[[Callable[[], None]], None] = in_thread,
    keep_alive_s: float = KEEP_ALIVE_S,
) -> HttpResponseBase:
    """Return the response whose body is the events of a question that no stored answer served.

    Raises Overloaded: nothing has been sent then. Whatever goes wrong later is told by a `problem` event.
    """
    told = Told()
    in_background(lambda: _make(pipeline, missed, told))
    release_connection()
    return StreamingHttpResponse(_events(told, keep_alive_s), content_type=MEDIA_TYPE, headers=HEADERS)


def one_event(answer: bytes, headers: Mapping[str, str]) -> HttpResponse:
    """Return the response whose body is the one event of a stored answer. `answer` is its JSON."""
    return HttpResponse(event("answer", answer), content_type=MEDIA_TYPE, headers={**headers, **HEADERS})


def event(name: str, data: bytes) -> bytes:
    """Return an event as it is sent. `data` is JSON, which has no line ends."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), data)


def _events(told: Told, keep_alive_s: float) -> Iterator[bytes]:
    is_last = False
    while not is_last:
        try:
            sent, is_last = told.get(timeout=keep_alive_s)
        except Empty:
            sent = KEEP_ALIVE
        yield sent


def _make(pipeline: Pipeline, missed: PendingAnswer, told: Told) -> None:
    """Make the answer, telling how far it is. The last event is told, whatever happens."""

    def tell(stage: str) -> None:
        after_ms = round((perf_counter() - missed.run.started) * 1000, 3)
        told.put((event("stage", to_json({"stage": stage, "after_ms": after_ms})), False))

    tell("lookup")
    try:
        last = event("answer", rendered(pipeline.make(missed, tell)))
    except Exception as error:  # noqa: BLE001 - it would end this thread, and nobody would tell the client
        last = event("problem", to_json(problem_response(error, {}).data))
    told.put((last, True))
