"""Answers by server-sent events from a running product, over real connections."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

import pytest

from chat.http.streaming import KEEP_ALIVE_S
from tests.e2e.conftest import Product
from tests.e2e.fleet import REPLY_WITHIN_S, Asking, ask, health, running_fleet, send_at_once, wait_until
from tests.e2e.grounds import LayGround
from tests.fakes.llm_script import Fail, Hold
from tests.fakes.llm_server import LlmServer
from tests.fakes.redis_server import RedisServer

WEB_THREADS = 16
PLACES = WEB_THREADS * 3 // 4
GRACE_S = 2.0
"""By how much later than a keep-alive a server may notice something, on a machine that is busy."""

Event = tuple[str, dict[str, Any]]


@pytest.fixture(scope="module")
def shared_product(lay_full: LayGround, redis: RedisServer, llm: LlmServer) -> Iterator[Product]:
    own = {"WEB_THREADS": str(WEB_THREADS)}
    with running_fleet(lay_full(), llm=llm, redis={"REDIS_URL": redis.url}, own=[own]) as fleet:
        yield fleet.products[0]


@pytest.fixture
def product(shared_product: Product, llm: LlmServer) -> Iterator[Product]:
    """A running product whose log stays free of tracebacks, and a model that works."""
    llm.reset()
    logged = len(shared_product.log.read_text())
    yield shared_product
    llm.reset()
    wait_until(lambda: health(shared_product)["bulkhead"]["admitted"] == 0, within_s=REPLY_WITHIN_S)
    assert "Traceback" not in shared_product.log.read_text()[logged:]


class Stream:
    """A response of events, read one by one as they come."""

    def __init__(self, response: HTTPResponse) -> None:
        self.response = response

    def event(self) -> Event | None:
        """Wait for the next event and return it; None at the end of the stream."""
        name = ""
        while line := self.response.readline().decode():
            if line.startswith("event: "):
                name = line.removeprefix("event: ").strip()
            elif line.startswith("data: "):
                assert self.response.readline() == b"\n"
                return name, json.loads(line.removeprefix("data: "))
        return None

    def stage(self) -> str:
        """Wait for the next event, a stage's, and return which."""
        found = self.event()
        assert found
        name, data = found
        assert name == "stage"
        return str(data["stage"])

    def rest(self) -> list[Event]:
        """Return all that is still to come."""
        return list(iter(self.event, None))


def body_of(question: str) -> str:
    return json.dumps({"message": question})


REQUEST_HEADERS = {"Content-Type": "application/json", "Accept": "text/event-stream"}


@contextmanager
def streamed(product: Product, question: str) -> Iterator[Stream]:
    """Ask for events; at the end, hang up."""
    connection = HTTPConnection("127.0.0.1", product.port, timeout=REPLY_WITHIN_S)
    with closing(connection):
        connection.request("POST", "/api/chat", body_of(question), REQUEST_HEADERS)
        response = connection.getresponse()
        assert response.status == 200
        yield Stream(response)


def n_threads(product: Product, name: str = "") -> int:
    """Return how many threads the product's processes have; with a name, how many so named."""
    assert product.process
    tasks = [
        task
        for folder in Path("/proc").glob("[0-9]*")
        if _group(folder) == product.process.pid
        for task in (folder / "task").iterdir()
    ]
    return len(tasks) if not name else sum(_name(task) == name for task in tasks)


def _name(task: Path) -> str:
    """Return a thread's name; nothing if it has just ended."""
    with suppress(OSError):
        return (task / "comm").read_text().strip()
    return ""


def _group(folder: Path) -> int | None:
    try:
        return int((folder / "stat").read_text().rpartition(")")[2].split()[2])
    except (OSError, IndexError, ValueError):
        return None


def test_each_stage_is_told_while_it_begins_and_the_answer_ends_the_stream(
    product: Product, llm: LlmServer
) -> None:
    held = {stage: Hold() for stage in ("classify", "generate", "validate")}
    for stage, hold in held.items():
        llm.script(stage, hold)
    with streamed(product, "How long does a refund usually take?") as stream:
        assert [stream.stage() for _ in range(2)] == ["lookup", "classify"]
        assert held["classify"].reached.wait(10)
        held["classify"].until.set()
        assert [stream.stage() for _ in range(2)] == ["retrieve", "generate"]
        assert held["generate"].reached.wait(10)
        held["generate"].until.set()
        assert stream.stage() == "validate"
        held["validate"].until.set()
        [(name, answer)] = stream.rest()
    assert (name, answer["cache"]["status"]) == ("answer", "miss")
    headers = stream.response.headers
    assert headers["Content-Type"] == "text/event-stream"
    assert (headers["Cache-Control"], headers["X-Accel-Buffering"]) == ("no-store", "no")
    with streamed(product, "How long does a refund usually take?") as stream:
        [(name, again)] = stream.rest()
    assert (name, again["cache"]["status"], again["answer"]) == ("answer", "hit", answer["answer"])


def test_a_problem_in_the_middle_ends_the_stream(product: Product, llm: LlmServer) -> None:
    llm.always("generate", Fail(401))
    with streamed(product, "Can lamps be returned once they were lit?") as stream:
        told = stream.rest()
    assert [data.get("stage") for _, data in told] == ["lookup", "classify", "retrieve", "generate", None]
    name, problem = told[-1]
    assert (name, problem["type"]) == ("problem", "urn:tria:problem:provider-misconfigured")
    assert problem["status"] == 502


