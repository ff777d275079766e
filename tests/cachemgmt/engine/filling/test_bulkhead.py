"""What misses may take of a process: slots for calls, places for requests."""

import threading
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from cachemgmt.engine.errors import Overloaded
from cachemgmt.engine.filling.bulkhead import Bulkhead, Place
from tests.cachemgmt.engine.fakes import WITHIN_S, Threads
from tests.cachemgmt.engine.filling.busy import IDLE, Busy, make_bulkhead, taken, until_taken


@pytest.mark.parametrize(
    "bounds",
    [
        # A warmer that waits for a customer's fill would hold the slot which that fill needs.
        {"slots": 1, "warming_slots": 1},
        {"slots": 8, "warming_slots": 8},
        {"warming_slots": 0},
        {"most_admitted": 0},
        {"queue_s": -1},
    ],
)
def test_bounds_that_would_block_somebody_for_ever_are_refused(bounds: dict[str, int]) -> None:
    with pytest.raises(ValueError):
        make_bulkhead(**bounds)


# slots ----------------------------------------------------------------------------------------------------


def test_of_200_calls_as_many_as_there_are_slots_are_made_at_once() -> None:
    bulkhead = make_bulkhead(slots=8)
    all_slots_in_use = threading.Barrier(8)
    seen: list[int] = []

    def call() -> None:
        with bulkhead.slot():
            seen.append(bulkhead.facts()["calling"])
            all_slots_in_use.wait(WITHIN_S)

    with Threads(200) as threads:
        calls = threads.start_together(200, call)
    for one in calls:
        one.result()
    assert len(seen) == 200
    assert max(seen) == 8
    assert taken(bulkhead) == IDLE


def test_calls_get_their_slots_in_the_order_they_came() -> None:
    bulkhead = make_bulkhead(slots=2, warming_slots=1)
    order: list[int] = []

    def call(number: int) -> None:
        with bulkhead.slot():
            order.append(number)

    with Threads() as threads, Busy(bulkhead, threads) as busy:
        busy.start(2)
        for number in range(20):
            threads.start(partial(call, number))
            until_taken(bulkhead, queued=number + 1)
        busy.let_go()
        until_taken(bulkhead, queued=0, calling=1)
    assert order == list(range(20))


def test_a_slot_that_comes_free_is_not_snatched_from_the_queue() -> None:
    bulkhead = make_bulkhead(slots=2, warming_slots=1)
    order: list[str] = []

    def call() -> None:
        with bulkhead.slot():
            order.append("queued")

    with Threads() as threads, Busy(bulkhead, threads) as busy:
        busy.start(1)
        with bulkhead.slot():
            threads.start(call)
            until_taken(bulkhead, queued=1)
        with bulkhead.slot():  # before the other has even woken up
            order.append("newcomer")
    assert order == ["queued", "newcomer"]


@pytest.mark.parametrize("queue_s", [0, 0.01])
def test_a_call_that_finds_no_slot_in_time_is_refused_and_leaves_the_queue(queue_s: float) -> None:
    bulkhead = make_bulkhead(slots=2, warming_slots=1, queue_s=queue_s)
    with Threads() as threads, Busy(bulkhead, threads) as busy:
        busy.start(2)
        with pytest.raises(Overloaded, match="No provider slot came free within"), bulkhead.slot():
            raise AssertionError("there was no slot")
        assert taken(bulkhead) == {**IDLE, "calling": 2}
        busy.let_go()
        until_taken(bulkhead, calling=1)
        with bulkhead.slot():
            assert bulkhead.facts()["calling"] == 2


def test_no_time_to_queue_does_not_keep_a_call_from_a_free_slot() -> None:
    with make_bulkhead(queue_s=0).slot():
        pass


def test_a_thread_that_holds_a_slot_takes_no_second_one() -> None:
    bulkhead = make_bulkhead(slots=2, warming_slots=1, queue_s=0)
    with bulkhead.slot(), bulkhead.slot():
        with bulkhead.slot(), bulkhead.warming(patience_s=0):
            assert taken(bulkhead) == {**IDLE, "calling": 1}
        assert taken(bulkhead) == {**IDLE, "calling": 1}
    assert taken(bulkhead) == IDLE


