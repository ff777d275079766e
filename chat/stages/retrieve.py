"""Stage 2: find the policy passages that bear on the question."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from cachemgmt.api import BookCall
from chat.knowledge.embedders import Embedder
from chat.types import Passage

TOP_N = 5
"""How many passages a reply may rest on."""

MIN_SCORE = 0.28
"""Below this the best passage does not bear on the question."""


class PassageIndex(Protocol):
    """Where published passages are searched."""

    def search(
        self, *, collection: str, revision: str, question: str, vector: Sequence[float], top_n: int
    ) -> list[Passage]:
        """Return the `top_n` best passages of that revision, best first. Raises IndexUnavailable."""
        ...


class Retriever:
    """Searches the published passages of a collection. Thread-safe."""

    def __init__(self, embedder: Embedder, index: PassageIndex) -> None:
        self._embedder = embedder
        self._index = index
        self.embedder_id = embedder.id

    def embed(self, question: str, *, book: BookCall) -> list[float]:
        """Return the question's vector, unit norm."""
        return [float(value) for value in self._embedder.embed([question], book=book)[0]]

    def search(
        self, *, collection: str, revision: str, question: str, vector: Sequence[float]
    ) -> list[Passage]:
        """Return the `TOP_N` best passages of that revision, best first. Raises IndexUnavailable."""
        return self._index.search(
            collection=collection, revision=revision, question=question, vector=vector, top_n=TOP_N
        )


def is_enough(passages: Sequence[Passage]) -> bool:
    """Whether these passages can carry an answer at all. If not, nothing is written and nothing invented."""
    return any(passage.score >= MIN_SCORE for passage in passages)


def in_canonical_order(passages: Sequence[Passage]) -> list[Passage]:
    """Return the passages as keys and models see them: in an order of their own, and without the scores.

    However they were ranked, and whatever other policies there are, the same passages are the same input.
    """
    unranked = [replace(passage, score=0.0) for passage in passages]
    return sorted(
        unranked, key=lambda passage: (passage.title, passage.heading_path, passage.text, passage.document)
    )
