"""Each word of a question looks for its match."""

from collections.abc import Sequence

import pytest

from chat.knowledge.embedders import Floats, HashedWordsEmbedder
from chat.providers.late_interaction import LateInteraction, TokenEmbedder


class WordByWord:
    """Shows each word's own vector. Remembers what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def embed_tokens(self, texts: Sequence[str]) -> list[Floats]:
        self.asked += texts
        return [HashedWordsEmbedder().embed(text.split()) for text in texts]


def test_the_nearness_is_the_share_of_words_that_have_a_match() -> None:
    found = LateInteraction(WordByWord()).nearness(
        "red mug", ["a red mug", "a red cup", "none"], ["", "", ""]
    )
    assert found.tolist() == pytest.approx([1.0, 0.5, 0.0], abs=0.01)


def test_a_heading_counts_as_the_text_does() -> None:
    found = LateInteraction(WordByWord()).nearness("red mug", ["red", "red"], ["mug", "cup"])
    assert found.tolist() == pytest.approx([1.0, 0.5], abs=0.01)


def test_a_question_or_passage_without_words_is_near_nothing() -> None:
    late = LateInteraction(WordByWord())
    assert late.nearness("", ["red"], [""]).tolist() == [0.0]
    assert late.nearness("red", [""], [""]).tolist() == [0.0]


def test_passages_are_embedded_once() -> None:
    embedder = WordByWord()
    late = LateInteraction(embedder)
    for _ in range(2):
        late.nearness("red", ["red mug"], ["mugs"])
    assert embedder.asked.count("red mug") == 1


def test_an_embedder_without_tokens_is_told_apart() -> None:
    assert isinstance(WordByWord(), TokenEmbedder)
    assert not isinstance(HashedWordsEmbedder(), TokenEmbedder)