def test_after_a_call_the_thread_queues_anew() -> None:
    bulkhead = make_bulkhead(slots=2, warming_slots=1, queue_s=0)
    with bulkhead.slot():
        pass
    with Threads() as threads, Busy(bulkhead, threads) as busy:
        busy.start(2)
        with pytest.raises(Overloaded), bulkhead.slot():
            pass


@pytest.mark.parametrize("enter", [Bulkhead.slot, Bulkhead.warming])
def test_an_error_inside_leaves_everything_released(enter: Callable[[Bulkhead], Any]) -> None:
    bulkhead = make_bulkhead()
    with pytest.raises(ZeroDivisionError), enter(bulkhead):
        raise ZeroDivisionError
    assert taken(bulkhead) == IDLE
    with bulkhead.slot():
        assert bulkhead.facts()["calling"] == 1  # the thread is not taken for one that holds a slot still


def test_forty_conversations_with_eight_slots_share_one_fill_without_a_deadlock() -> None:
    bulkhead = make_bulkhead(slots=8, most_admitted=40, warming_slots=1)
    is_leader, is_filled = threading.Semaphore(1), threading.Event()
    waiting = threading.Semaphore(0)
    made: Counter[str] = Counter()

    def converse() -> None:
        place = bulkhead.place()
        place.take()
        try:
            with bulkhead.slot():
                made["classification"] += 1  # each conversation has one of its own
            if is_leader.acquire(blocking=False):
                for _ in range(39):
                    assert waiting.acquire(timeout=WITHIN_S)
                with bulkhead.slot():
                    made["reply"] += 1
                is_filled.set()
            else:
                waiting.release()
                assert is_filled.wait(WITHIN_S)
        finally:
            place.leave()

    with Threads() as threads:
        calls = threads.start_together(40, converse)
    for call in calls:
        call.result()
    assert made == {"classification": 40, "reply": 1}
    assert taken(bulkhead) == IDLE


# places ---------------------------------------------------------------------------------------------------


def test_a_place_is_taken_and_left_once_however_often_that_is_said() -> None:
    bulkhead = make_bulkhead(most_admitted=2)
    place = bulkhead.place()
    assert bulkhead.facts()["admitted"] == 0
    for _ in range(3):
        place.take()
        assert bulkhead.facts()["admitted"] == 1
    for _ in range(3):
        place.leave()
        assert bulkhead.facts()["admitted"] == 0


def test_a_hit_leaves_a_place_it_never_took() -> None:
    bulkhead = make_bulkhead()
    bulkhead.place().leave()
    assert taken(bulkhead) == IDLE


def test_past_the_bound_a_request_is_refused_at_once_until_another_leaves() -> None:
    bulkhead = make_bulkhead(most_admitted=2)
    first, second, third = (bulkhead.place() for _ in range(3))
    first.take()
    second.take()
    for _ in range(2):
        with pytest.raises(Overloaded):
            third.take()
    third.leave()  # what was not given is not given back
    assert bulkhead.facts()["admitted"] == 2
    first.take()  # who is in stays in
    second.leave()
    third.take()
    assert bulkhead.facts()["admitted"] == 2


def test_of_200_requests_as_many_as_may_be_are_admitted() -> None:
    bulkhead = make_bulkhead(most_admitted=40)

    def take() -> Place | None:
        place = bulkhead.place()
        try:
            place.take()
        except Overloaded:
            return None
        return place

    with Threads(200) as threads:
        places = [call.result() for call in threads.start_together(200, take)]
    admitted = [place for place in places if place]
    assert len(admitted) == bulkhead.facts()["admitted"] == 40
    for place in admitted:
        place.leave()
    assert taken(bulkhead) == IDLE


def test_a_call_of_embedding_code_or_a_command_needs_no_place() -> None:
    bulkhead = make_bulkhead(most_admitted=1)
    bulkhead.place().take()
    with bulkhead.slot():
        assert taken(bulkhead) == {**IDLE, "admitted": 1, "calling": 1}