def test_a_client_that_hangs_up_frees_his_thread_and_the_fill_goes_on(
    product: Product, llm: LlmServer
) -> None:
    question = "How much do you charge for delivery in England?"
    ask(product, "When does a gift card run out?")
    before = n_threads(product)
    llm.reset()
    hold = Hold()
    llm.script("generate", hold)
    with streamed(product, question) as stream:
        assert [stream.stage() for _ in range(4)] == ["lookup", "classify", "retrieve", "generate"]
        assert hold.reached.wait(10)
    waiting = send_at_once([Asking(product, question)])
    wait_until(lambda: health(product)["bulkhead"]["admitted"] == 2, within_s=REPLY_WITHIN_S)
    hold.until.set()
    collapsed = waiting[0].reply()
    assert (collapsed.status, collapsed.outcome) == (200, "collapsed")
    assert ask(product, question).outcome == "hit"
    assert len(llm.calls_of("generate")) == 1
    wait_until(lambda: n_threads(product, "tria-stream") == 0, within_s=REPLY_WITHIN_S)
    wait_until(lambda: n_threads(product) <= before, within_s=REPLY_WITHIN_S)


def test_as_many_clients_as_there_are_threads_may_hang_up_and_others_are_served(
    product: Product, llm: LlmServer
) -> None:
    hold = Hold()
    llm.always("classify", hold)
    ask_hot = "What's your refund policy?"
    for number in range(WEB_THREADS - 1):
        with streamed(product, f"How long does a parcel to island {number} take?") as stream:
            assert stream.stage() == "lookup"
    gone_at = time.monotonic()
    waiting = send_at_once([Asking(product, ask_hot, cache_control="only-if-cached") for _ in range(4)])
    # All but one thread may still serve those who are gone; within a keep-alive they are free again.
    replies = [asking.reply() for asking in waiting]
    assert time.monotonic() - gone_at < KEEP_ALIVE_S + GRACE_S
    assert {reply.status for reply in replies} <= {200, 503, 504}
    assert health(product)["bulkhead"]["admitted"] == PLACES
    hold.until.set()


def test_past_the_places_a_stream_is_refused_by_a_problem(product: Product, llm: LlmServer) -> None:
    hold = Hold()
    llm.always("classify", hold)
    for number in range(PLACES):
        with streamed(product, f"What does delivery to village {number} cost?") as stream:
            assert [stream.stage() for _ in range(2)] == ["lookup", "classify"]
    wait_until(lambda: health(product)["bulkhead"]["admitted"] == PLACES, within_s=REPLY_WITHIN_S)
    with streamed(product, "What does delivery to one more village cost?") as stream:
        *_, (name, problem) = stream.rest()
    assert (name, problem["status"], problem["retry_after_s"]) == ("problem", 503, 5)
    assert health(product)["bulkhead"]["admitted"] == PLACES
    hold.until.set()


def test_who_waits_is_kept_company_and_collapses(product: Product, llm: LlmServer) -> None:
    hold = Hold()
    llm.script("classify", hold)
    question = "How long does a parcel to Germany usually take?"
    with streamed(product, question) as first, streamed(product, question) as second:
        assert hold.reached.wait(10)
        assert [second.stage() for _ in range(2)] == ["lookup", "classify"]
        waits_since = time.monotonic()
        assert second.response.readline() == b": keep-alive\n"
        assert time.monotonic() - waits_since < KEEP_ALIVE_S + GRACE_S
        hold.until.set()
        answers = [stream.rest()[-1] for stream in (first, second)]
    assert [name for name, _ in answers] == ["answer", "answer"]
    assert {data["cache"]["status"] for _, data in answers} <= {"miss", "collapsed", "hit"}
    assert len(llm.calls_of("generate")) == 1


def test_a_client_that_reads_slowly_gets_everything_and_holds_up_nobody(
    product: Product, llm: LlmServer
) -> None:
    """What a stream holds fits into the connection's buffers: the server does not wait for the reader."""
    question = "Which cards do you take in Britain?"
    with closing(socket.socket()) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        sock.settimeout(REPLY_WITHIN_S)
        sock.connect(("127.0.0.1", product.port))
        body = body_of(question)
        headers = {"Host": "127.0.0.1", "Content-Length": str(len(body)), "Connection": "close"}
        lines = [f"{name}: {value}" for name, value in (REQUEST_HEADERS | headers).items()]
        sock.sendall("\r\n".join(["POST /api/chat HTTP/1.1", *lines, "", body]).encode())
        wait_until(lambda: len(llm.calls_of("validate")) == 1, within_s=REPLY_WITHIN_S)
        wait_until(lambda: n_threads(product, "tria-stream") == 0, within_s=REPLY_WITHIN_S)
        assert ask(product, question).outcome == "hit"
        received = bytearray()
        while part := sock.recv(100):
            received += part
    text = received.decode()
    assert [text.count(f'"stage":"{stage}"') for stage in ("lookup", "classify", "generate")] == [1, 1, 1]
    assert text.count("event: answer") == 1
