"""The passages of published revisions, searched: a derived view of the database.

Each revision has a Chroma collection of its own, built beside the others and never changed once complete.
It can be made again from the database at any time, so losing it costs seconds, not knowledge.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
from django.conf import settings
from django.db import Error as DatabaseFailure
from numpy.typing import NDArray

from cachemgmt.api import Bill, BookCall
from chat.errors import IndexUnavailable
from chat.knowledge.chunking import CHUNKING, chunks_of
from chat.knowledge.embedders import Embedder
from chat.knowledge.ranking import RANKING, GramWeights, blend, heading_to_embed, scores, text_to_embed
from chat.knowledge.vectors import kept_vectors
from chat.models import Collection, Document
from chat.source_document import SourceDocument
from chat.types import Passage

if TYPE_CHECKING:
    from chat.knowledge.chroma import Rows

logger = logging.getLogger(__name__)

Floats = NDArray[np.float32]
OnProgress = Callable[[int, int], None]

N_CANDIDATES = 50
"""Chroma's search is approximate and its order may vary: this many are taken and ranked exactly."""

MAX_VIEWS = 8
"""Revisions kept open: the published and the previous one of each collection in use."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Built:
    """How many passages a view has, and how many texts had to be embedded for it."""

    n_passages: int
    n_embedded: int


@dataclass(frozen=True, kw_only=True, slots=True)
class _View:
    """A complete Chroma collection, opened, with what its passages' wording weighs."""

    rows: "Rows"
    weights: GramWeights


class Index:
    """Builds and searches the views of one embedder. Thread-safe."""

    def __init__(self, embedder: Embedder) -> None:
        # Not as late as a search: Chroma imports httpx, and openai fails in another thread meanwhile.
        import chat.knowledge.chroma  # noqa: F401

        self._embedder = embedder
        self._views: dict[str, _View] = {}
        self._lock = Lock()

    def search(
        self, *, collection: str, revision: str, question: str, vector: Sequence[float], top_n: int
    ) -> list[Passage]:
        """Return the `top_n` best passages of that revision, best first; equal policies give equal results.

        A view that is missing, because its folder was deleted or the embedder was changed, is made first,
        by one thread of the process; that may take as long as an ingest. Raises IndexUnavailable if Chroma
        fails, or if that revision is neither there nor the published one; ProviderError while embedding.
        """
        if not revision:
            return []
        from chat.knowledge.chroma import RowsAreGone, nearest

        wanted = np.asarray(vector, dtype=np.float32)
        view = self._view(collection, revision)
        try:
            candidates, vectors = nearest(view.rows, wanted, max(N_CANDIDATES, top_n))
        except RowsAreGone:  # deleted since it was opened
            self._views.pop(self._name(collection, revision), None)
            view = self._view(collection, revision)
            candidates, vectors = nearest(view.rows, wanted, max(N_CANDIDATES, top_n))
        if not candidates:
            return []
        found = scores(
            question=question, vector=wanted, candidates=candidates, vectors=vectors, weights=view.weights
        )
        # Rounded, so that the last bits of a sum decide nothing; candidates come in their documents' order.
        scored = [
            replace(one, score=round(float(score), 5)) for one, score in zip(candidates, found, strict=True)
        ]
        return sorted(scored, key=lambda passage: -passage.score)[:top_n]

    def make_ready(self, *, collection: str, revision: str) -> None:
        """Open the view of that revision and search it once, without embedding anything but what a missing
        view is made of. Raises as `search` does."""
        from chat.knowledge.chroma import any_vector, nearest

        rows = self._view(collection, revision).rows
        vector = any_vector(rows)
        if vector is not None:
            nearest(rows, vector, 1)

    def build(
        self,
        *,
        collection: str,
        revision: str,
        documents: Iterable[SourceDocument],
        book: BookCall,
        on_progress: OnProgress = lambda done, total: None,
    ) -> Built:
        """Make the view of a revision; a complete one stays as it is. `on_progress` is told how many texts
        are embedded, of how many. Raises IndexUnavailable, ProviderError."""
        from chat.knowledge.chroma import forget_embedded, write

        in_order = sorted(documents, key=lambda document: document.key)
        passages = [passage for document in in_order for passage in passages_of(document)]
        vectors, n_embedded = self._vectors(passages, book=book, on_progress=on_progress)
        name = self._name(collection, revision)
        try:
            write(name, passages, vectors)
        except IndexUnavailable:
            if settings.CHROMA_URL is not None:
                raise
            forget_embedded()  # perhaps its folder was deleted under the open files
            self._views.clear()
            write(name, passages, vectors)
        return Built(n_passages=len(passages), n_embedded=n_embedded)

    def remove_others(self, *, collection: str, keep: Iterable[str]) -> None:
        """Delete the collection's views of all revisions but those in `keep`. Raises IndexUnavailable."""
        from chat.knowledge.chroma import all_names, remove

        kept = set(keep)
        for name in all_names():
            if name.partition(".")[0] == collection and name.rpartition(".")[2] not in kept:
                remove(name)

    def _name(self, collection: str, revision: str) -> str:
        # The embedder and the code are in it, although the revision names those it was published with: while
        # two versions of the code serve side by side, each has its own view of one revision.
        return f"{collection}.{self._embedder.id}.{CHUNKING}{RANKING}.{revision}"

    def _view(self, collection: str, revision: str) -> _View:
        from chat.knowledge.chroma import all_passages, opened

        name = self._name(collection, revision)
        view = self._views.get(name)
        if view is not None:
            return view
        with self._lock:
            view = self._views.get(name)
            if view is not None:
                return view  # another thread has opened it meanwhile
            rows = opened(name)
            if rows is None:
                try:
                    self._rebuild(collection, revision)
                except DatabaseFailure as error:
                    raise IndexUnavailable from error
                rows = opened(name)
            if rows is None:
                raise IndexUnavailable
            view = _View(rows=rows, weights=GramWeights(all_passages(rows)))
            while len(self._views) >= MAX_VIEWS:
                self._views.pop(next(iter(self._views)))
            self._views[name] = view
            return view

    def _rebuild(self, collection: str, revision: str) -> None:
        logger.warning("The index of a revision is missing and is made again", extra={"action": "rebuild"})
        published = Collection.objects.filter(slug=collection, revision=revision)
        row = published.first()
        if row is None:
            raise IndexUnavailable("That revision of the policies is not the published one.")
        documents = Document.objects.filter(collection=row).sources()
        if not published.exists():
            raise IndexUnavailable("The policies were published anew meanwhile.")
        bill = Bill(purpose="ingest", collection=collection)
        self.build(collection=collection, revision=revision, documents=documents, book=bill.book)

    def _vectors(
        self, passages: Sequence[Passage], *, book: BookCall, on_progress: OnProgress
    ) -> tuple[Floats, int]:
        texts = [text_to_embed(one.title, one.heading_path, one.text) for one in passages]
        headings = [heading_to_embed(one.title, one.heading_path) for one in passages]
        both, n_embedded = kept_vectors(
            texts + headings, embedder=self._embedder, book=book, on_progress=on_progress
        )
        return blend(both[: len(texts)], both[len(texts) :]), n_embedded


def passages_of(document: SourceDocument) -> list[Passage]:
    """Return the document's passages in its order, without scores."""
    return [
        Passage(document=document.key, title=document.title, heading_path=chunk.heading_path, text=chunk.text)
        for chunk in chunks_of(document.title, document.text)
    ]
