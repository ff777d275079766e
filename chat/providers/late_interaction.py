"""How well each word of a question is matched by some word of a passage, in meaning.

A passage's one vector blurs the words in it. Here every token of the question looks for its nearest token in
the passage, and these nearnesses are averaged (MaxSim of ColBERT: Khattab & Zaharia 2020, arXiv:2004.12832).
"""

from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from chat.knowledge.embedders import Floats

KEPT_TEXTS = 400
"""Texts whose tokens are kept in memory, at most 200 kB each: the same policies are asked about again."""


@runtime_checkable
class TokenEmbedder(Protocol):
    """An embedder that can show the tokens it makes a text's vector of."""

    def embed_tokens(self, texts: Sequence[str]) -> list[Floats]:
        """Return each text's tokens, (n_tokens, n_dims) float32, unit norm."""
        ...


class LateInteraction:
    """Matches questions with texts, token by token. Thread-safe."""

    def __init__(self, embedder: TokenEmbedder) -> None:
        self._embedder = embedder
        self._kept: OrderedDict[str, NDArray[np.float16]] = OrderedDict()
        self._lock = Lock()

    def nearness(self, question: str, texts: Sequence[str], headings: Sequence[str]) -> Floats:
        """Return (n_texts,) float32, at most 1: the mean nearness of the question's tokens to the nearest of
        each text's, or of its heading's, which says other things when read by itself."""
        asked = self._embedder.embed_tokens([question])[0]
        if not len(asked):
            return np.zeros(len(texts), dtype=np.float32)
        kept = self._tokens([*texts, *headings])
        pairs = zip(kept[: len(texts)], kept[len(texts) :], strict=True)
        return np.array([_best(asked, np.concatenate(pair)) for pair in pairs], dtype=np.float32)

    def _tokens(self, texts: Sequence[str]) -> list[NDArray[np.float16]]:
        with self._lock:
            found = {text: self._kept[text] for text in texts if text in self._kept}
        missing = sorted(set(texts) - found.keys())
        if missing:
            made = self._embedder.embed_tokens(missing)
            found |= {text: tokens.astype(np.float16) for text, tokens in zip(missing, made, strict=True)}
        with self._lock:
            for text in texts:
                self._kept[text] = found[text]
                self._kept.move_to_end(text)
            while len(self._kept) > KEPT_TEXTS:
                self._kept.popitem(last=False)
        return [found[text] for text in texts]


def _best(asked: Floats, tokens: NDArray[np.float16]) -> float:
    if not len(tokens):
        return 0.0
    return float((asked @ tokens.astype(np.float32).T).max(axis=1).mean())
