"""The engine against a simple reference: several processes, one Redis, one database, and what can go wrong.

A failing seed tells its latest events; `World(seed).run(STEPS)` plays it again.
"""

from collections.abc import Mapping

import pytest

from cachemgmt.engine.entry import Entry
from cachemgmt.engine.reuse import watched_knowledge
from cachemgmt.engine.reuse.knowledge import Flushes
from cachemgmt.engine.stores import failover
from cachemgmt.engine.stores.memory import MemoryStore
from tests.cachemgmt.engine.model.world import World

STEPS = 500
SEEDS = 400
CHUNK = 50
LEAST_STEPS = 100_000


def broken_in(seeds: range) -> str:
    """Return which promise was broken, and how it came about; "" if none was."""
    for seed in seeds:
        world = World(seed)
        world.run(STEPS)
        if world.is_broken:
            return f"seed {seed}: {world.reference.broken}\n{world.tale}"
    return ""


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_nothing_flushed_is_served_and_nothing_valid_is_lost(first: int) -> None:
    steps = 0
    for seed in range(first, first + CHUNK):
        world = World(seed)
        world.run(STEPS)
        assert not world.is_broken, f"seed {seed}: {world.reference.broken}\n{world.tale}"
        steps += world.schedule.steps
    assert steps >= LEAST_STEPS * CHUNK / SEEDS


def forget_tags(monkeypatch: pytest.MonkeyPatch) -> None:
    def concern(self: Flushes, entry: Entry, collection: str) -> bool:
        return entry.clock < self._all

    monkeypatch.setattr(Flushes, "concern", concern)


def trust_the_database_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watched_knowledge, "CONFIRMED_S", 1e9)


def store_without_a_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    def set_leased(
        self: MemoryStore, name: str, value: bytes, ttl_s: float, *, lease: str, token: bytes
    ) -> bool:
        self.set(name, value, ttl_s)
        self.end_lease(lease, token)
        return True

    monkeypatch.setattr(MemoryStore, "set_leased", set_leased)


def keep_no_spare_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(self: failover.FailoverStore, name: str) -> bytes | None:
        return None

    monkeypatch.setattr(failover.FailoverStore, "spare", nothing)


def believe_any_history(monkeypatch: pytest.MonkeyPatch) -> None:
    def catch_up(self: watched_knowledge.WatchedKnowledge, *, told: int | None = None) -> int:
        with self._asking:
            return self._ask()

    monkeypatch.setattr(watched_knowledge.WatchedKnowledge, "catch_up", catch_up)


MUTANTS: Mapping[str, object] = {
    mutate.__name__: mutate
    for mutate in (
        forget_tags,
        trust_the_database_for_ever,
        store_without_a_lease,
        keep_no_spare_copy,
        believe_any_history,
    )
}


@pytest.mark.parametrize("mutate", MUTANTS.values(), ids=MUTANTS.keys())
def test_the_model_has_teeth(mutate: object, monkeypatch: pytest.MonkeyPatch) -> None:
    assert callable(mutate)
    mutate(monkeypatch)
    assert broken_in(range(SEEDS))
