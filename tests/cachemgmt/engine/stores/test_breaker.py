"""A breaker opens when the store is out, lets one caller try it, and tells each change once."""

import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from cachemgmt.engine.stores.breaker import Breaker
from tests.cachemgmt.engine.fakes import WITHIN_S, FakeTime, Threads

OUT, BACK = "failover", "recover"


@pytest.fixture
def watch() -> FakeTime:
    return FakeTime()


@pytest.fixture
def breaker(watch: FakeTime) -> Breaker:
    return Breaker(now=watch)


@pytest.fixture
def elsewhere() -> Iterator[Callable[[Callable[[], object]], object]]:
    """Runs a call in a thread of its own, always the same."""
    with ThreadPoolExecutor(1) as pool:
        yield lambda call: pool.submit(call).result(WITHIN_S)


Elsewhere = Callable[[Callable[[], object]], object]


def state(breaker: Breaker) -> str:
    """Return its state, of which mypy then does not think that it stays."""
    return breaker.state


def open_it(breaker: Breaker) -> None:
    for _ in range(3):
        breaker.fail()
    assert state(breaker) == "open"


def changes(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what was told of changes, in order."""
    return [record.action for record in caplog.records]  # type: ignore[attr-defined]


def test_it_is_closed_at_first(breaker: Breaker) -> None:
    assert state(breaker) == "closed"
    assert breaker.retry_in_s == 0
    assert all(breaker.allows() for _ in range(5))


def test_two_failures_do_not_open_it(breaker: Breaker) -> None:
    breaker.fail()
    breaker.fail()
    assert state(breaker) == "closed"
    assert breaker.allows()


def test_three_failures_in_a_row_open_it_for_a_second(breaker: Breaker, watch: FakeTime) -> None:
    open_it(breaker)
    assert breaker.retry_in_s == 1
    assert not breaker.allows()
    watch.advance(0.75)
    assert breaker.retry_in_s == 0.25
    assert not breaker.allows()
    watch.advance(0.25)
    assert breaker.retry_in_s == 0
    assert breaker.allows()


def test_failures_with_an_answer_between_them_are_not_in_a_row(breaker: Breaker) -> None:
    for _ in range(5):
        breaker.fail()
        breaker.fail()
        breaker.succeed()
    assert state(breaker) == "closed"


def test_one_caller_probes_while_the_others_wait_for_its_word(breaker: Breaker, watch: FakeTime) -> None:
    open_it(breaker)
    watch.advance(1)
    assert [breaker.allows() for _ in range(5)] == [True, False, False, False, False]
    assert state(breaker) == "half-open"


def test_a_probe_that_is_answered_closes_it(breaker: Breaker, watch: FakeTime) -> None:
    open_it(breaker)
    watch.advance(1)
    assert breaker.allows()
    breaker.succeed()
    assert state(breaker) == "closed"
    assert breaker.retry_in_s == 0
    assert all(breaker.allows() for _ in range(5))


def test_each_failed_probe_doubles_the_time_up_to_the_longest(breaker: Breaker, watch: FakeTime) -> None:
    open_it(breaker)
    waited = []
    for _ in range(7):
        waited.append(breaker.retry_in_s)
        watch.advance(breaker.retry_in_s)
        assert breaker.allows()
        breaker.fail()
        assert state(breaker) == "open"
    assert waited == [1, 2, 4, 8, 15, 15, 15]


def test_a_return_ends_the_doubling(breaker: Breaker, watch: FakeTime) -> None:
    open_it(breaker)
    for _ in range(3):
        watch.advance(breaker.retry_in_s)
        assert breaker.allows()
        breaker.fail()
    watch.advance(breaker.retry_in_s)
    assert breaker.allows()
    breaker.succeed()
    open_it(breaker)
    assert breaker.retry_in_s == 1


def test_after_a_return_it_takes_three_failures_again(breaker: Breaker, watch: FakeTime) -> None:
    open_it(breaker)
    watch.advance(1)
    assert breaker.allows()
    breaker.succeed()
    breaker.fail()
    breaker.fail()
    assert state(breaker) == "closed"


def test_failures_of_calls_from_before_the_opening_do_not_double(breaker: Breaker, watch: FakeTime) -> None:
    open_it(breaker)
    watch.advance(0.5)
    for _ in range(40):
        breaker.fail()
    assert breaker.retry_in_s == 0.5


def test_failures_of_calls_from_before_the_opening_are_not_the_probes(
    breaker: Breaker, watch: FakeTime, elsewhere: Elsewhere
) -> None:
    open_it(breaker)
    watch.advance(1)
    assert elsewhere(breaker.allows)
    breaker.fail()
    assert state(breaker) == "half-open"
    elsewhere(breaker.succeed)
    assert state(breaker) == "closed"


def test_an_answer_to_a_call_from_before_the_opening_does_not_close_it(
    breaker: Breaker, watch: FakeTime, elsewhere: Elsewhere
) -> None:
    open_it(breaker)
    breaker.succeed()
    assert state(breaker) == "open"
    watch.advance(1)
    assert elsewhere(breaker.allows)
    breaker.succeed()
    assert state(breaker) == "half-open"


def test_a_probe_that_never_reports_back_is_replaced(
    breaker: Breaker, watch: FakeTime, elsewhere: Elsewhere
) -> None:
    open_it(breaker)
    watch.advance(1)
    assert elsewhere(breaker.allows)  # and is never heard of again
    watch.advance(0.75)
    assert not breaker.allows()
    assert breaker.retry_in_s == 0.25
    watch.advance(0.25)
    assert breaker.allows()
    assert not breaker.allows()
    elsewhere(breaker.fail)  # the first one after all: another has its place
    assert state(breaker) == "half-open"
    breaker.succeed()
    assert state(breaker) == "closed"


def test_exactly_one_of_fifty_threads_is_the_probe(breaker: Breaker, watch: FakeTime) -> None:
    open_it(breaker)
    watch.advance(1)
    with Threads() as threads:
        calls = threads.start_together(50, breaker.allows)
        assert sum(call.result(WITHIN_S) for call in calls) == 1


def test_fifty_threads_that_fail_at_once_open_it_once(
    breaker: Breaker, caplog: pytest.LogCaptureFixture
) -> None:
    with Threads() as threads:
        for call in threads.start_together(50, breaker.fail):
            call.result(WITHIN_S)
    assert breaker.retry_in_s == 1
    assert changes(caplog) == [OUT]


def test_threads_that_ask_and_report_as_they_like_leave_it_usable(breaker: Breaker, watch: FakeTime) -> None:
    """Whatever they did, the next probe decides."""
    turns = threading.Barrier(20)

    def ask_and_report() -> None:
        for turn in range(50):
            if breaker.allows():
                (breaker.fail if turn % 3 else breaker.succeed)()
            watch.advance(0.5)
        turns.wait(WITHIN_S)

    with Threads() as threads:
        for call in [threads.start(ask_and_report) for _ in range(20)]:
            call.result(WITHIN_S)
    watch.advance(breaker.retry_in_s)
    assert breaker.allows()
    breaker.succeed()
    assert state(breaker) == "closed"


def test_each_change_is_told_once(
    breaker: Breaker, watch: FakeTime, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        for _ in range(10):
            breaker.fail()
        for _ in range(3):
            watch.advance(breaker.retry_in_s)
            breaker.allows()
            breaker.fail()
        watch.advance(breaker.retry_in_s)
        breaker.allows()
        for _ in range(10):
            breaker.succeed()
    assert changes(caplog) == [OUT, BACK, OUT, BACK]
    assert [(record.levelno, record.getMessage()) for record in caplog.records[:2]] == [
        (logging.WARNING, "The shared cache is out, memory serves instead"),
        (logging.WARNING, "The shared cache is back"),
    ]


def test_while_all_is_well_no_lock_is_taken(breaker: Breaker) -> None:
    class Forbidden:
        def __enter__(self) -> None:
            raise AssertionError("the lock was taken")

        def __exit__(self, *_: object) -> None: ...

    breaker._lock = Forbidden()  # type: ignore[assignment]
    assert breaker.allows()
    breaker.succeed()
    assert state(breaker) == "closed"
