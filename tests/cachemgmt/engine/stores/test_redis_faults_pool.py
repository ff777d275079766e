"""More threads than connections, and Redis and the database out at once."""

from collections.abc import Callable, Iterator

import pytest

from tests.cachemgmt.engine.fakes import WITHIN_S, FakeTime, Threads
from tests.cachemgmt.engine.stores.redis_faults import (
    HOLDS_S,
    HOT,
    SAMPLES,
    TRIES,
    Process,
    Scene,
    ask_all,
    summed_up,
)
from tests.cachemgmt.engine.stores.staged import told
from tests.fakes.redis_server import RedisServer

THREADS = 200
POOL = 50
WORDS_HOLD_S = 1.0
"""For how long the database's word holds."""


@pytest.fixture
def scene(start_redis: Callable[..., RedisServer]) -> Iterator[Scene]:
    scene = Scene(start_redis, start_redis())
    yield scene
    scene.close()


def ask_together(process: Process, message_of: Callable[[int], str]) -> list[tuple[str, float]]:
    """Let 200 threads ask at the same moment; return what came of each, and how long it took in seconds."""
    numbers = iter(range(THREADS))
    with Threads(THREADS) as threads:
        calls = threads.start_together(THREADS, lambda: process.timed_ask(message_of(next(numbers))))
        return [call.result(WITHIN_S) for call in calls]


def hot(number: int) -> str:
    return HOT[number % len(HOT)]


@pytest.fixture
def process(scene: Scene) -> Process:
    process = scene.process(socket_timeout=WITHIN_S, socket_connect_timeout=WITHIN_S)
    for message in HOT:
        process.ask(message)
    return process


def test_two_hundred_threads_on_a_pool_of_fifty_get_their_hits(
    process: Process, caplog: pytest.LogCaptureFixture
) -> None:
    held_s = []
    for _ in range(TRIES):
        statuses, p99_s = summed_up(ask_together(process, hot))
        assert statuses == {"hit"}
        held_s.append(p99_s)
    assert min(held_s) <= HOLDS_S
    assert process.fills == dict.fromkeys(HOT, 1)
    assert process.breaker.state == "closed"
    assert told(caplog) == []


def test_two_hundred_different_questions_are_filled_once_each(
    process: Process, caplog: pytest.LogCaptureFixture
) -> None:
    for expected in ("miss", "hit"):
        assert summed_up(ask_together(process, lambda number: f"new {number}"))[0] == {expected}
    assert set(process.fills.values()) == {1}
    assert process.breaker.state == "closed"
    assert told(caplog) == []


def test_one_question_of_two_hundred_threads_is_filled_once(process: Process) -> None:
    statuses = [status for status, _ in ask_together(process, lambda _: "new")]
    assert statuses.count("miss") == 1
    assert set(statuses) <= {"miss", "collapsed", "hit"}
    assert process.fills["new"] == 1


def test_while_all_connections_are_in_use_memory_serves_and_nothing_is_out(
    process: Process, caplog: pytest.LogCaptureFixture
) -> None:
    pool = process.client.connection_pool
    held = [pool.get_connection() for _ in range(POOL)]
    held_s = []
    try:
        assert summed_up(ask_together(process, hot))[0] == {"hit"}
        for attempt in range(TRIES):
            new = [f"new {attempt} {number}" for number in range(SAMPLES)]
            hits, hits_s = ask_all(process, HOT * (SAMPLES // len(HOT)))
            fills, fills_s = ask_all(process, new)
            again, again_s = ask_all(process, new)
            assert (hits, fills, again) == ({"hit"}, {"miss"}, {"hit"})
            held_s.append(max(hits_s, fills_s, again_s))
            if held_s[-1] <= HOLDS_S:
                break
    finally:
        for connection in held:
            pool.release(connection)
    assert min(held_s) <= HOLDS_S
    assert set(process.fills.values()) == {1}
    assert process.breaker.state == "closed"
    assert process.store.health_check() == {"store": "redis", "is_healthy": True, "breaker": "closed"}
    assert told(caplog) == []


def test_with_the_database_out_as_well_answers_are_made_without_reuse(scene: Scene) -> None:
    watch = FakeTime()
    process = scene.process(breaker_time=watch)
    process.ask("hot")
    scene.server.kill()
    scene.decisions.is_out = True
    process.snapshot_time.advance(WORDS_HOLD_S)
    assert process.ask("hot").status == "hit"  # the database's word is not older than a second
    process.snapshot_time.advance(0.01)
    for asked in (2, 3):
        outcome = process.ask("hot")
        assert (outcome.status, outcome.reason) == ("miss", "unconfirmed")
        assert process.fills["hot"] == asked
    scene.decisions.is_out = False
    process.snapshot_time.advance(WORDS_HOLD_S)
    assert process.ask("hot").status == "hit"  # Redis is still out
    assert process.fills["hot"] == 3


def test_with_the_database_out_redis_alone_confirms_what_is_known(scene: Scene) -> None:
    process = scene.process()
    process.ask("hot")
    scene.decisions.is_out = True
    process.snapshot_time.advance(WORDS_HOLD_S + 1)
    assert process.ask("hot").status == "hit"
    with scene.operator() as redis:
        redis.flushall()
    assert process.ask("hot").reason == "unconfirmed"
