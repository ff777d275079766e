"""Warming's share of the slots: customers first, but not for ever."""

import os
import random
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial

import pytest

from cachemgmt.engine.errors import Overloaded
from cachemgmt.engine.filling.bulkhead import Bulkhead
from tests.cachemgmt.engine.fakes import WITHIN_S, Threads
from tests.cachemgmt.engine.filling.busy import IDLE, Busy, make_bulkhead, taken, until, until_taken


def warm(bulkhead: Bulkhead, goes: threading.Event, patience_s: float = WITHIN_S) -> None:
    with bulkhead.warming(patience_s):
        goes.set()


def test_warming_goes_on_at_once_where_nobody_is_being_answered() -> None:
    bulkhead = make_bulkhead()
    with bulkhead.warming(patience_s=0):
        assert taken(bulkhead) == {**IDLE, "calling": 1, "warming": 1}
    assert taken(bulkhead) == IDLE


def test_warming_waits_for_the_last_customer() -> None:
    bulkhead, goes = make_bulkhead(), threading.Event()
    first, last = bulkhead.place(), bulkhead.place()
    first.take()
    last.take()
    with Threads() as threads:
        warmer = threads.start(lambda: warm(bulkhead, goes))
        until_taken(bulkhead, giving_way=1)
        first.leave()
        assert taken(bulkhead) == {**IDLE, "admitted": 1, "giving_way": 1}
        last.leave()
        assert goes.wait(WITHIN_S)
    warmer.result()


def test_warming_waits_for_no_slot_while_a_call_without_a_place_queues() -> None:
    bulkhead, goes = make_bulkhead(slots=2, warming_slots=1), threading.Event()
    order: list[str] = []

    def call() -> None:
        with bulkhead.slot():
            order.append("customer")

    def warm_up() -> None:
        with bulkhead.warming():
            order.append("warmer")
            goes.set()

    with Threads() as threads, Busy(bulkhead, threads) as busy:
        busy.start(2)
        threads.start(warm_up)
        until_taken(bulkhead, giving_way=1)
        for number in range(5):  # they come later, and are served first
            threads.start(call)
            until_taken(bulkhead, queued=number + 1)
        busy.let_go()
        assert goes.wait(WITHIN_S)
    assert order == ["customer"] * 5 + ["warmer"]


def test_a_customer_does_not_queue_behind_a_queued_warmer() -> None:
    bulkhead, goes = make_bulkhead(), threading.Event()
    customer = bulkhead.place()
    customer.take()
    with Threads() as threads:
        threads.start(lambda: warm(bulkhead, goes))
        until_taken(bulkhead, giving_way=1)
        with bulkhead.slot():
            assert taken(bulkhead) == {**IDLE, "calling": 1, "admitted": 1, "giving_way": 1}
        assert not goes.is_set()
        customer.leave()
        assert goes.wait(WITHIN_S)


@pytest.mark.parametrize("patience_s", [0, 0.01])
def test_warming_loses_patience(patience_s: float) -> None:
    bulkhead = make_bulkhead()
    bulkhead.place().take()
    with bulkhead.warming(patience_s):
        assert taken(bulkhead) == {**IDLE, "calling": 1, "admitted": 1, "warming": 1}


def test_a_warmer_out_of_patience_takes_the_next_slot_that_comes_free() -> None:
    bulkhead = make_bulkhead(slots=2, warming_slots=1)
    order: list[str] = []

    def take_part(name: str) -> None:
        with bulkhead.warming(patience_s=0) if name == "warmer" else bulkhead.slot():
            order.append(name)

    with Threads() as threads, Busy(bulkhead, threads) as busy:
        busy.start(2)
        threads.start(lambda: take_part("customer"))
        until_taken(bulkhead, queued=1)
        threads.start(lambda: take_part("warmer"))
        until(lambda: [one.is_impatient for one in bulkhead._warmers] == [True])
        busy.let_go()
        until_taken(bulkhead, queued=0, calling=1)
    assert order == ["warmer", "customer"]


def test_a_failed_answer_holds_up_nobody() -> None:
    bulkhead = make_bulkhead()

    def fail() -> None:
        place = bulkhead.place()
        place.take()
        try:
            raise ZeroDivisionError
        finally:
            place.leave()

    with pytest.raises(ZeroDivisionError):
        fail()
    with bulkhead.warming(patience_s=0):
        assert bulkhead.facts()["admitted"] == 0


