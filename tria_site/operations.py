"""What the API's description says of each operation, beside what its bodies' types say.

The views know nothing of it.
"""

from typing import Any, Literal

from drf_spectacular.extensions import OpenApiViewExtension
from drf_spectacular.utils import (
    OpenApiExample,
    OpenApiParameter,
    OpenApiResponse,
    extend_schema,
    extend_schema_view,
)
from pydantic import TypeAdapter, with_config
from typing_extensions import TypedDict

from cachemgmt.books.metrics import Metrics
from cachemgmt.http.views import MAX_HOURS
from chat.http.bodies import AnswerBody, QuestionBody
from chat.http.health import Health, ServiceStatus
from chat.http.problems import CONTENT_TYPE, TYPES, ProblemBody
from chat.http.session_views import SessionAnswer, SessionBody
from chat.http.streaming import MEDIA_TYPE

Schema = dict[str, Any]


class StageBody(TypedDict):
    """A stage has begun, so many milliseconds after the question came in."""

    stage: Literal["lookup", "classify", "retrieve", "generate", "validate"]
    after_ms: float


class ProbeBody(TypedDict):
    """What a probe is told where all is well."""

    status: Literal["live", "ready"]


@with_config({"extra": "allow"})
class CacheHealth(TypedDict):
    """Which store serves, whether it works, and what is in it."""

    status: Literal["ok", "degraded"]
    store: str
    is_healthy: bool
    info: dict[str, object]
    clock: int
    is_on: bool


_BODIES = (
    QuestionBody,
    AnswerBody,
    StageBody,
    SessionBody,
    SessionAnswer,
    ProblemBody,
    Health,
    ProbeBody,
    ServiceStatus,
    CacheHealth,
    Metrics,
)
_described: tuple[Any, Schema] = TypeAdapter.json_schemas(
    [(body, "validation", TypeAdapter(body)) for body in _BODIES],
    ref_template="#/components/schemas/{model}",
)
COMPONENTS: dict[str, Schema] = _described[1]["$defs"]
"""The schemas of all bodies, by name."""

ON_KEYS = (401, 403, 429)
QUESTION = {"message": "What's your refund policy?"}
ANSWER = {
    "answer": "Refunds are paid within 5 working days after your return has reached our warehouse.",
    "intent": {"name": "refund_policy", "confidence": 0.93},
    "sources": [
        {
            "document": "refunds",
            "title": "Refunds",
            "section": "How long a refund takes",
            "passage": "Refunds are paid within 5 working days after your return has reached our warehouse.",
        }
    ],
    "needs_human": False,
    "cache": {
        "status": "hit",
        "level": "response",
        "reason": None,
        "age_s": 488,
        "ttl_s": 1312,
        "entry_id": "8220f53f123329c8",
    },
    "cost": {"spent_usd": "0", "saved_usd": "0.0123", "saved_s": 11.402},
    "timing_ms": {"total": 1.9, "lookup": 1.2},
}
FOLLOW_UP = {
    "message": "Tell me more",
    "history": [
        {"role": "user", "content": QUESTION["message"]},
        {"role": "assistant", "content": ANSWER["answer"]},
    ],
    "collection": "sample",
}
EVENTS = """event: stage
data: {"stage":"lookup","after_ms":0.4}

event: stage
data: {"stage":"classify","after_ms":0.6}

: keep-alive

event: stage
data: {"stage":"generate","after_ms":5211.9}

event: answer
data: {"answer":"Refunds are paid within 5 working days …", …}

"""
ON_CHAT = """Answers a question from a collection's policies. The same question in the same context is
answered from the cache, at no cost, until its policies change.

With `Accept: text/event-stream` the answer comes by server-sent events: `stage` as each stage begins, then
one `answer` or one `problem`, and the stream ends. A stored answer is one event. Lines that begin with a
colon keep the connection. What is wrong with the request itself is told by the response's status."""


def ref(body: type) -> Schema:
    """Return the reference to a body's schema."""
    return dict(_described[0][(body, "validation")])


def events(**bodies: type) -> Schema:
    """Return the schema of each event of a stream, by its name. Before OpenAPI 3.2 a stream has none."""
    return {
        "oneOf": [
            {
                "type": "object",
                "required": ["event", "data"],
                "properties": {
                    "event": {"const": name},
                    "data": {
                        "type": "string",
                        "contentMediaType": "application/json",
                        "contentSchema": ref(body),
                    },
                },
            }
            for name, body in bodies.items()
        ]
    }


def problems(*statuses: int) -> dict[tuple[int, str], OpenApiResponse]:
    """Return the responses for errors with these statuses, each with the types of problem it may have."""
    kinds = {status: [kind for kind, its in TYPES.items() if its == status] for status in statuses}
    return {
        (status, CONTENT_TYPE): OpenApiResponse(ref(ProblemBody), description=f"`{'`, `'.join(found)}`")
        for status, found in kinds.items()
    }


def response_header(name: str, text: str, *statuses: int, kind: type = str) -> OpenApiParameter:
    """Return the description of a header that responses with these statuses may have."""
    told = [str(status) for status in statuses]
    return OpenApiParameter(name, kind, OpenApiParameter.HEADER, description=text, response=told)


