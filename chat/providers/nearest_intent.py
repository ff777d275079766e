"""A message's intent by the examples it is nearest to."""

import math
from threading import Lock

import numpy as np

from cachemgmt.api import BookCall
from chat.judging.intents import OTHER, intents
from chat.knowledge.embedders import Embedder, Floats
from chat.types import IntentKind

N_EXAMPLES = 3
"""An intent is as near as its nearest examples, on average: one alone may be near by chance."""

FLOORS: dict[IntentKind, float] = {"policy": 0.3, "smalltalk": 0.55, "handoff": 0.5}
"""Below this similarity a message does not have the intent; higher where no policy would be looked at. Not
asked of smalltalk where there is nothing else it could be."""

PERSONAL_HANDICAP = 0.12
"""What a personal intent must be nearer by, unless the message is known to be personal: "can I change an
order?" is nearly "change my order", but may be answered alike for everyone."""


class NearestIntent:
    """Knows the intents' examples by their vectors, made at the first call. Thread-safe."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._names = [intent.name for intent in intents().values() for _ in intent.examples]
        self._vectors: Floats | None = None
        self._lock = Lock()

    def make_ready(self, *, book: BookCall) -> None:
        """Embed the examples, if that is not done yet."""
        self._example_vectors(book)

    def of(
        self, message: str, *, is_personal: bool, kinds: frozenset[IntentKind], book: BookCall
    ) -> tuple[str, float]:
        """Return the nearest intent's name and how sure that is, 0..1, among the intents of these `kinds`
        and `other`."""
        similarities = self._example_vectors(book) @ self._embedder.embed([message], book=book)[0]
        nearness: dict[str, float] = {}
        for intent in intents().values():
            if intent.kind not in kinds or intent.name == OTHER:
                continue
            own = [float(s) for s, name in zip(similarities, self._names, strict=True) if name == intent.name]
            near = sum(sorted(own)[-N_EXAMPLES:]) / N_EXAMPLES
            if near >= FLOORS[intent.kind] or kinds == {"smalltalk"}:
                handicap = PERSONAL_HANDICAP if intent.is_personal and not is_personal else 0.0
                nearness[intent.name] = near - handicap
        if not nearness:
            return OTHER, 0.5
        ranked = sorted(nearness, key=lambda name: (-nearness[name], name))
        runner_up = nearness[ranked[1]] if len(ranked) > 1 else FLOORS["policy"] / 2
        return ranked[0], _confidence(nearness[ranked[0]] - runner_up)

    def _example_vectors(self, book: BookCall) -> Floats:
        with self._lock:  # the others wait: embedding the examples twice would cost twice
            if self._vectors is None:
                examples = [example for intent in intents().values() for example in intent.examples]
                self._vectors = np.asarray(self._embedder.embed(examples, book=book))
            return self._vectors


def _confidence(lead: float) -> float:
    """Return how often the nearest intent is right for such a lead over the next, as measured on the sample
    questions: 0.4 without any lead, 0.75 for 0.08, 0.95 for 0.3."""
    return round(0.4 + 0.57 * (1 - math.exp(-max(0.0, lead) / 0.09)), 3)
