"""Redis and the database out, frozen, emptied and restored, while two servers answer."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.fleet import Fleet, running_fleet, wait_until
from tests.e2e.grounds import LayGround
from tests.e2e.hot_traffic import (
    HANGS_S,
    LEARNT_WITHIN_S,
    NEW,
    OLD,
    assert_flushed_once,
    assert_old_hits,
    hot_traffic,
    states,
    wait_until_well,
)
from tests.e2e.traffic import Traffic
from tests.fakes.llm_server import LlmServer
from tests.fakes.redis_server import RedisServer

CLOCK = "tria:clock"


@pytest.fixture(scope="module")
def fleet(lay_ground: LayGround, llm: LlmServer, redis: RedisServer) -> Iterator[Fleet]:
    client = redis.client()
    client.flushall()  # the clock of the other ground's database
    client.connection_pool.disconnect()
    with running_fleet(lay_ground(), llm=llm, redis={"REDIS_URL": redis.url}, own=[{}, {}]) as running:
        yield running


@pytest.fixture
def traffic(fleet: Fleet, llm: LlmServer) -> Iterator[Traffic]:
    with hot_traffic(fleet, llm) as running:
        yield running


def assert_memory_serves(fleet: Fleet) -> None:
    for status, breaker in states(fleet):
        assert status == "degraded"
        assert breaker in {"open", "half-open"}  # half-open while one request tries


@contextmanager
def killed(redis: RedisServer) -> Iterator[None]:
    """Redis is gone meanwhile, and starts again empty."""
    redis.kill()
    try:
        yield
    finally:
        redis.start()


def test_hot_answers_stay_hits_while_redis_is_gone_and_when_it_is_back_empty(
    fleet: Fleet, llm: LlmServer, redis: RedisServer, traffic: Traffic
) -> None:
    with killed(redis):
        traffic.next(50)
        assert_memory_serves(fleet)
    wait_until_well(fleet)
    traffic.next(50)
    assert_old_hits(traffic.noted)
    assert llm.calls == []


def test_hot_answers_stay_hits_while_redis_is_frozen(
    fleet: Fleet, llm: LlmServer, redis: RedisServer, traffic: Traffic
) -> None:
    redis.freeze()
    try:
        traffic.next(50)
        assert_memory_serves(fleet)
    finally:
        redis.thaw()
    wait_until_well(fleet)
    traffic.next(50)
    assert_old_hits(traffic.noted)
    assert llm.calls == []


def test_hot_answers_stay_hits_when_redis_is_emptied(
    llm: LlmServer, redis: RedisServer, traffic: Traffic
) -> None:
    client = redis.client()
    assert client.flushall()
    traffic.next(50)
    assert_old_hits(traffic.noted)
    assert llm.calls == []
    wait_until(lambda: client.get(CLOCK) is not None, LEARNT_WITHIN_S)
    client.connection_pool.disconnect()


def test_a_flush_while_redis_is_gone_holds_at_once_and_when_redis_is_back_with_its_old_entries(
    fleet: Fleet, redis: RedisServer, traffic: Traffic
) -> None:
    redis.save_rdb()
    redis.kill()
    try:
        traffic.next(10)
        told = fleet.products[0].manage("flush_cache", "--all")
        since_flush = traffic.next(50)
        assert {one.reply.text for one in since_flush if one.reply} == {NEW}
    finally:
        redis.restart_from_rdb()
    wait_until_well(fleet)
    traffic.next(50)
    assert_flushed_once(traffic.noted, fleet.products)
    flushed_at = re.search(r"clock (\d+)", told)
    assert flushed_at
    with redis.client() as client:
        wait_until(lambda: int(client.get(CLOCK) or 0) >= int(flushed_at[1]), LEARNT_WITHIN_S)
        client.connection_pool.disconnect()


def test_hot_answers_stay_hits_while_only_the_database_is_out(
    fleet: Fleet, llm: LlmServer, traffic: Traffic
) -> None:
    with fleet.ground.database_out():
        wait_until(lambda: states(fleet) == [("down", "closed")] * 2, LEARNT_WITHIN_S)
        traffic.next(50)
    wait_until_well(fleet)
    assert_old_hits(traffic.noted)
    assert llm.calls == []


def test_without_redis_and_database_answers_are_made_without_reuse_until_they_are_back(
    fleet: Fleet, redis: RedisServer, traffic: Traffic
) -> None:
    with killed(redis), fleet.ground.database_out():
        wait_until(lambda: all(one.reply and one.reply.outcome == "miss" for one in traffic.next(1)), HANGS_S)
        unconfirmed = traffic.next(20)
        assert {status for status, _ in states(fleet)} == {"down"}
    wait_until_well(fleet)
    traffic.next(20)
    again = traffic.next(20)
    noted = traffic.noted
    assert {one.reply.status if one.reply else None for one in noted} == {200}
    assert {(one.reply.outcome, one.reply.text) for one in unconfirmed if one.reply} == {("miss", NEW)}
    assert {one.reply.outcome for one in again if one.reply} == {"hit"}
    assert {one.reply.text for one in noted if one.reply} == {OLD, NEW}
    assert max(one.took_s for one in noted) < HANGS_S