def describe(view: str, **methods: Any) -> None:
    """Let drf-spectacular find what is said of a view's methods (what `extend_schema` takes) by its path."""

    def view_replacement(extension: Any) -> Any:
        own = type(extension.target_class.__name__, (extension.target_class,), {})
        # Who may ask is said in `tria_site.openapi`, for all.
        said = {name: extend_schema(**of_method, auth=[]) for name, of_method in methods.items()}
        return extend_schema_view(**said)(own)

    body = {"target_class": view, "view_replacement": view_replacement}
    type("Description", (OpenApiViewExtension,), body)


describe(
    "chat.http.views.ChatView",
    post={
        "operation_id": "ask",
        "tags": ["Answers"],
        "summary": "Ask a question",
        "description": ON_CHAT,
        "request": {"application/json": ref(QuestionBody)},
        "parameters": [
            OpenApiParameter(
                "Cache-Control",
                str,
                OpenApiParameter.HEADER,
                description="`no-cache`: make it anew at every level, and share the result. `no-store`: "
                "neither look up nor keep. `max-age=N`: reuse nothing older than N seconds. "
                "`only-if-cached`: 504 if it is not there. Others are ignored.",
            ),
            response_header("Cache-Status", "RFC 9211, such as `tria; hit; ttl=1312`.", 200),
            response_header("Age", "Seconds, where something stored was reused.", 200, kind=int),
            response_header("Cache-Control", "No cache on the way may keep it.", 200),
            response_header("Retry-After", "Seconds to wait.", 429, 503, 504, kind=int),
        ],
        "responses": {
            (200, "application/json"): OpenApiResponse(ref(AnswerBody), description="The answer."),
            (200, MEDIA_TYPE): OpenApiResponse(
                events(stage=StageBody, answer=AnswerBody, problem=ProblemBody), description="The answer."
            ),
            **problems(400, *ON_KEYS, 404, 405, 413, 415, 500, 502, 503, 504),
        },
        "examples": [
            OpenApiExample("a question", QUESTION, request_only=True),
            OpenApiExample("a follow-up", FOLLOW_UP, request_only=True),
            OpenApiExample("a hit", ANSWER, response_only=True, media_type="application/json"),
            OpenApiExample("a miss", EVENTS, response_only=True, media_type=MEDIA_TYPE),
        ],
    },
)
describe(
    "chat.http.session_views.SessionView",
    post={
        "operation_id": "startSession",
        "tags": ["Answers"],
        "summary": "Start a session for a browser page",
        "description": "A server of yours starts it with an API key, and gives the token to the page, which "
        "asks with `Authorization: Bearer tria-session.…`. The collection must list the page's origin.",
        "request": {"application/json": ref(SessionBody)},
        "parameters": [response_header("Retry-After", "Seconds to wait.", 429, 503, kind=int)],
        "responses": {
            201: OpenApiResponse(ref(SessionAnswer), description="The session."),
            **problems(400, *ON_KEYS, 405, 413, 415, 500, 503),
        },
        "examples": [
            OpenApiExample("for a customer", {"collection": "sample", "customer_id": "17"}, request_only=True)
        ],
    },
)
HEALTH: Schema = {"anyOf": [ref(Health), ref(ServiceStatus)]}
describe(
    "cachemgmt.books.prometheus.PrometheusView",
    get={
        "operation_id": "prometheus",
        "tags": ["Operation"],
        "summary": "The totals and this process's state, for Prometheus",
        "responses": {
            (200, "text/plain"): OpenApiResponse({"type": "string"}, description="Prometheus's text format."),
            **problems(*ON_KEYS, 405, 500, 503),
        },
    },
)
describe(
    "chat.http.views.HealthView",
    get={
        "operation_id": "health",
        "tags": ["Operation"],
        "summary": "Whether the service works",
        "description": "With the right `metrics`, or where no key is required, also what it runs on.",
        "responses": {
            200: OpenApiResponse(HEALTH, description="Questions are answered."),
            (503, "application/json"): OpenApiResponse(HEALTH, description="The database cannot be read."),
            **problems(401, 405, 429, 500, 503),
        },
    },
)
for name, summary in (
    ("live", "Whether this process serves"),
    ("ready", "Whether its first question would be answered as any later one"),
):
    describe(
        f"chat.http.views.{name.title()}View",
        get={
            "operation_id": name,
            "tags": ["Operation"],
            "summary": summary,
            "description": "For probes. Each worker tells of itself.",
            "responses": {
                200: OpenApiResponse(ref(ProbeBody), description="It does."),
                **problems(*((405, 500, 503) if name == "ready" else (405, 500))),
            },
        },
    )
describe(
    "cachemgmt.http.views.CacheHealthView",
    get={
        "operation_id": "cacheHealth",
        "tags": ["Operation"],
        "summary": "The store, its size, and the clock",
        "responses": {
            200: OpenApiResponse(ref(CacheHealth), description="What there is to tell."),
            **problems(*ON_KEYS, 405, 500, 503),
        },
    },
)
describe(
    "cachemgmt.http.views.MetricsView",
    get={
        "operation_id": "metrics",
        "tags": ["Operation"],
        "summary": "Hits, misses, calls, spent and saved",
        "parameters": [
            OpenApiParameter(
                "hours",
                {"type": "integer", "minimum": 1, "maximum": MAX_HOURS, "default": 24},
                description="Of how many hours, up to now.",
            ),
            OpenApiParameter(
                "collection",
                {"type": "string", "pattern": "^[a-z0-9-]{1,50}$"},
                description="Of this collection alone.",
            ),
        ],
        "responses": {
            200: OpenApiResponse(ref(Metrics), description="What there is to tell."),
            **problems(400, *ON_KEYS, 405, 500, 503),
        },
    },
)
