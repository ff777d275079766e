"""Redis and the database out, frozen, emptied and restored, while two servers answer."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tests.e2e.fleet import APPROVED, Fleet, ask, draft, health, running_fleet, wait_until
from tests.e2e.traffic import Noted, Traffic
from tests.fakes.llm_script import Say
from tests.fakes.llm_server import LlmServer
from tests.fakes.redis_server import RedisServer

HOT = [
    "What's your refund policy?",
    "Do you deliver to Australia?",
    "Is swapping for another size free?",
    "How long will a repair take at most?",
]
OLD = "What was true before."
NEW = "What is true now."

BACK_WITHIN_S = 20.0
"""The breaker asks a Redis that was out again after 15 s at the latest."""

HANGS_S = 2.0
"""No request waits so long for anything that is out."""


@pytest.fixture(scope="module")
def llm() -> Iterator[LlmServer]:
    with LlmServer() as server:
        yield server


@pytest.fixture(scope="module")
def redis(redis_executable: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(redis_executable, tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def fleet(
    tmp_path_factory: pytest.TempPathFactory, prepared_dir: Path, llm: LlmServer, redis: RedisServer
) -> Iterator[Fleet]:
    folder = tmp_path_factory.mktemp("fleet")
    with running_fleet(folder, prepared_dir, llm=llm, redis=redis, own=[{}, {}]) as running:
        yield running


@pytest.fixture
def traffic(fleet: Fleet, llm: LlmServer, redis: RedisServer) -> Iterator[Traffic]:
    """Hits: each product has had each hot question, and has OLD as its answer."""
    with redis.client() as client:
        client.flushall()
    llm.reset()
    say(llm, OLD)
    fleet.products[0].manage("flush_cache", "--all")
    for product in fleet.products:
        for question in HOT:
            ask(product, question)
    llm.reset()
    with Traffic(fleet.products, HOT) as running:
        assert_old_hits(running.next(len(HOT)))
        yield running


def say(llm: LlmServer, text: str) -> None:
    """Let the model reply so to everything, and approve of it."""
    llm.always("generate", Say(draft(text)))
    llm.always("validate", Say(APPROVED))


def assert_old_hits(noted: Iterable[Noted]) -> None:
    for one in noted:
        assert one.reply is not None
        assert (one.reply.status, one.reply.outcome, one.reply.text) == (200, "hit", OLD)
        assert one.took_s < HANGS_S


def states(fleet: Fleet) -> list[str]:
    return [str(health(product)["status"]) for product in fleet.products]


def test_hot_answers_stay_hits_while_redis_is_killed_and_when_it_is_back_empty(
    fleet: Fleet, llm: LlmServer, redis: RedisServer, traffic: Traffic
) -> None:
    redis.kill()
    traffic.next(50)
    assert states(fleet) == ["degraded", "degraded"]
    redis.start()
    wait_until(lambda: states(fleet) == ["ok", "ok"], BACK_WITHIN_S)
    traffic.next(50)
    assert_old_hits(traffic.noted)
    assert llm.calls == []
