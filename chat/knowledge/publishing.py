"""Policies into force: documents, revision and the cache's clock change together, or not at all."""

import json
import logging
from collections.abc import Collection as Keys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b

from django.db import transaction
from django.utils import timezone

from cachemgmt.api import Bill
from chat.errors import IndexUnavailable
from chat.knowledge.chunking import CHUNKING
from chat.knowledge.embedders import Embedder, chosen_embedder
from chat.knowledge.index import Built, Index, OnProgress
from chat.models import ROWS_PER_QUERY, Collection, Document, hash_of_text
from chat.source_document import SourceDocument

logger = logging.getLogger(__name__)

MAX_ATTEMPTS = 5
"""Times to begin anew because somebody else published the collection meanwhile."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Publication:
    """What came of publishing: keys of documents, sorted, and counts. `built` is None where nothing changed,
    and then nothing was published. `others` are the collection's documents that were not spoken of."""

    revision: str
    added: tuple[str, ...] = ()
    updated: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    built: Built | None = None

    def __str__(self) -> str:
        counts = [
            f"{len(keys)} {word}"
            for word, keys in (
                ("added", self.added),
                ("updated", self.updated),
                ("unchanged", self.unchanged),
                ("removed", self.removed),
            )
            if keys or word == "unchanged"
        ]
        if self.built:
            counts.append(f"{self.built.n_passages} passages")
            counts.append(f"{self.built.n_embedded} vectors newly embedded")
        return f"{', '.join(counts)}, revision {self.revision or 'none'}"


Fingerprints = Mapping[str, tuple[str, str]]
"""The title and content hash of documents by their keys."""


def revision_of(documents: Fingerprints, *, embedder_id: str) -> str:
    """Return the name of this state of policies, 24 hex digits: equal wherever the policies, the way they
    are cut and the embedder are equal."""
    stated = [CHUNKING, embedder_id, sorted((key, *rest) for key, rest in documents.items())]
    content = json.dumps(stated, ensure_ascii=True, separators=(",", ":"))
    return blake2b(content.encode(), digest_size=12).hexdigest()


def publish(
    collection: Collection,
    documents: Iterable[SourceDocument],
    *,
    removed: Keys[str] = (),
    is_complete: bool = False,
    embedder: Embedder | None = None,
    on_progress: OnProgress = lambda done, total: None,
) -> Publication:
    """Put these documents into the collection, take out the removed ones, and publish what it then holds.

    `is_complete` says that all of the collection's documents are given: those that are not are removed.
    The new revision's index is built first, beside the one in use, without any lock on the database; then
    one short transaction changes the documents, the revision and the clock. Safe to run in several
    processes at once. Raises IndexUnavailable, ProviderError; then nothing has changed.
    """
    embedder = embedder or chosen_embedder()
    index = Index(embedder)
    given = {document.key: document for document in documents}
    for _ in range(MAX_ATTEMPTS):
        collection.refresh_from_db()
        base = collection.revision
        before = _fingerprints(collection)
        gone = {key for key in before if key not in given} if is_complete else set(removed) & set(before)
        after = {key: entry for key, entry in before.items() if key not in gone}
        after |= {key: (one.title, hash_of_text(one.text)) for key, one in given.items()}
        revision = revision_of(after, embedder_id=embedder.id) if after else ""
        result = Publication(
            revision=revision,
            added=tuple(sorted(given.keys() - before.keys())),
            updated=tuple(sorted(key for key in given.keys() & before.keys() if before[key] != after[key])),
            unchanged=tuple(sorted(key for key in given.keys() & before.keys() if before[key] == after[key])),
            removed=tuple(sorted(gone)),
            others=tuple(sorted(before.keys() - given.keys() - gone)),
        )
        if revision == base:
            return result
        built = Built(n_passages=0, n_embedded=0)
        if revision:
            built = index.build(
                collection=collection.slug,
                revision=revision,
                documents=_whole(collection, given, result.others),
                book=Bill(purpose="ingest", collection=collection.slug).book,
                on_progress=on_progress,
            )
        if _switch(collection, base=base, result=result, given=given):
            _tidy(index, collection.slug, keep=[revision, base])
            return replace(result, built=built)
    raise IndexUnavailable("Others keep publishing this collection; try again.")


def _fingerprints(collection: Collection) -> Fingerprints:
    return Document.objects.filter(collection=collection).fingerprints()


def _whole(
    collection: Collection, given: Mapping[str, SourceDocument], others: Sequence[str]
) -> list[SourceDocument]:
    """Return the given documents and, from the database, the others."""
    documents = list(given.values())
    for start in range(0, len(others), ROWS_PER_QUERY):
        some = others[start : start + ROWS_PER_QUERY]
        documents += Document.objects.filter(collection=collection, key__in=some).sources()
    return documents


def _tidy(index: Index, slug: str, *, keep: Sequence[str]) -> None:
    """Delete older revisions' views. The previous one stays: questions under way may still search it."""
    try:
        index.remove_others(collection=slug, keep=keep)
    except IndexUnavailable:  # it is published all the same, and the next one tidies up
        logger.warning("Old revisions could not be removed from the index", extra={"action": "tidy"})


def _switch(
    collection: Collection, *, base: str, result: Publication, given: Mapping[str, SourceDocument]
) -> bool:
    """Change documents, revision and clock together. Return False if somebody published since `base`."""
    now = timezone.now()
    with transaction.atomic():
        locked = Collection.objects.select_for_update().get(pk=collection.pk)
        if locked.revision != base:
            return False
        for start in range(0, len(result.removed), ROWS_PER_QUERY):
            some = result.removed[start : start + ROWS_PER_QUERY]
            Document.objects.filter(collection=locked, key__in=some).delete()
        Document.objects.put(locked, [given[key] for key in (*result.added, *result.updated)], updated_at=now)
        locked.revision = result.revision
        locked.published_at = now if result.revision else None
        locked.save(update_fields=["revision", "published_at"])  # which raises the clock
    collection.refresh_from_db()
    return True
