"""An OpenAI-compatible endpoint on loopback, over real HTTP, that can be told to misbehave.

    with LlmServer() as server:
        server.script("generate", Fail(500), Hang())  # the next two calls; then it works again
        ...
        assert server.billed_usd(rates) == booked

What it answers follows from what it is sent (`llm_mind`). Every request is recorded in `server.calls`.
"""

import json
import threading
import time
from collections import defaultdict, deque
from collections.abc import Mapping
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from tests.fakes import llm_mind
from tests.fakes.llm_answers import said, stage_of
from tests.fakes.llm_script import (
    Action,
    Body,
    Disconnect,
    Dressed,
    Drip,
    Fail,
    Fenced,
    Hang,
    Hold,
    Obey,
    Picky,
    Rate,
    Say,
    ServedCall,
    Slow,
)

API_KEY = "sk-fake-0123456789abcdef"
PATHS = frozenset({"/v1/chat/completions", "/v1/embeddings"})
CACHE_FROM_TOKENS = 1024
CACHE_STEP_TOKENS = 128


class LlmServer:
    """The endpoint, from entering the context to leaving it. Any thread may script it."""

    def __init__(self) -> None:
        self.api_key = API_KEY
        self.calls: list[ServedCall] = []
        self.stopped = threading.Event()
        self._lock = threading.Lock()
        self._scripts: dict[str, deque[Action]] = defaultdict(deque)
        self._moods: dict[str, Action] = {}
        self._held: list[Hold] = []
        self._seen_prompts: set[str] = set()
        self._http = _HttpServer(("127.0.0.1", 0), _Handler)
        self._http.llm = self
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)

    @property
    def base_url(self) -> str:
        """What to set as the client's base URL."""
        return f"http://127.0.0.1:{self._http.server_port}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stopped.set()
        for hold in self._held:
            hold.until.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def script(self, stage: str, *actions: Action) -> None:
        """Make the next calls of a stage ("embed" for embeddings) do this, one action each."""
        with self._lock:
            self._scripts[stage].extend(actions)

    def always(self, stage: str, action: Action | None) -> None:
        """Make every call of a stage do this once its script is used up; None: work again."""
        with self._lock:
            self._moods.pop(stage, None)
            if action is not None:
                self._moods[stage] = action

    def reset(self) -> None:
        """Forget the calls so far and what was scripted, and let go of the calls that are held."""
        with self._lock:
            held, self._held = self._held, []
            self._scripts.clear()
            self._moods.clear()
            self.calls.clear()
        for hold in held:
            hold.until.set()

    def calls_of(self, stage: str) -> list[ServedCall]:
        """Return the recorded calls of a stage in the order in which they were answered."""
        return [call for call in list(self.calls) if call.stage == stage]

    def billed_usd(self, rates: Mapping[str, Rate]) -> Decimal:
        """Return what all calls so far cost, at these rates by model."""
        total = Decimal(0)
        for call in list(self.calls):
            rate = rates[call.model]
            total += (call.prompt_tokens - call.cached_tokens) * rate.prompt
            total += call.cached_tokens * rate.cached + call.completion_tokens * rate.completion
        return total / 1_000_000

    def next_action(self, stage: str) -> Action | None:
        """Return what the script says of this call, None for the right answer."""
        with self._lock:
            script = self._scripts[stage]
            return script.popleft() if script else self._moods.get(stage)

    def hold(self, hold: Hold) -> None:
        """Wait until the test lets this call go on, or the server stops."""
        with self._lock:
            self._held.append(hold)
        hold.reached.set()
        if not self.stopped.is_set():
            hold.until.wait()

    def record(self, stage: str, request: Mapping[str, Any], *, status: int, **usage: int) -> None:
        """Keep what was asked and billed: before the answer goes out, so that who has it can rely on it."""
        with self._lock:
            model = request["model"]
            self.calls.append(ServedCall(stage=stage, model=model, status=status, request=request, **usage))

    def count_cached(self, system: str) -> int:
        """Return how many tokens of a system message are billed as cached: of long ones seen before."""
        n_tokens = llm_mind.count_tokens(system)
        with self._lock:
            is_known = system in self._seen_prompts
            self._seen_prompts.add(system)
        is_long = n_tokens >= CACHE_FROM_TOKENS
        return n_tokens - n_tokens % CACHE_STEP_TOKENS if is_known and is_long else 0


class _HttpServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024
    llm: LlmServer


