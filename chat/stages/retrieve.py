"""Stage 2: find the policy passages that bear on the question."""

from collections.abc import Sequence
from dataclasses import replace
from time import perf_counter
from typing import Protocol

from cachemgmt.api import Bill, BookCall, FillResult
from chat.knowledge.embedders import Embedder
from chat.levels.response_cache import ChatResponseCache
from chat.levels.scope import Scope
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

    def make_ready(self, *, collection: str, revision: str) -> None:
        """Load what the first search of that revision would have to wait for. Raises as `search` does."""
        ...


class Retriever:
    """Finds passages, from the cache where it holds them. Thread-safe."""

    def __init__(self, embedder: Embedder, index: PassageIndex, cache: ChatResponseCache) -> None:
        self._embedder = embedder
        self._index = index
        self._cache = cache

    def load_model(self, *, book: BookCall) -> None:
        """Load the embedder's model. Raises ProviderError."""
        self._embed("ready", book)

    def open_index(self, collection: str, revision: str) -> None:
        """Load what the first search of that revision would have to wait for; nothing where there is none.

        Raises IndexUnavailable, and ProviderError where the index has to be built."""
        if revision:
            self._index.make_ready(collection=collection, revision=revision)

    def passages(self, question: str, *, revision: str, scope: Scope, bill: Bill) -> list[Passage]:
        """Return the `TOP_N` best passages of that revision, best first. Raises IndexUnavailable, and
        ProviderError while embedding."""
        stored = self._cache.get_policy_retrieval(question, revision=revision, top_n=TOP_N, scope=scope)
        if stored:
            return [Passage(**{**row, "heading_path": tuple(row["heading_path"])}) for row in stored.value]
        started = perf_counter()
        found = self._index.search(
            collection=scope.collection,
            revision=revision,
            question=question,
            vector=self._vector(question, scope, bill),
            top_n=TOP_N,
        )
        self._cache.set_policy_retrieval(
            question, found, revision=revision, top_n=TOP_N, scope=scope, fill_s=perf_counter() - started
        )
        return found

    def _vector(self, question: str, scope: Scope, bill: Bill) -> Sequence[float]:
        def fill(bill: Bill) -> FillResult:
            spent_before = bill.spent_usd
            vector = self._embed(question, bill.book)
            cost_usd = bill.since(spent_before)
            return FillResult(value=vector, cost_usd=cost_usd, question=question, keep_under=None)

        made = self._cache.fill_vector(
            question,
            self._embedder.id,
            lambda: fill(bill),
            refill=lambda: fill(bill.for_refresh()),
            scope=scope,
        )
        vector: list[float] = made.value
        return vector

    def _embed(self, text: str, book: BookCall) -> list[float]:
        return [float(value) for value in self._embedder.embed([text], book=book)[0]]


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
