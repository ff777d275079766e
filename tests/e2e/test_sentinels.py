"""Fail-overs by Redis Sentinel while two servers answer: no request fails, and nothing flushed comes back."""

import re
from collections.abc import Iterator

import pytest

from tests.e2e.fleet import Fleet, running_fleet, wait_until
from tests.e2e.grounds import LayGround
from tests.e2e.hot_traffic import (
    BACK_WITHIN_S,
    NEW,
    assert_flushed_once,
    assert_old_hits,
    hot_traffic,
    wait_until_well,
)
from tests.e2e.traffic import Traffic
from tests.fakes.llm_server import LlmServer
from tests.fakes.redis_sentinels import DOWN_AFTER_MS, SentinelGroup, asking
from tests.fakes.redis_server import RedisServer

LAGGING_MS = 3000
"""A replica may be cut off for ten times as long and is taken all the same: it is cut off during a flush."""


@pytest.fixture(scope="module")
def group(redis_executable: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SentinelGroup]:
    running = SentinelGroup(redis_executable, tmp_path_factory.mktemp("sentinels"))
    yield running
    running.kill()


@pytest.fixture(scope="module")
def fleet(lay_full: LayGround, llm: LlmServer, group: SentinelGroup) -> Iterator[Fleet]:
    with running_fleet(lay_full(), llm=llm, redis=group.environment, own=[{}, {}]) as running:
        yield running


@pytest.fixture
def traffic(fleet: Fleet, llm: LlmServer) -> Iterator[Traffic]:
    with hot_traffic(fleet, llm) as running:
        yield running


def wait_until_used(server: RedisServer) -> None:
    """Wait until that Redis is asked for entries."""

    def is_used() -> bool:
        with asking(server) as client:
            return "cmdstat_mget" in client.info("commandstats")

    with asking(server) as client:
        client.config_resetstat()
    wait_until(is_used, BACK_WITHIN_S)


def test_hits_go_on_when_sentinels_replace_a_healthy_master(
    fleet: Fleet, llm: LlmServer, group: SentinelGroup, traffic: Traffic
) -> None:
    master = group.fail_over()
    wait_until_used(master)
    wait_until_well(fleet)
    traffic.next(50)
    assert_old_hits(traffic.noted)
    assert llm.calls == []
    group.wait_until_whole()


def test_hits_go_on_when_the_master_dies(
    fleet: Fleet, llm: LlmServer, group: SentinelGroup, traffic: Traffic
) -> None:
    dead = group.master
    dead.kill()
    master = group.wait_for_another_master_than(dead)
    wait_until_used(master)
    wait_until_well(fleet)
    traffic.next(50)
    assert_old_hits(traffic.noted)
    assert llm.calls == []
    group.rejoin(dead)


def test_a_replica_that_missed_a_flush_brings_nothing_back_when_it_is_promoted(
    fleet: Fleet, group: SentinelGroup, traffic: Traffic
) -> None:
    dead = group.master
    group.set_down_after(LAGGING_MS)
    group.stop_replication()
    told = re.search(r"clock (\d+)", fleet.products[0].manage("flush_cache", "--all"))
    assert told
    for replica in group.replicas:
        with asking(replica) as client:
            assert int(client.get("tria:clock") or 0) < int(told[1])
    assert {one.reply.text for one in traffic.next(20) if one.reply} == {NEW}
    dead.kill()
    master = group.wait_for_another_master_than(dead)
    wait_until_used(master)
    wait_until_well(fleet)
    traffic.next(50)
    assert_flushed_once(traffic.noted, fleet.products)
    group.set_down_after(DOWN_AFTER_MS)
    group.allow_replication()
    group.rejoin(dead)
