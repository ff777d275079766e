"""Leases over two stores: one that was taken while Redis was out is good when it is back."""

import pytest

from cachemgmt.engine.errors import StoreError, StoreRefused, StoreUnavailable
from tests.cachemgmt.engine.fakes import FakeTime
from tests.cachemgmt.engine.stores.lease_contract import LEASE, MINE, NAME, THEIRS, renew
from tests.cachemgmt.engine.stores.staged import Stage

MADE, KEPT_NOWHERE = b"made", (None, None)
IN_BOTH, IN_MEMORY = (MADE, MADE), (None, MADE)
OUT, FULL = StoreUnavailable(), StoreRefused("full")


@pytest.fixture
def stage() -> Stage:
    return Stage()


def hold(stage: Stage, where: str) -> None:
    """Have the lease in the first store, in memory (it was taken while the first was out), or in both."""
    if where in {"memory", "both"}:
        stage.memory.take_lease(LEASE, MINE, 5, reading=[])
    if where == "by another in memory":
        stage.memory.take_lease(LEASE, THEIRS, 5, reading=[])
    if where in {"first", "both"}:
        stage.first.kept.take_lease(LEASE, MINE, 5, reading=[])


def give_to_another(stage: Stage) -> None:
    stage.first.kept.delete([LEASE])
    stage.first.kept.take_lease(LEASE, THEIRS, 5, reading=[])


@pytest.mark.parametrize("in_session", [False, True], ids=["whole", "session"])
@pytest.mark.parametrize(
    ("held", "first", "is_kept", "where"),
    [
        ("first", "works", True, IN_BOTH),
        ("first", "has another's", False, KEPT_NOWHERE),
        ("first", "is out", True, IN_MEMORY),
        ("first", "refuses", True, IN_MEMORY),
        ("memory", "works", True, IN_BOTH),
        # Both were given it by right, and both results are valid: the later one stays.
        ("memory", "has another's", True, IN_BOTH),
        ("memory", "is out", True, IN_MEMORY),
        ("memory", "refuses", True, IN_MEMORY),
        ("both", "works", True, IN_BOTH),
        ("both", "is out", True, IN_MEMORY),
        ("nowhere", "works", False, KEPT_NOWHERE),
        ("nowhere", "has another's", False, KEPT_NOWHERE),
        # Nobody says that another has it: what was computed is not lost.
        ("nowhere", "is out", True, IN_MEMORY),
        ("nowhere", "refuses", True, IN_MEMORY),
        ("by another in memory", "is out", False, KEPT_NOWHERE),
        ("by another in memory", "refuses", False, KEPT_NOWHERE),
    ],
)
def test_a_result_is_kept_where_its_lease_is_good(
    stage: Stage, held: str, first: str, is_kept: bool, where: tuple[bytes | None, ...], in_session: bool
) -> None:
    hold(stage, held)
    if first == "has another's":
        give_to_another(stage)
    failing: dict[str, dict[str, StoreError]] = {"is out": {"*": OUT}, "refuses": {"set_leased": FULL}}
    stage.first.fails = failing.get(first, {})
    store = stage.store.session() if in_session else stage.store
    assert store.set_leased(NAME, MADE, 60, lease=LEASE, token=MINE) is is_kept
    assert stage.kept(NAME) == where
    assert stage.memory.get(LEASE) == (THEIRS if held == "by another in memory" else None)
    if first == "works":
        assert stage.first.kept.get(LEASE) is None
    if first == "has another's":
        assert stage.first.kept.get(LEASE) == THEIRS


def test_a_lease_that_was_taken_while_the_first_was_out_is_taken_there_when_it_is_back(stage: Stage) -> None:
    stage.first.fails = {"*": OUT}
    assert stage.store.take_lease(LEASE, MINE, 5, reading=[])[0] is None
    assert renew(stage.store, MINE, 5, or_take=True)
    assert stage.kept(LEASE) == (None, MINE)
    stage.first.fails = {}
    assert renew(stage.store, MINE, 5, or_take=True)
    assert stage.kept(LEASE) == (MINE, MINE)
    assert stage.store.take_lease(LEASE, THEIRS, 5, reading=[])[0] == MINE


def test_it_stays_good_here_though_another_was_given_it_meanwhile(stage: Stage) -> None:
    stage.first.fails = {"*": OUT}
    stage.store.take_lease(LEASE, MINE, 5, reading=[])
    give_to_another(stage)
    stage.first.fails = {}
    assert renew(stage.store, MINE, 5, or_take=True)
    assert stage.first.kept.get(LEASE) == THEIRS


def test_a_lease_of_the_first_is_kept_through_an_outage(stage: Stage) -> None:
    stage.store.take_lease(LEASE, MINE, 5, reading=[])
    stage.first.fails = {"*": OUT}
    assert renew(stage.store, MINE, 5, or_take=True)
    assert stage.store.take_lease(LEASE, THEIRS, 5, reading=[])[0] == MINE  # in this process
    stage.first.fails = {}
    stage.first.kept.clear_all()  # it restarted empty
    assert renew(stage.store, MINE, 5, or_take=True)
    assert stage.first.kept.get(LEASE) == MINE


def test_one_that_another_has_in_the_first_is_lost(stage: Stage) -> None:
    stage.store.take_lease(LEASE, MINE, 5, reading=[])
    give_to_another(stage)
    assert not renew(stage.store, MINE, 5, or_take=True)


def test_it_is_given_back_in_both(stage: Stage) -> None:
    hold(stage, "both")
    stage.store.end_lease(LEASE, MINE, note=b"!", note_ttl_s=2)
    assert stage.kept(LEASE) == (b"!", b"!")


def test_given_back_while_the_first_is_out_it_runs_out_there(stage: Stage) -> None:
    hold(stage, "both")
    stage.first.fails = {"*": OUT}
    stage.store.end_lease(LEASE, MINE)
    assert stage.kept(LEASE) == (MINE, None)


@pytest.mark.parametrize("error", [OUT, FULL])
def test_whoever_of_this_process_asks_meanwhile_is_told_of_it(stage: Stage, error: StoreError) -> None:
    stage.first.fails = {"*": error}
    stage.store.set(NAME, MADE, 60)
    assert stage.store.take_lease(LEASE, MINE, 5, reading=[NAME]) == (None, [MADE])
    assert stage.store.take_lease(LEASE, THEIRS, 5, reading=[NAME]) == (MINE, [MADE])


def test_the_names_are_read_from_the_store_that_gave_the_lease(stage: Stage) -> None:
    stage.first.kept.set(NAME, b"first's", 60)
    stage.memory.set(NAME, b"memory's", 60)
    assert stage.store.take_lease(LEASE, MINE, 5, reading=[NAME]) == (None, [b"first's"])
    stage.first.fails = {"*": OUT}
    assert stage.store.take_lease("lease:{e}", MINE, 5, reading=[NAME]) == (None, [b"memory's"])


def test_a_lease_in_memory_runs_out_too() -> None:
    stage, time = Stage(), FakeTime()
    stage.memory._now = time
    stage.first.fails = {"*": OUT}
    stage.store.take_lease(LEASE, THEIRS, 5, reading=[])
    time.advance(5)
    assert stage.store.take_lease(LEASE, MINE, 5, reading=[])[0] is None
