"""Redis in front, memory behind: no store error ever leaves it, and each change is told once."""

import pytest

from cachemgmt.engine.errors import StoreBusy, StoreRefused, StoreUnavailable
from cachemgmt.engine.stores.failover import SETTLED_S
from tests.cachemgmt.engine.fakes import WITHIN_S, Threads
from tests.cachemgmt.engine.stores.staged import Stage, told

OUT, BACK, REFUSES, ACCEPTS = "failover", "recover", "refuse", "accept"


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_memory_serves_what_the_first_fails_to(stage: Stage) -> None:
    stage.store.set("written", b"w", 60)
    stage.store.note("read", b"r")
    stage.first.fails = {"*": StoreUnavailable()}
    assert stage.store.get_many(["written", "read"]) == [b"w", b"r"]
    stage.store.set("later", b"l", 60)
    assert stage.store.get("later") == b"l"
    assert sorted(stage.store.names()) == ["later", "read", "written"]
    assert stage.store.exists("later")
    assert stage.store.delete(["later"]) == stage.store.clear_all("written") == 1


def test_after_three_failures_the_first_is_left_alone_for_a_second(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    stage.first.fails = {"*": StoreUnavailable()}
    for _ in range(10):
        stage.store.get("a")
    assert len(stage.first.asked) == 3
    stage.watch.advance(0.99)
    stage.store.get("a")
    assert len(stage.first.asked) == 3
    stage.watch.advance(0.01)
    stage.store.get("a")
    stage.store.get("a")
    assert len(stage.first.asked) == 4
    assert told(caplog) == [OUT]


def test_one_answer_closes_the_breaker(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    stage.first.kept.set("a", b"first's", 60)
    stage.first.fails = {"*": StoreUnavailable()}
    for _ in range(3):
        assert stage.store.get("a") is None
    stage.first.fails = {}
    assert stage.store.get("a") is None
    stage.watch.advance(1)
    assert stage.store.get("a") == b"first's"
    assert stage.store.get("a") == b"first's"
    assert stage.breaker.state == "closed"
    assert told(caplog) == [OUT, BACK]


def test_one_asks_whether_it_is_back_while_the_others_stay_with_memory(stage: Stage) -> None:
    stage.first.fails = {"*": StoreUnavailable()}
    for _ in range(3):
        stage.store.get("a")
    stage.first.fails = {}
    stage.watch.advance(1)
    stage.memory.set("a", b"memory's", 60)
    others: list[bytes | None] = []

    def read_in_other_threads() -> None:
        with Threads() as threads:
            calls = threads.start_together(20, lambda: stage.store.get("a"))
            others.extend(call.result(WITHIN_S) for call in calls)

    stage.first.meanwhile = read_in_other_threads
    asked = len(stage.first.asked)
    stage.store.get("a")
    assert others == [b"memory's"] * 20
    assert len(stage.first.asked) == asked + 1


def test_many_threads_that_learn_of_an_outage_tell_it_once(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    stage.first.fails = {"*": StoreUnavailable()}
    with Threads() as threads:
        calls = threads.start_together(50, lambda: stage.store.get("a"))
    assert [call.result() for call in calls] == [None] * 50
    assert told(caplog) == [OUT]


def test_asking_for_nothing_tells_nothing_of_the_first(stage: Stage) -> None:
    stage.first.fails = {"*": StoreUnavailable()}
    for _ in range(3):
        stage.store.get("a")
    asked = len(stage.first.asked)
    stage.watch.advance(1)
    assert stage.store.get_many([]) == []
    assert stage.store.delete([]) == stage.store.remove({}) == 0
    assert len(stage.first.asked) == asked
    assert stage.breaker.state == "open"


def test_what_was_removed_does_not_come_back_with_an_outage(stage: Stage) -> None:
    for name in ("a", "b", "c"):
        stage.store.set(name, b"v", 60)
    stage.store.delete(["a"])
    stage.store.clear_all("b*")
    stage.store.remove({"c": b"v"})
    stage.first.fails = {"*": StoreUnavailable()}
    assert stage.store.get_many(["a", "b", "c"]) == [None] * 3


def test_a_cursor_of_memory_begins_again_once_the_first_is_back(stage: Stage) -> None:
    for number in range(20):
        stage.store.set(f"n:{number}", b"v", 60)
    stage.first.fails = {"*": StoreUnavailable()}
    cursor = stage.store.scan("", count=5).cursor
    assert len(stage.store.scan(cursor, count=100).names) == 15
    stage.first.fails = {"scan": ValueError("not a cursor")}  # type: ignore[dict-item]  # as Redis would
    with pytest.raises(ValueError, match="not a cursor"):
        stage.store.scan(cursor)


# It refuses ---------------------------------------------------------------------------------------------


def test_a_refusal_sends_only_that_call_to_memory(stage: Stage) -> None:
    stage.first.kept.set("b", b"first's", 60)
    stage.first.fails = {"set": StoreRefused("full")}
    for _ in range(5):
        stage.store.set("a", b"v", 60)
    assert stage.kept("a") == (None, b"v")
    assert stage.store.get("b") == b"first's"
    assert stage.breaker.state == "closed"


def test_a_refusal_is_told_once_and_so_is_its_end(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    stage.store.set("a", b"v", 60)
    assert stage.store.health_check() == {"store": "redis", "is_healthy": True, "breaker": "closed"}
    stage.first.fails = {"set": StoreRefused("Redis refused: OutOfMemoryError")}
    with Threads() as threads:
        for call in threads.start_together(50, lambda: stage.store.set("a", b"v", 60)):
            call.result(WITHIN_S)
    assert told(caplog) == [REFUSES]
    health = stage.store.health_check()
    assert health["is_healthy"] is False
    assert health["detail"] == "Redis refused: OutOfMemoryError"
    stage.first.fails = {}
    stage.watch.advance(SETTLED_S)
    stage.store.set("a", b"v", 60)
    stage.store.set("a", b"v", 60)
    assert stage.store.health_check()["is_healthy"] is True
    assert told(caplog) == [REFUSES, ACCEPTS]


def test_a_full_store_that_keeps_a_small_result_now_and_then_is_still_full(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(100):
        stage.watch.advance(SETTLED_S / 3)
        stage.first.fails = {"set": StoreRefused("full")} if number % 2 else {}
        stage.store.set("a", b"v", 60)
    assert told(caplog) == [REFUSES]


def test_a_full_store_that_removes_and_gives_leases_is_still_full(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """What needs no room is done: it does not show that there is any."""
    stage.first.fails = {"set": StoreRefused("full")}
    stage.store.set("a", b"v", 60)
    stage.watch.advance(SETTLED_S)
    stage.store.delete(["a"])
    stage.store.remove({"a": b"v"})
    stage.store.clear_all()
    stage.store.raise_number("clock", 3)
    stage.store.take_lease("lease", b"mine", 5, reading=[])
    stage.store.set_leased("a", b"v", 60, lease="lease", token=b"another's")
    assert stage.store.health_check()["is_healthy"] is False
    assert told(caplog) == [REFUSES]


def test_a_read_that_is_refused_is_no_refusal_to_keep(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    stage.first.fails = {"get_many": StoreRefused("of another type")}
    assert stage.store.get("a") is None
    assert stage.store.health_check()["is_healthy"] is True
    assert told(caplog) == []


# All connections are in use -------------------------------------------------------------------------------


def test_a_busy_pool_sends_only_that_call_to_memory_and_is_no_change(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    stage.store.note("a", b"v")
    stage.first.fails = {"*": StoreBusy()}
    for _ in range(10):
        assert stage.store.get("a") == b"v"
        stage.store.set("b", b"w", 60)
        assert stage.store.take_lease("lease", b"mine", 5, reading=["b"])[1] == [b"w"]
        stage.store.delete(["c"])
    assert stage.breaker.state == "closed"
    stage.first.fails = {}
    assert stage.store.health_check()["is_healthy"] is True
    stage.first.kept.set("a", b"first's", 60)
    assert stage.store.get("a") == b"first's"
    assert told(caplog) == []


# What is told of it ----------------------------------------------------------------------------------------


def test_health_and_info_say_which_store_serves_and_how_the_breaker_stands(stage: Stage) -> None:
    stage.store.set("a", b"v", 60)
    assert stage.store.get_info()["breaker"] == "closed"
    assert stage.store.get_info()["spare_entries"] == 1
    stage.first.fails = {"*": StoreUnavailable("Redis cannot be reached: TimeoutError")}
    for _ in range(3):
        stage.store.get("a")
    assert stage.store.health_check() == {
        "store": "memory",
        "instead_of": "redis",
        "is_healthy": False,
        "breaker": "open",
        "detail": "Redis cannot be reached: TimeoutError",
    }
    info = stage.store.get_info()
    assert info["store"] == "memory"
    assert info["breaker"] == "open"
