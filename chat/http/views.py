"""The HTTP side: parse, call, render."""

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from access.admission import Admission, wish_of
from access.authentication import who_asks
from chat import assembly
from chat.http.bodies import read_body, rendered
from chat.http.cache_headers import cache_headers, read_directives
from chat.http.health import Health, ServiceStatus, health
from chat.http.problems import problem
from chat.http.streaming import one_event, streamed, wants_events
from chat.http.turnstile import Turnstile
from chat.readiness import readiness
from chat.types import Answer

LOOK_UPS = Turnstile()
"""What is stored is looked up in turn; who waits for a language model has left."""


class ChatView(APIView):
    """POST a question, get its answer; by events, where the client asks for them."""

    right = "ask"

    @property
    def default_response_headers(self) -> dict[str, str]:
        """Nothing: that only POST is allowed is told where something else was tried."""
        return {}

    def post(self, request: Request) -> HttpResponseBase:
        meta = request.META
        directives = read_directives(meta.get("HTTP_CACHE_CONTROL", ""))
        raw = request.body  # before its turn: a client may send it slowly
        as_events = wants_events(request)
        pipeline = assembly.pipeline()
        with LOOK_UPS:
            body = read_body(meta.get("CONTENT_TYPE", ""), raw)
            found = pipeline.look_up(body.question(Admission(request, wish_of(body, directives))))
            if isinstance(found, Answer):
                return answered(found, as_events=as_events)
        return streamed(pipeline, found) if as_events else answered(pipeline.make(found))


def answered(answer: Answer, *, as_events: bool = False) -> HttpResponse:
    """Return the response that holds the answer: its JSON body, or that as the one event of a stream."""
    headers = cache_headers(answer.cache)
    if as_events:
        return one_event(rendered(answer), headers)
    # Not DRF's Response: to negotiate and render it costs more than the look-up.
    return HttpResponse(rendered(answer), content_type="application/json", headers=headers)


class ProbeView(APIView):
    """Asked by probes: without a key, and without a look at one."""

    right = None
    authentication_classes = ()
    throttle_classes = ()


class LiveView(ProbeView):
    """GET whether this process serves requests."""

    def get(self, request: Request) -> Response:
        return Response({"status": "live"})


class ReadyView(ProbeView):
    """GET whether this process would answer its first question as any later one; if not, what it lacks."""

    def get(self, request: Request) -> Response:
        missing = readiness().missing()
        if missing:
            return problem(503, "not-ready", "Not ready yet", detail=" ".join(missing), retry_after_s=1)
        return Response({"status": "ready"})


class HealthView(APIView):
    """GET whether the service works; for those who may read metrics also what it runs on."""

    right = None

    def get(self, request: Request) -> Response:
        found = health()
        may_know = who_asks(request).may("metrics")
        body: Health | ServiceStatus = found if may_know else {"status": found["status"]}
        return Response(body, status=503 if found["status"] == "down" else 200)
