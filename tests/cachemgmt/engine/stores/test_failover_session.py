"""The failover store as one request sees it: what fails or is slow holds the request up once only."""

from collections.abc import Callable

import pytest

from cachemgmt.engine.errors import StoreBusy, StoreRefused, StoreUnavailable
from cachemgmt.engine.stores.base import Store
from cachemgmt.engine.stores.failover import LATEST, REQUEST_S, SLOW_S
from tests.cachemgmt.engine.stores.staged import Stage

SLOW = 0.09
SLOWEST = 0.149
"""What a command of a slow store may take: just below the client's time-out."""


@pytest.fixture
def stage() -> Stage:
    return Stage()


def ask(store: Store, times: int = 1) -> None:
    for _ in range(times):
        store.get("a")


def make_slow(stage: Stage) -> None:
    """Let everybody find the first store slow."""
    stage.first.takes_s = SLOW
    ask(stage.store, LATEST)
    stage.first.asked.clear()


def test_after_its_first_failure_a_request_asks_no_more(stage: Stage) -> None:
    session = stage.store.session()
    stage.first.fails = {"get_many": StoreUnavailable()}
    ask(session)
    stage.first.fails = {}
    session.set("a", b"v", 60)
    assert session.take_lease("lease", b"mine", 5, reading=["a"]) == (None, [b"v"])
    assert session.set_leased("b", b"made", 60, lease="lease", token=b"mine")
    assert session.delete(["a"]) == 1
    session.raise_number("clock", 3)
    assert stage.first.asked == ["get_many"]
    assert session.session().get("b") == b"made"


def test_another_request_asks_again(stage: Stage) -> None:
    stage.first.fails = {"get_many": StoreUnavailable()}
    ask(stage.store.session())
    stage.first.fails = {}
    ask(stage.store.session())
    assert len(stage.first.asked) == 2


def test_failures_of_different_requests_in_a_row_open_the_breaker(stage: Stage) -> None:
    stage.first.fails = {"*": StoreUnavailable()}
    for _ in range(5):
        ask(stage.store.session(), times=4)
    assert len(stage.first.asked) == 3
    assert stage.breaker.state == "open"


@pytest.mark.parametrize("error", [StoreRefused(), StoreBusy()])
def test_a_refusal_or_a_busy_pool_is_no_failure(stage: Stage, error: StoreRefused | StoreBusy) -> None:
    session = stage.store.session()
    stage.first.fails = {"*": error}
    ask(session)
    stage.first.fails = {}
    ask(session)
    assert len(stage.first.asked) == 2


def test_a_request_that_began_while_it_was_out_uses_it_once_it_is_back(stage: Stage) -> None:
    """Nothing has held it up yet: and what it makes is to be there for others."""
    stage.first.fails = {"*": StoreUnavailable()}
    ask(stage.store, times=3)
    session = stage.store.session()
    session.take_lease("lease", b"mine", 5, reading=[])
    stage.first.fails = {}
    stage.watch.advance(1)
    assert session.set_leased("a", b"made", 60, lease="lease", token=b"mine")
    assert stage.kept("a") == (b"made", b"made")


def test_a_request_that_is_the_probe_and_fails_asks_no_more(stage: Stage) -> None:
    stage.first.fails = {"*": StoreUnavailable()}
    ask(stage.store, times=3)
    stage.watch.advance(1)
    session = stage.store.session()
    ask(session)
    stage.first.fails = {}
    stage.watch.advance(2)
    ask(session)
    assert len(stage.first.asked) == 4


@pytest.mark.parametrize(("takes_s", "affordable"), [(SLOW, 2), (0.11, 1), (SLOWEST, 1)])
def test_of_a_slow_store_a_request_asks_no_more_than_it_can_afford(
    stage: Stage, takes_s: float, affordable: int
) -> None:
    make_slow(stage)
    stage.first.takes_s = takes_s
    session = stage.store.session()
    started = stage.watch()
    ask(session, times=10)
    assert len(stage.first.asked) == affordable
    assert stage.watch() - started < 0.3
    session.set("a", b"v", 60)
    assert session.get("a") == b"v"


def test_a_slow_store_is_asked_anew_by_each_request(stage: Stage) -> None:
    make_slow(stage)
    for _ in range(3):
        ask(stage.store.session(), times=10)
    assert len(stage.first.asked) == 6
    assert stage.breaker.state == "closed"


def test_a_quick_store_is_asked_as_often_as_a_request_needs(stage: Stage) -> None:
    stage.first.takes_s = SLOW_S - 0.005
    ask(stage.store, LATEST)
    session = stage.store.session()
    ask(session, times=10)
    assert len(stage.first.asked) == LATEST + 10


def in_turn(stage: Stage, session: Store) -> None:
    """Let the request wait long for each answer, and others get theirs at once."""
    for _ in range(10):
        stage.first.takes_s = SLOW
        ask(session)
        stage.first.takes_s = 0.001
        ask(stage.store)


def slow_before(stage: Stage) -> None:
    make_slow(stage)
    stage.first.takes_s = 0.001
    ask(stage.store)


@pytest.mark.parametrize("before", [lambda _stage: None, slow_before], ids=["never-slow", "slow-before"])
def test_who_waits_his_turn_on_a_busy_machine_does_not_take_the_store_for_slow(
    stage: Stage, before: Callable[[Stage], None]
) -> None:
    before(stage)
    session = stage.store.session()
    stage.first.asked.clear()
    in_turn(stage, session)
    assert len(stage.first.asked) == 20


def test_a_request_gives_back_the_lease_that_a_slow_store_gave(stage: Stage) -> None:
    """Others wait for it, and for what it makes."""
    make_slow(stage)
    session = stage.store.session()
    started = stage.watch()
    ask(session)
    session.take_lease("lease", b"mine", 5, reading=["a"])
    ask(session)
    assert session.set_leased("a", b"made", 60, lease="lease", token=b"mine")
    assert stage.first.asked == ["get_many", "take_lease", "set_leased"]
    assert stage.kept("a") == (b"made", b"made")
    assert stage.kept("lease") == (None, None)
    assert stage.watch() - started < 0.3


def test_what_a_request_could_not_write_into_a_slow_store_is_kept_in_memory(stage: Stage) -> None:
    make_slow(stage)
    session = stage.store.session()
    ask(session, times=2)
    session.take_lease("lease", b"mine", 5, reading=[])
    assert session.set_leased("a", b"made", 60, lease="lease", token=b"mine")
    assert stage.kept("a") == (None, b"made")


def test_no_command_begins_that_could_hold_a_request_longer_than_it_may() -> None:
    assert REQUEST_S + SLOWEST < 0.3
    assert SLOW_S < SLOW < REQUEST_S
