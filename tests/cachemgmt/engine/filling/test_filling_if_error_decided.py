"""Past its TTL, and the provider fails: a decision against what is stored counts, whenever it falls."""

from collections.abc import Callable

import pytest

from cachemgmt.engine.errors import StoreUnavailable
from cachemgmt.engine.filling.cache import Cache
from cachemgmt.engine.filling.filling import Filler
from cachemgmt.engine.reuse.knowledge import Rule
from tests.cachemgmt.engine.fakes import FakeSource, FakeTime, Fill, StagedStore, fresh_s, keep, take
from tests.cachemgmt.engine.processes import ProviderOut

OUT = ProviderOut("busy")
Change = Callable[[FakeSource, StagedStore], None]


@pytest.fixture(autouse=True)
def stale(cache: Cache, now: FakeTime) -> None:
    """Something is stored, and past its TTL by now."""
    keep(cache, value="stale", tags=("intent:fees",))
    now.advance(fresh_s() + 10)


def gets_error(filler: Filler, fill: Fill) -> None:
    with pytest.raises(ProviderOut) as caught:
        take(filler, fill)
    assert caught.value is OUT


def flush(source: FakeSource, store: StagedStore) -> None:
    source.flush(store, "tag", "intent:fees")


def switch_off(source: FakeSource, store: StagedStore) -> None:
    source.decide(store, is_on=False)


def switch_level_off(source: FakeSource, store: StagedStore) -> None:
    """Its own intent's rule says otherwise, but the level's goes before."""
    on, off = Rule(ttl_s=1800), Rule(ttl_s=1800, is_enabled=False)
    source.decide(store, rules={("reply", ""): off, ("reply", "fees"): on})


def switch_intent_off(source: FakeSource, store: StagedStore) -> None:
    source.decide(store, rules={("reply", "fees"): Rule(ttl_s=1800, is_enabled=False)})


def news_that_cannot_be_read(source: FakeSource, store: StagedStore) -> None:
    source.flush(store)
    source.is_database_out = True


CHANGES: list[Change] = [flush, switch_off, switch_level_off, switch_intent_off, news_that_cannot_be_read]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("when", ["before", "during"])
def test_a_decision_against_it_counts_also_if_it_falls_during_the_fill(
    filler: Filler, store: StagedStore, source: FakeSource, change: Change, when: str
) -> None:
    if when == "before":
        change(source, store)
        gets_error(filler, Fill(error=OUT))
    else:
        gets_error(filler, Fill(error=OUT, during=lambda: change(source, store)))


def test_a_flush_of_something_else_leaves_it(filler: Filler, store: StagedStore, source: FakeSource) -> None:
    fill = Fill(error=OUT, during=lambda: source.flush(store, "tag", "intent:refund"))
    assert take(filler, fill).value == "stale"


def test_a_store_that_fails_meanwhile_does_not_hinder(filler: Filler, store: StagedStore) -> None:
    def during() -> None:
        store.fails = {"get_many": StoreUnavailable(), "end_lease": StoreUnavailable()}

    assert take(filler, Fill(error=OUT, during=during)).value == "stale"


def test_without_the_store_the_databases_word_must_be_young(
    filler: Filler, store: StagedStore, source: FakeSource
) -> None:
    def during() -> None:
        store.fails = {"get_many": StoreUnavailable()}
        source.is_confirmed = False

    gets_error(filler, Fill(error=OUT, during=during))