def test_warming_never_holds_more_than_its_share() -> None:
    bulkhead = make_bulkhead(slots=8, warming_slots=2)
    both_are_in = threading.Barrier(2)
    seen: list[int] = []

    def warm_up(patience_s: float) -> None:
        with bulkhead.warming(patience_s):
            seen.append(bulkhead.facts()["warming"])
            both_are_in.wait(WITHIN_S)

    with Threads() as threads:
        warmers = [threads.start(partial(warm_up, WITHIN_S * (n % 2))) for n in range(20)]
    for warmer in warmers:
        warmer.result()
    assert max(seen) == 2
    assert taken(bulkhead) == IDLE


def test_a_warmer_keeps_its_slot_over_all_calls_of_its_answer() -> None:
    bulkhead = make_bulkhead(slots=2, warming_slots=1)

    def call() -> None:
        with bulkhead.slot():
            pass

    with Threads() as threads, Busy(bulkhead, threads) as busy, bulkhead.warming(patience_s=0):
        busy.start(1)
        threads.start(call)
        until_taken(bulkhead, queued=1)
        for _ in range(3):  # it would queue behind that call
            with bulkhead.slot():
                assert taken(bulkhead) == {**IDLE, "calling": 2, "queued": 1, "warming": 1}


def test_a_warmer_needs_no_place_and_is_given_way_by_no_other_warmer() -> None:
    bulkhead = make_bulkhead(most_admitted=1)
    bulkhead.place().take()
    with bulkhead.warming(patience_s=0):
        place = bulkhead.place()
        place.take()
        assert not place.is_taken
        assert bulkhead.facts()["admitted"] == 1
        place.leave()
    assert bulkhead.facts()["admitted"] == 1


def test_a_warmer_that_waits_for_a_customers_fill_leaves_that_customer_a_slot() -> None:
    bulkhead, is_filled = make_bulkhead(slots=2, warming_slots=1), threading.Event()

    def fill() -> None:
        with bulkhead.slot():
            is_filled.set()

    with Threads() as threads, bulkhead.warming():
        threads.start(fill)
        assert is_filled.wait(WITHIN_S)


# all together ---------------------------------------------------------------------------------------------


@pytest.fixture
def threads_switch_often() -> Iterator[None]:
    usual_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(usual_s)


@pytest.mark.usefixtures("threads_switch_often")
@pytest.mark.parametrize("seed", range(5))
def test_nothing_is_left_taken_after_any_mix_of_use(seed: int) -> None:
    bulkhead = make_bulkhead(slots=5, most_admitted=30, warming_slots=2, queue_s=0.002)
    chance = random.Random(seed)
    done: Counter[str] = Counter()
    beyond: list[dict[str, int]] = []

    def look() -> None:
        now = taken(bulkhead)
        if now["calling"] > 5 or now["admitted"] > 30 or now["warming"] > 2:
            beyond.append(now)

    def answer(draw: random.Random, stack: ExitStack) -> None:
        place = bulkhead.place()
        stack.callback(place.leave)
        place.take()
        for _ in range(draw.randrange(4)):
            call(draw)

    def call(draw: random.Random) -> None:
        with bulkhead.slot():
            look()
            os.sched_yield()
            if draw.random() < 0.1:
                raise ZeroDivisionError

    def use(draw: random.Random) -> None:
        for _ in range(20):
            kind = draw.choice(["answer", "answer", "call", "warming"])
            try:
                with ExitStack() as stack:
                    if kind == "warming":
                        stack.enter_context(bulkhead.warming(draw.choice([0, 0.001, WITHIN_S])))
                    if kind == "call":
                        call(draw)
                    else:
                        answer(draw, stack)
                done[kind] += 1
            except (Overloaded, ZeroDivisionError) as error:
                done[type(error).__name__] += 1

    draws = [random.Random(chance.random()) for _ in range(100)]
    with Threads() as threads, ExitStack() as full:
        for _ in range(5):
            full.enter_context(bulkhead.slot())
        users = [threads.start(partial(use, draw)) for draw in draws]
        until(lambda: done["Overloaded"] > 0)
        full.close()
    for user in users:
        user.result()
    assert beyond == []
    assert set(done) == {"answer", "call", "warming", "Overloaded", "ZeroDivisionError"}
    assert taken(bulkhead) == IDLE
