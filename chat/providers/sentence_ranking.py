"""Which sentences of the passages answer a question best."""

import re
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from threading import Lock

import numpy as np

from cachemgmt.api import BookCall
from chat.checks.figures import figures
from chat.knowledge.embedders import Embedder, Floats
from chat.knowledge.ranking import GramWeights, blend, heading_to_embed, scores, text_to_embed
from chat.providers.late_interaction import LateInteraction, TokenEmbedder
from chat.providers.quoting import Sentence, sentences_of
from chat.types import Passage

PASSAGE_WEIGHT = 1.5
"""A sentence's passage counts most. Its score is computed anew from the passages given: the one it was found
with depends on all other policies, which the reply's key does not cover."""
TOKENS_WEIGHT = 1.5
"""That of the passage's tokens to the question's, where the embedder shows its tokens. Measured with MiniLM:
with it, the right section is quoted first for 57 of 65 questions on Basecamp's policies (52 without) and for
67 of 97 on the sample (67); among the two quoted it is for 58 (58) and 78 (75)."""
WORDING_WEIGHT = 0.15
FIGURE_BONUS = 0.08
"""For a sentence with a figure where one is asked for."""

KEPT_VECTORS = 5000
"""Sentences whose vectors are kept in memory (8 MB): the same policies are quoted again and again."""

_ASKS_FOR_A_FIGURE = re.compile(
    r"\b(?:how (?:long|much|many|late|soon|often|far|old|big|high)|when|until|deadline|"
    r"(?:what|which) (?:time|day|date|share|percentage)|"
    r"what (?:do|does|will|would|is|are).*\b(?:costs?|prices?|fees?|charges?|limit))\b"
)


@dataclass(frozen=True, slots=True)
class Ranked:
    """A sentence: `position` is its place in `passages[passage]`; a higher score is better."""

    passage: int
    position: int
    sentence: Sentence
    score: float


class SentenceRanker:
    """Scores sentences against a question. Thread-safe."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._late = LateInteraction(embedder) if isinstance(embedder, TokenEmbedder) else None
        self._kept: OrderedDict[str, Floats] = OrderedDict()
        self._lock = Lock()

    def rank(self, question: str, passages: Sequence[Passage], *, book: BookCall) -> list[Ranked]:
        """Return all sentences of the passages, best first.

        A sentence is scored by its nearness to the question, alone and under its heading, by the wording they
        share, and by its passage. Equal ones are ordered by their passages' contents, so the passages' order
        does not matter. Raises ProviderError while embedding.
        """
        rows = [(n, m, s) for n, one in enumerate(passages) for m, s in enumerate(sentences_of(one.text))]
        if not rows:
            return []
        alone = [_whole(sentence) for _, _, sentence in rows]
        in_place = [f"{passages[n].section}. {text}" for (n, _, _), text in zip(rows, alone, strict=True)]
        whole = [text_to_embed(one.title, one.heading_path, one.text) for one in passages]
        places = [heading_to_embed(one.title, one.heading_path) for one in passages]
        vectors = self._vectors([question, *alone, *in_place, *whole, *places], book)
        asked, near_alone, near_in_place = vectors[0], *np.split(vectors[1 : 1 + 2 * len(rows)], 2)
        near = (near_alone @ asked + near_in_place @ asked) / 2
        of_passage = scores(
            question=question,
            vector=asked,
            candidates=passages,
            vectors=blend(*np.split(vectors[1 + 2 * len(rows) :], 2)),
            weights=GramWeights(passages),
        )
        of_passage = PASSAGE_WEIGHT * of_passage
        if self._late is not None:
            of_passage += TOKENS_WEIGHT * self._late.nearness(question, whole, places)
        texts = [replace(passages[n], text=text) for (n, _, _), text in zip(rows, alone, strict=True)]
        shared = GramWeights(texts).shares(question, texts)
        wants_figure = _ASKS_FOR_A_FIGURE.search(question.casefold()) is not None
        ranked = []
        for (n, m, sentence), text, own, wording in zip(rows, alone, near, shared, strict=True):
            bonus = FIGURE_BONUS if wants_figure and any(figures(text)) else 0.0
            score = float(of_passage[n]) + float(own) + WORDING_WEIGHT * float(wording) + bonus
            ranked.append(Ranked(n, m, sentence, round(score, 4)))

        def place(row: Ranked) -> tuple[float, str, tuple[str, ...], str, int]:
            one = passages[row.passage]
            return (-row.score, one.title, one.heading_path, one.text, row.position)

        return sorted(ranked, key=place)

    def _vectors(self, texts: Sequence[str], book: BookCall) -> Floats:
        """Return (n_texts, n_dims); only texts not seen lately are embedded."""
        with self._lock:
            found = {text: self._kept[text] for text in texts if text in self._kept}
        missing = sorted(set(texts) - found.keys())
        if missing:
            found |= zip(missing, self._embedder.embed(missing, book=book), strict=True)
        with self._lock:
            for text in texts[1:]:  # not the question: it seldom comes again
                self._kept[text] = found[text]
                self._kept.move_to_end(text)
            while len(self._kept) > KEPT_VECTORS:
                self._kept.popitem(last=False)
        return np.stack([found[text] for text in texts])


def _whole(sentence: Sentence) -> str:
    return f"{sentence.lead} {sentence.text}" if sentence.lead else sentence.text
