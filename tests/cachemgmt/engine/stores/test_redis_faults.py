"""Whatever goes wrong with Redis: no request fails or is held up, and nothing is paid for twice."""

from collections.abc import Callable, Iterator

import pytest

from cachemgmt.engine.filling.lease import LEASE_S
from cachemgmt.engine.reuse.knowledge import CLOCK_NAME
from cachemgmt.engine.stores.failover import LATEST, SETTLED_S
from tests.cachemgmt.engine.fakes import FakeTime, make_key
from tests.cachemgmt.engine.stores.redis_faults import (
    FAULTS,
    HOLDS_S,
    HOT,
    SAMPLES,
    TRIES,
    Fault,
    Scene,
    ask_all,
)
from tests.cachemgmt.engine.stores.staged import told
from tests.fakes.redis_proxy import RedisProxy
from tests.fakes.redis_server import RedisServer

LONGEST_OPEN_S = 15
PATIENT = {"socket_timeout": 0.4, "socket_connect_timeout": 0.4, "timeout": 0.4}
"""Where the machine may be busy, and the test is not of how long anything takes."""

with_each = pytest.mark.parametrize("fault", FAULTS, ids=str)
with_each_outage = pytest.mark.parametrize("fault", [one for one in FAULTS if one.is_outage], ids=str)
with_each_other = pytest.mark.parametrize("fault", [one for one in FAULTS if not one.is_outage], ids=str)


@pytest.fixture
def scene(fault: Fault, start_redis: Callable[..., RedisServer]) -> Iterator[Scene]:
    server = start_redis(password=fault.password)
    scene = Scene(start_redis, server)
    if fault.needs_proxy:
        scene.proxy = RedisProxy(server)
        scene.proxy.start()
    yield scene
    scene.close()


