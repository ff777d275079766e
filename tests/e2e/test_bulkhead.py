"""The bulkhead of a real server: what waits for the language model holds up nothing else."""

import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.e2e.conftest import Product
from tests.e2e.fleet import Asking, ask, health, running_fleet, send_at_once, wait_for_replies, wait_until
from tests.e2e.grounds import LayGround
from tests.fakes.llm_script import Hold, Slow
from tests.fakes.llm_server import LlmServer
from tests.fakes.redis_server import RedisServer

SLOTS = 8
THREADS = 56
PLACES = THREADS * 3 // 4
N_CONVERSATIONS = 40
N_TOO_MANY = 60
AT_ONCE_S = 1.0
"""A hit takes milliseconds; so long, where processors are shared with others."""

HOT = "What's your refund policy?"
OTHER = "Do you ship to Norway?"


@pytest.fixture(scope="module")
def shared_product(lay_full: LayGround, redis: RedisServer, llm: LlmServer) -> Iterator[Product]:
    own = {"LLM_SLOTS": str(SLOTS), "WEB_THREADS": str(THREADS)}
    with running_fleet(lay_full(), llm=llm, redis={"REDIS_URL": redis.url}, own=[own]) as fleet:
        yield fleet.products[0]


@pytest.fixture
def product(shared_product: Product, llm: LlmServer) -> Iterator[Product]:
    """A running product, and a model that works and has not been asked anything yet."""
    llm.reset()
    yield shared_product
    llm.reset()


def taken(product: Product) -> dict[str, int]:
    """Return what is taken of the bulkhead."""
    facts = health(product)["bulkhead"]
    return {name: facts[name] for name in ("calling", "queued", "admitted")}


def test_conversations_that_differ_and_ask_the_same_are_all_answered_by_one_generation(
    product: Product, llm: LlmServer
) -> None:
    for stage in ("classify", "generate", "validate"):
        llm.always(stage, Slow(0.3))
    question = "Does the guarantee still count if I use the mixer in my café?"
    asked = send_at_once(
        Asking(product, question, history=[f"I bought {number} mugs from you"])
        for number in range(N_CONVERSATIONS)
    )
    replies = [asking.reply() for asking in asked]
    assert {reply.status for reply in replies} == {200}
    assert len({reply.text for reply in replies}) == 1
    assert Counter(call.stage for call in llm.calls) == {"classify": 1, "generate": 1, "validate": 1}
    assert {reply.outcome for reply in replies} <= {"miss", "collapsed", "hit"}
    assert taken(product) == {"calling": 0, "queued": 0, "admitted": 0}


def test_bodies_that_never_end_hold_up_no_hits(product: Product) -> None:
    hot = ask(product, OTHER)
    head = (
        b"POST /api/chat HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        b'Content-Length: 100\r\n\r\n{"message": '
    )
    with ExitStack() as open_sockets:
        for _ in range(THREADS // 4):
            client = open_sockets.enter_context(socket.create_connection(("127.0.0.1", product.port), 5))
            client.sendall(head)
        for _ in range(20):
            began = time.monotonic()
            assert ask(product, OTHER).text == hot.text
            assert time.monotonic() - began < AT_ONCE_S


def test_past_its_places_a_server_refuses_at_once_and_hits_are_answered_all_the_same(
    product: Product, llm: LlmServer
) -> None:
    hot = ask(product, HOT)
    hold = Hold()
    llm.always("classify", hold)
    asked = send_at_once(
        Asking(product, f"How long does a parcel to island {number} usually take?")
        for number in range(N_TOO_MANY)
    )
    refused = wait_for_replies(asked, N_TOO_MANY - PLACES)
    assert taken(product) == {"calling": SLOTS, "queued": PLACES - SLOTS, "admitted": PLACES}
    for asking in refused:
        reply = asking.reply()
        assert (reply.status, reply.text) == (503, "urn:tria:problem:overloaded")
        assert int(reply.headers["retry-after"]) > 0

    for _ in range(50):
        began = time.monotonic()
        hit = ask(product, HOT)
        assert (hit.status, hit.outcome, hit.text) == (200, "hit", hot.text)
        assert time.monotonic() - began < AT_ONCE_S

    hold.until.set()
    admitted = [asking.reply() for asking in asked if asking not in refused]
    assert [reply.status for reply in admitted] == [200] * PLACES
    assert len([call for call in llm.calls if call.stage == "classify"]) == PLACES + 1
    wait_until(lambda: not any(taken(product).values()), within_s=5)