class _Handler(BaseHTTPRequestHandler):
    """One request per connection (HTTP/1.0), so that no thread outlives its test."""

    server: _HttpServer

    def log_message(self, format: str, *args: object) -> None:
        """Keep stderr clean."""

    def do_POST(self) -> None:
        """Do what the script says of this call."""
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        stage, action = self.admit(request)
        try:
            self.perform(action, stage, request)
        except (BrokenPipeError, ConnectionResetError):
            return  # The caller no longer waits.

    def admit(self, request: Mapping[str, Any]) -> tuple[str, Action | None]:
        """Return whose call this is and what the script says of it, an error if it has no business here."""
        if self.headers["Authorization"] != f"Bearer {self.server.llm.api_key}":
            return "unknown", Fail(401, code="invalid_api_key")
        if self.path not in PATHS:
            return "unknown", Fail(404)
        stage = stage_of(request)
        return stage, self.server.llm.next_action(stage)

    def perform(self, action: Action | None, stage: str, request: Mapping[str, Any]) -> None:
        """Misbehave as told, or answer."""
        llm = self.server.llm
        match action:
            case Fail():
                llm.record(stage, request, status=action.status)
                self.send_error_body(action, request)
            case Picky() if action.refuses(request):
                llm.record(stage, request, status=action.status)
                self.send(action.status, action.body, content_type=action.content_type)
            case Picky():
                self.send_answer(action.then, stage, request)
            case Body():
                llm.record(stage, request, status=200)
                self.send(200, action.content, content_type=action.content_type)
            case Disconnect():
                llm.record(stage, request, status=0)
                if action.is_mid_response:
                    self.send(200, b'{"choices": [', n_missing=1000)
            case Hang():
                llm.record(stage, request, status=0)
                llm.stopped.wait()
            case Drip():
                llm.record(stage, request, status=0)
                self.send(200, b" ", n_missing=1_000_000)
                while not llm.stopped.wait(0.01):
                    self.wfile.write(b" ")
            case Hold():
                llm.hold(action)
                self.perform(action.then, stage, request)
            case Slow():
                llm.stopped.wait(action.seconds)
                self.send_answer(None, stage, request)
            case _:
                self.send_answer(action, stage, request)

    def send_answer(
        self, action: Say | Fenced | Obey | Dressed | None, stage: str, request: Mapping[str, Any]
    ) -> None:
        """Answer rightly, or with the words given, and bill for it."""
        if stage == "embed":
            body, usage = embeddings_of(request)
        else:
            system = request["messages"][0]["content"]
            body, usage = completion_of(said(action, stage, request), request)
            usage["cached_tokens"] = self.server.llm.count_cached(system)
            body["usage"]["prompt_tokens_details"] = {"cached_tokens": usage["cached_tokens"]}
        self.server.llm.record(stage, request, status=200, **usage)
        if isinstance(action, Dressed):
            body["choices"][0]["message"] = action.message(body["choices"][0]["message"])
        sent = json.dumps(body).encode()
        self.send(200, action.body(sent) if isinstance(action, Dressed) else sent)

    def send_error_body(self, action: Fail, request: Mapping[str, Any]) -> None:
        """Answer with an error, as indiscreet as can be."""
        quoted = f"{self.headers['Authorization']} may not send {json.dumps(request)}"
        error = {"message": quoted, "type": "error", "code": action.code, "param": action.param}
        headers = {} if action.retry_after is None else {"Retry-After": str(action.retry_after)}
        self.send(action.status, json.dumps({"error": error}).encode(), headers=headers)

    def send(
        self,
        status: int,
        body: bytes,
        *,
        content_type: str = "application/json",
        n_missing: int = 0,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Send a response that announces `n_missing` bytes more than it has."""
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body) + n_missing))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def completion_of(words: Say, request: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, int]]:
    """Return a Chat Completions response and the tokens it is billed with."""
    n_prompt = sum(llm_mind.count_tokens(message["content"]) + 4 for message in request["messages"])
    n_completion = llm_mind.count_tokens(words.content or words.refusal or "")
    usage = {"prompt_tokens": n_prompt, "completion_tokens": n_completion}
    message = {"role": "assistant", "content": words.content, "refusal": words.refusal}
    body = {
        "id": "chatcmpl-fake",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": request["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": words.finish_reason}],
        "usage": {**usage, "total_tokens": n_prompt + n_completion},
    }
    return body, usage


def embeddings_of(request: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, int]]:
    """Return an embeddings response, its vectors out of order as the protocol allows, and its tokens."""
    texts = request["input"]
    usage = {"prompt_tokens": sum(llm_mind.count_tokens(text) for text in texts)}
    rows = [
        {"object": "embedding", "index": index, "embedding": llm_mind.embed(texts[index])}
        for index in reversed(range(len(texts)))
    ]
    total = {**usage, "total_tokens": usage["prompt_tokens"]}
    return {"object": "list", "model": request["model"], "data": rows, "usage": total}, usage
