"""Several products over one database, one Redis and one language model, and a client that asks at once."""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from selectors import EVENT_READ, DefaultSelector
from typing import Any

from tests.e2e.conftest import Product
from tests.e2e.grounds import Ground
from tests.fakes.llm_server import LlmServer

REPLY_WITHIN_S = 40.0
"""Longer than any answer here may take; who waits so long would wait for ever."""

POLL_S = 0.02
APPROVED = '{"is_supported": true, "objections": []}'
"""What the model that validates says of a reply which the fake would not find in the passages."""


def draft(text: str) -> str:
    """Return what the model that writes says for this reply, with a passage cited."""
    return json.dumps({"reply": text, "cited": [0]})


@dataclass(frozen=True, kw_only=True)
class Reply:
    """A response to a question: an answer or a problem. Headers' names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: Mapping[str, Any]

    @property
    def text(self) -> str:
        """The answer; for a problem, its type."""
        return str(self.body.get("answer", self.body.get("type")))

    @property
    def outcome(self) -> str | None:
        """How the answer came about: "hit", "miss", …; None for a problem."""
        return str(self.body["cache"]["status"]) if "cache" in self.body else None


class Asking:
    """A question on its way, on a connection of its own. Sent at once; its reply is read when wanted."""

    def __init__(
        self, product: Product, message: str, *, history: Sequence[str] = (), cache_control: str = ""
    ) -> None:
        """`history`: what the customer has said before."""
        self._connection = HTTPConnection("127.0.0.1", product.port, timeout=REPLY_WITHIN_S)
        self._connection.connect()
        turns = [{"role": "user", "content": text} for text in history]
        self._body = json.dumps({"message": message, "history": turns})
        self._headers = {"Content-Type": "application/json", "Connection": "close"}
        if cache_control:
            self._headers["Cache-Control"] = cache_control

    def send(self) -> None:
        """Send it; the connection is there already."""
        self._connection.request("POST", "/api/chat", self._body, self._headers)

    def reply(self) -> Reply:
        """Wait for the reply. Raises OSError or HTTPException if the product goes away before it comes."""
        try:
            response = self._connection.getresponse()
            headers = {name.lower(): value for name, value in response.getheaders()}
            return Reply(status=response.status, headers=headers, body=json.loads(response.read()))
        finally:
            self._connection.close()

    def give_up(self) -> None:
        """Hang up."""
        self._connection.close()

    def fileno(self) -> int:
        """The connection's, for `select`."""
        return self._connection.sock.fileno()


def ask(product: Product, message: str, *, cache_control: str = "") -> Reply:
    """Ask one question and wait for the reply."""
    asking = Asking(product, message, cache_control=cache_control)
    asking.send()
    return asking.reply()


def send_at_once(askings: Iterable[Asking]) -> list[Asking]:
    """Send all of them, when all connections are open. No client thread is needed to wait for the replies."""
    opened = list(askings)
    for asking in opened:
        asking.send()
    return opened


def wait_for_replies(askings: Sequence[Asking], count: int) -> list[Asking]:
    """Wait until for so many the reply has come; return those. The others go on waiting."""
    answered: list[Asking] = []
    with DefaultSelector() as waiting:  # select() takes no descriptor above 1023
        for asking in askings:
            waiting.register(asking, EVENT_READ, asking)

        def are_enough() -> bool:
            answered[:] = [key.data for key, _ in waiting.select(0)]
            return len(answered) >= count

        wait_until(are_enough, REPLY_WITHIN_S)
    return answered


def wait_until(holds: Callable[[], bool], within_s: float) -> None:
    """Return as soon as the condition holds; fail when it does not within that time."""
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, f"not within {within_s:g} s"
        time.sleep(POLL_S)


def health(product: Product) -> dict[str, Any]:
    """Return what the product says of itself."""
    connection = HTTPConnection("127.0.0.1", product.port, timeout=REPLY_WITHIN_S)
    try:
        connection.request("GET", "/api/health")
        body: dict[str, Any] = json.load(connection.getresponse())
        return body
    finally:
        connection.close()


class Fleet:
    """Products that share a database, a Redis and a language model, each its own process and port."""

    def __init__(self, ground: Ground, shared: Mapping[str, str], own: Sequence[Mapping[str, str]]) -> None:
        """`own`: what else each product's environment has."""
        self.ground = ground
        self.products = [
            Product(
                data_dir=ground.data_dir,
                environment={**ground.environment, **shared, **one},
                arguments=(),
            )
            for one in own
        ]

    def make_whole(self) -> None:
        """Start those that do not run, all together, and return when they have loaded all they need."""
        missing = [product for product in self.products if product.process is None]
        for product in missing:
            product.launch()
        for product in missing:
            product.wait_until_ready()

    def stop(self) -> None:
        for product in self.products:
            product.stop()


@contextmanager
def running_fleet(
    ground: Ground,
    *,
    llm: LlmServer,
    redis: Mapping[str, str],
    own: Sequence[Mapping[str, str]],
) -> Iterator[Fleet]:
    """Run a product for each environment in `own`, over the Redis that `redis` tells of, asking `llm`."""
    shared = {
        **redis,
        "WEB_WORKERS": "1",  # each process is a product, so that one can be killed or frozen alone
        "LLM_PROVIDER": "openai",
        "OPENAI_API_KEY": llm.api_key,
        "OPENAI_BASE_URL": llm.base_url,
        "OPENAI_TIMEOUT_S": "60",
        "EMBEDDER": "minilm",
    }
    fleet = Fleet(ground, shared, own)
    try:
        fleet.make_whole()
        yield fleet
    finally:
        fleet.stop()
