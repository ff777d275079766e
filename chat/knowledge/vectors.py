"""Vectors of texts, kept in the database: no text is embedded, or paid for, twice."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from cachemgmt.api import BookCall
from chat.knowledge.embedders import Embedder
from chat.models import StoredVector, hash_of_text

Floats = NDArray[np.float32]

BATCH_SIZE = 64
"""Texts embedded before their vectors are kept: a process that is killed loses at most this work."""


def kept_vectors(
    texts: Sequence[str],
    *,
    embedder: Embedder,
    book: BookCall,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Floats, int]:
    """Return the texts' vectors, (n_texts, n_dims) float32, and how many texts were newly embedded.

    `on_progress` is told how many of the missing texts are done, of how many. Raises ProviderError.
    """
    hashes = [hash_of_text(text) for text in texts]
    by_hash = StoredVector.objects.by_hash(embedder_id=embedder.id, hashes=list(dict.fromkeys(hashes)))
    missing = {
        text_hash: text for text_hash, text in zip(hashes, texts, strict=True) if text_hash not in by_hash
    }
    waiting = list(missing)
    for start in range(0, len(waiting), BATCH_SIZE):
        batch = waiting[start : start + BATCH_SIZE]
        made = embedder.embed([missing[text_hash] for text_hash in batch], book=book)
        new = dict(zip(batch, made, strict=True))
        StoredVector.objects.keep(embedder_id=embedder.id, vectors=new)
        by_hash.update(new)
        on_progress(start + len(batch), len(waiting))
    if not texts:
        return np.zeros((0, embedder.n_dims), dtype=np.float32), 0
    return np.stack([by_hash[text_hash] for text_hash in hashes]), len(waiting)
