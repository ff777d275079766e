"""Policies: collections, their documents, revisions and vectors."""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import ClassVar

import numpy as np
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.utils import timezone
from numpy.typing import NDArray

from cachemgmt.api import Decision
from chat.source_document import SourceDocument

SHAPES_RESULTS = False  # rows are stored as they are given: see chat.source_code

Floats = NDArray[np.float32]

ORIGIN = re.compile(r"https?://(?:[a-z0-9-]+(?:\.[a-z0-9-]+)*|\[[0-9a-f:]+\])(?::[0-9]{1,5})?")
SLUG = r"^[a-z0-9][a-z0-9-]{0,49}$"
ROWS_PER_QUERY = 500
"""Databases bound how many parameters one query may have."""


def hash_of_text(text: str) -> str:
    """Return 32 hex digits that stand for exactly this text."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def check_origins(text: str) -> None:
    """Raise ValidationError naming the lines that are no origin: scheme and host, with a port perhaps."""
    wrong = [line for line in text.split() if not ORIGIN.fullmatch(line)]
    if wrong:
        told = (
            f"No origin: {', '.join(wrong[:3])}. It reads like https://www.example.com, with nothing behind."
        )
        raise ValidationError(told)


class Collection(Decision):
    """One company's policies. `revision` names exactly what of them is published, "" for nothing yet.

    The revision changes only together with the documents, in one transaction: `chat.knowledge.publishing`
    does that.
    """

    slug = models.CharField(max_length=50, unique=True, validators=[RegexValidator(SLUG)])
    name = models.CharField(max_length=100)
    revision = models.CharField(max_length=32, blank=True, editable=False)
    published_at = models.DateTimeField(null=True, editable=False)
    allowed_origins = models.TextField(
        blank=True,
        validators=[check_origins],
        help_text="Web pages that may ask this collection from the browser, one origin per line, such as "
        "https://www.example.com. Each needs a session that a server of yours starts.",
    )

    class Meta:
        ordering: ClassVar = ["slug"]
        constraints: ClassVar = [
            models.CheckConstraint(condition=models.Q(slug__regex=SLUG), name="slug_is_lower_case"),
            models.CheckConstraint(
                condition=models.Q(revision="", published_at=None)
                | (~models.Q(revision="") & models.Q(published_at__isnull=False)),
                name="published_has_revision_and_time",
            ),
        ]

    def __str__(self) -> str:
        return self.name


def allowed_origins() -> dict[str, frozenset[str]]:
    """Return the origins whose pages may ask, by collection. One query."""
    rows = Collection.objects.exclude(allowed_origins="").values_list("slug", "allowed_origins")
    return {slug: frozenset(text.split()) for slug, text in rows}


class DocumentQuerySet(models.QuerySet["Document"]):
    """Many documents at once."""

    def fingerprints(self) -> dict[str, tuple[str, str]]:
        """Return the title and content hash of each document by its key. One query, no texts."""
        return {
            key: (title, content) for key, title, content in self.values_list("key", "title", "content_hash")
        }

    def sources(self) -> list[SourceDocument]:
        """Return the documents as they were written, by key."""
        rows = self.order_by("key").values_list("key", "title", "text")
        return [SourceDocument(key=key, title=title, text=text) for key, title, text in rows]

    def put(
        self, collection: Collection, documents: Iterable[SourceDocument], *, updated_at: datetime
    ) -> None:
        """Add the documents to the collection, or update those whose keys it has."""
        rows = [
            Document(
                collection=collection,
                key=document.key,
                title=document.title,
                text=document.text,
                content_hash=hash_of_text(document.text),
                updated_at=updated_at,
            )
            for document in documents
        ]
        self.bulk_create(
            rows,
            batch_size=ROWS_PER_QUERY,
            update_conflicts=True,
            unique_fields=["collection", "key"],
            update_fields=["title", "text", "content_hash", "updated_at"],
        )


class Document(models.Model):
    """One policy as it was written. Its passages are a derived view of it."""

    collection = models.ForeignKey(Collection, on_delete=models.CASCADE, related_name="documents")
    key = models.CharField(max_length=300, help_text="Its id or path, unique in the collection.")
    title = models.CharField(max_length=300)
    text = models.TextField()
    content_hash = models.CharField(max_length=32, editable=False)
    updated_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = DocumentQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["collection", "key"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["collection", "key"], name="a_key_once_per_collection"),
            models.CheckConstraint(
                condition=~models.Q(key="") & ~models.Q(title=""), name="document_has_key_and_title"
            ),
        ]

    def __str__(self) -> str:
        return self.title


class StoredVectorQuerySet(models.QuerySet["StoredVector"]):
    """Vectors of many texts at once."""

    def by_hash(self, *, embedder_id: str, hashes: Sequence[str]) -> dict[str, Floats]:
        """Return the vectors that are kept for these texts' hashes, (n_dims,) float32 each."""
        found: dict[str, Floats] = {}
        for start in range(0, len(hashes), ROWS_PER_QUERY):
            rows = self.filter(embedder=embedder_id, text_hash__in=hashes[start : start + ROWS_PER_QUERY])
            for text_hash, vector in rows.values_list("text_hash", "vector"):
                found[text_hash] = np.frombuffer(bytes(vector), dtype="<f4")
        return found

    def keep(self, *, embedder_id: str, vectors: Mapping[str, Floats]) -> None:
        """Keep the vectors of texts by the texts' hashes. One that is already kept stays as it is."""
        rows = [
            StoredVector(embedder=embedder_id, text_hash=text_hash, vector=vector.astype("<f4").tobytes())
            for text_hash, vector in vectors.items()
        ]
        self.bulk_create(rows, batch_size=ROWS_PER_QUERY, ignore_conflicts=True)


class StoredVector(models.Model):
    """What an embedder made of a text, so that no text is embedded, or paid for, twice."""

    embedder = models.CharField(max_length=100)
    text_hash = models.CharField(max_length=32)
    vector = models.BinaryField()

    objects = StoredVectorQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["embedder", "text_hash"], name="a_text_once_per_embedder")
        ]

    def __str__(self) -> str:
        return f"{self.embedder} {self.text_hash}"
