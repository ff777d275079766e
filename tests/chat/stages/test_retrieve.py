"""What the later stages are given of the passages."""

from dataclasses import replace

from chat.stages.retrieve import MIN_SCORE, in_canonical_order, is_enough
from tests.fakes.kitchen import COLLECTION, POLICIES, Kitchen
from tests.fakes.llm_server import LlmServer


def test_the_same_passages_are_the_same_input_however_they_were_ranked() -> None:
    ranked = [replace(one, score=0.9 - n / 10) for n, one in enumerate(POLICIES)]
    otherwise = [replace(one, score=0.3 + n / 10) for n, one in enumerate(reversed(POLICIES))]
    assert in_canonical_order(ranked) == in_canonical_order(otherwise)
    assert {one.score for one in in_canonical_order(ranked)} == {0.0}


def test_one_good_passage_is_enough() -> None:
    assert is_enough([replace(POLICIES[0], score=MIN_SCORE), replace(POLICIES[1], score=0.1)])
    assert not is_enough([replace(POLICIES[0], score=MIN_SCORE - 0.01)])
    assert not is_enough([])


def test_getting_ready_opens_what_is_published_and_costs_nothing(
    kitchen: Kitchen, llm_server: LlmServer
) -> None:
    retriever = kitchen.pipeline.retriever
    retriever.load_model(book=lambda _call: None)
    retriever.open_index(COLLECTION, "r1")
    retriever.open_index("without-policies", "")
    assert kitchen.index.opened == [(COLLECTION, "r1")]
    assert llm_server.calls == []
