"""A whole pipeline for tests: real provider over real HTTP, real engine, a clock that stands still."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from cachemgmt.api import Bulkhead, Cache, Directives, Filler
from cachemgmt.engine.filling.refreshing import Refreshes
from cachemgmt.engine.reuse.knowledge import Knowledge
from cachemgmt.engine.stores.base import Store
from cachemgmt.engine.stores.memory import MemoryStore
from chat.answering.pipeline import Pipeline
from chat.answering.report import Reporter
from chat.knowledge.embedders import Embedder, chosen_embedder
from chat.levels.failures import ProviderFailures
from chat.levels.response_cache import ChatResponseCache
from chat.providers.base import Provider
from chat.stages.retrieve import Retriever
from chat.types import Answer, Passage, Question, Turn
from chat.versions import stage_versions
from tests.fakes.clock import FakeClock

COLLECTION = "shop"

POLICIES = [
    Passage(
        document="refunds",
        title="Refunds",
        heading_path=("How long a refund takes",),
        text="Refunds are paid within 5 working days after the returned item has arrived. "
        "Refunds go to the payment method that was used for the order.",
    ),
    Passage(
        document="refunds",
        title="Refunds",
        heading_path=("What is refunded",),
        text="The refund policy covers the full price of every item that is returned within 30 days. "
        "Gift wrapping is not refunded.",
    ),
    Passage(
        document="returns",
        title="Returns",
        heading_path=("Returning an item",),
        text="Items can be returned within 30 days of delivery. Opened coffee cannot be returned.",
    ),
    Passage(
        document="shipping",
        title="Shipping",
        heading_path=("Delivery times",),
        text="Standard delivery takes 3 working days. Shipping is free for orders above 40 pounds.",
    ),
]


class KnownPolicies:
    """A KnowledgeSource whose knowledge the test sets."""

    def __init__(self) -> None:
        self.now = Knowledge(revisions={COLLECTION: "r1"})

    def known(self, at_least: int | None = None) -> Knowledge:
        """Return what the test set."""
        return self.now

    def is_current(self, told: int | None) -> bool:
        """Return that nothing else is to be known."""
        return True

    def learn(self, **changes: Any) -> None:
        """Know something new, with a higher clock."""
        self.now = replace(self.now, clock=self.now.clock + 1, **changes)


class MemoryIndex:
    """An index over a handful of passages by revision: every vector compared. Counts its searches."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self.revisions: dict[str, list[Passage]] = {"r1": list(POLICIES)}
        self.searches = 0
        self.opened: list[tuple[str, str]] = []

    def search(
        self, *, collection: str, revision: str, question: str, vector: Sequence[float], top_n: int
    ) -> list[Passage]:
        """Return the best passages of the revision by cosine, best first."""
        self.searches += 1
        passages = self.revisions[revision]
        texts = [f"{passage.title}: {passage.section}. {passage.text}" for passage in passages]
        scores = self._embedder.embed(texts) @ np.asarray(vector, dtype=np.float32)
        ranked = [
            replace(passage, score=float(score)) for passage, score in zip(passages, scores, strict=True)
        ]
        return sorted(ranked, key=lambda passage: -passage.score)[:top_n]

    def make_ready(self, *, collection: str, revision: str) -> None:
        """Note that it was asked for."""
        self.opened.append((collection, revision))


class Kitchen:
    """One process's pipeline with all that a test wants to look at or turn."""

    def __init__(
        self, provider: Provider, *, store: Store | None = None, clock: FakeClock | None = None
    ) -> None:
        embedder = chosen_embedder()
        self.clock = clock or FakeClock()
        self.policies = KnownPolicies()
        self.store = store or MemoryStore(now=self.clock)
        self.index = MemoryIndex(embedder)
        self.engine = Cache(store=self.store, source=self.policies, now=self.clock)
        self.bulkhead = Bulkhead(slots=8, most_admitted=64, warming_slots=2, queue_s=30)
        self.background: list[Callable[[], None]] = []
        """What was left to be done in the background; nobody does it but the test."""
        self.filler = Filler(
            self.engine,
            failures=ProviderFailures(),
            monotonic=self.clock,
            sleep=self.clock.advance,
            refreshes=Refreshes(self.background.append),
        )
        self.cache = ChatResponseCache(
            engine=self.engine,
            filler=self.filler,
            versions=stage_versions(provider, embedder.id),
            collection=COLLECTION,
        )
        self.pipeline = Pipeline(
            provider=provider,
            retriever=Retriever(embedder, self.index, self.cache),
            cache=self.cache,
            reporter=Reporter(self.engine.age_and_ttl_s),
            known=self.policies.known,
            bulkhead=self.bulkhead,
        )

    def ask(
        self, message: str, history: Sequence[tuple[str, str]] = (), *, cache: str = "", **fields: Any
    ) -> Answer:
        """Ask as a customer; `history` as (role, content), `cache` as directives with underscores."""
        turns = tuple(Turn(role=role, content=content) for role, content in history)  # type: ignore[arg-type]
        directives = Directives(**dict.fromkeys(cache.split(), True))
        fields = {"directives": directives, "collection": COLLECTION, **fields}
        return self.pipeline.answer(Question(message=message, history=turns, **fields))