@with_each
def test_no_request_fails_or_is_held_up_and_nothing_is_filled_twice(fault: Fault, scene: Scene) -> None:
    scene.server.save_rdb()
    process = scene.process()
    assert ask_all(process, HOT)[0] == {"miss"}
    fault.strike(scene)
    held_s: dict[str, float] = {}
    asked = list(HOT)
    for attempt in range(TRIES):
        new = [f"new {attempt} {number}" for number in range(SAMPLES)]
        statuses, held_s["hits"] = ask_all(process, HOT * (SAMPLES // len(HOT)))
        assert statuses == {"hit"}
        statuses, held_s["fills"] = ask_all(process, new)
        assert statuses == {"miss"}
        statuses, held_s["hits of what was filled meanwhile"] = ask_all(process, new)
        assert statuses == {"hit"}
        asked += new
        if max(held_s.values()) <= HOLDS_S:
            break
    fault.heal(scene)
    assert ask_all(process, asked)[0] == {"hit"}
    assert process.fills == dict.fromkeys(asked, 1)
    assert max(held_s.values()) <= HOLDS_S, held_s


@with_each
def test_what_was_filled_before_and_meanwhile_is_shared_afterwards(fault: Fault, scene: Scene) -> None:
    scene.server.save_rdb()
    watch = FakeTime()
    process, other = (scene.process(breaker_time=watch, **PATIENT) for _ in range(2))
    messages = HOT[:6]
    for message in messages[:3]:
        process.ask(message)
    fault.strike(scene)
    for message in messages:
        process.ask(message)
    fault.heal(scene)
    watch.advance(LONGEST_OPEN_S)
    for message in messages:
        assert process.ask(message).status == "hit"
    assert {other.ask(message).status for message in messages} == {"hit"}
    assert not other.fills


@pytest.mark.parametrize("fault", [one for one in FAULTS if one.name in {"slow-80ms", "slow-140ms"}], ids=str)
def test_nobody_waits_for_a_lease_that_a_slow_redis_is_not_asked_to_end(fault: Fault, scene: Scene) -> None:
    process, other = (scene.process(**PATIENT) for _ in range(2))
    fault.strike(scene)
    for message in HOT[:LATEST]:  # until both know that it is slow
        process.has(message)
        other.has(message)
    process.ask("new")
    with scene.operator() as redis:
        assert not redis.exists(f"tria:{make_key('new').lease_name}")
    _, took_s = other.timed_ask("new")
    assert took_s < LEASE_S / 2
    assert other.fills["new"] == (1 if fault.is_at_the_edge else 0)  # what it was not asked to keep


@with_each_outage
def test_an_outage_opens_the_breaker_for_longer_and_longer_and_one_answer_closes_it(
    fault: Fault, scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    watch = FakeTime()
    process = scene.process(breaker_time=watch)
    process.ask("hot")
    assert process.store.health_check() == {"store": "redis", "is_healthy": True, "breaker": "closed"}

    def asked_by(looks: int) -> int:
        before = process.asked
        assert all(process.has("hot") for _ in range(looks))
        return process.asked - before

    fault.strike(scene)
    assert asked_by(10) == 3
    health = process.store.health_check()
    assert health.pop("detail").startswith("Redis cannot be reached: ")  # type: ignore[attr-defined]
    assert health == {"store": "memory", "instead_of": "redis", "is_healthy": False, "breaker": "open"}
    for open_s in (1, 2, 4, 8, 15, 15):
        watch.advance(open_s - 0.01)
        assert asked_by(3) == 0
        watch.advance(0.01)
        assert asked_by(3) == 1
    assert told(caplog) == ["failover"]

    fault.heal(scene)
    assert asked_by(3) == 0
    watch.advance(LONGEST_OPEN_S)
    assert asked_by(3) >= 3
    assert process.store.health_check() == {"store": "redis", "is_healthy": True, "breaker": "closed"}
    assert told(caplog) == ["failover", "recover"]


@with_each_other
def test_what_is_no_outage_leaves_the_breaker_closed_and_a_refusal_is_told_once(
    fault: Fault, scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    scene.server.save_rdb()
    store_time = FakeTime()
    process = scene.process(store_time=store_time, **PATIENT)
    process.ask("hot")
    fault.strike(scene)
    for message in [*HOT[:5], *HOT[:5], "hot"]:
        process.ask(message)
        process.learn()
    health = process.store.health_check()
    assert health["store"] == "redis"
    assert health["breaker"] == "closed"
    assert health["is_healthy"] is not fault.refuses
    assert str(health.get("detail", "")).startswith("Redis refused: " if fault.refuses else "")
    assert told(caplog) == ["refuse"] * fault.refuses

    fault.heal(scene)
    store_time.advance(SETTLED_S)
    process.ask("another")
    assert process.store.health_check() == {"store": "redis", "is_healthy": True, "breaker": "closed"}
    assert told(caplog) == ["refuse", "accept"] * fault.refuses


@with_each
def test_nothing_flushed_is_served_before_during_and_after(fault: Fault, scene: Scene) -> None:
    """Flushes that Redis is told of are seen at the next look-up, the others when the database is asked."""
    watch = FakeTime()
    processes = [scene.process(breaker_time=watch) for _ in range(2)]
    messages = [f"{when}, {how}" for when in ("before", "during", "after") for how in ("told", "untold")]
    for message in [*messages, "never"]:
        assert {process.ask(message).value for process in processes} == {f"made for {message}"}
    scene.server.save_rdb()  # with the clock of now, and all that will be flushed
    flushed: list[str] = []

    def flush(when: str, *, is_seen: bool) -> None:
        for how in ("told", "untold"):
            message = f"{when}, {how}"
            clock = scene.decisions.flush(message)
            flushed.append(message)
            if how == "told":
                processes[0].store.raise_number(CLOCK_NAME, clock)
            if how == "untold" or not is_seen:
                for process in processes:
                    process.learn()
            look()

    def look() -> None:
        for process in processes:
            assert [message for message in flushed if process.has(message)] == []
        assert processes[0].has("never")

    flush("before", is_seen=True)
    fault.strike(scene)
    look()
    flush("during", is_seen=False)
    look()
    fault.heal(scene)
    look()
    watch.advance(LONGEST_OPEN_S)
    look()
    processes.append(scene.process(**PATIENT))  # it knows nothing but what the database and Redis hold
    look()
    flush("after", is_seen=True)
    with scene.operator() as redis:
        assert redis.get(f"tria:{CLOCK_NAME}") == str(scene.decisions.truth.clock).encode()
