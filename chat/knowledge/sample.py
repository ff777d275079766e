"""The sample company's policies, for trying TRIA out."""

from pathlib import Path

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from chat.knowledge.ingest import read_documents
from chat.knowledge.publishing import Publication, publish
from chat.models import Collection

SAMPLE = "sample"
"""The collection that belongs to the sample company alone."""


def load_sample(*, keeps_edits: bool = False) -> Publication:
    """Make the sample collection what `sample/policies` says, and return what changed.

    `keeps_edits`: one that is there stays as it is, with what was edited in the admin.

    Quick when nothing did: neither a model nor Chroma is loaded. Raises ImproperlyConfigured in production,
    where invented policies must not answer customers; IndexUnavailable.
    """
    if settings.IS_PRODUCTION:
        raise ImproperlyConfigured("The sample policies are not loaded in production")
    reading = read_documents([Path(settings.BASE_DIR) / "sample" / "policies"])
    if reading.problems:
        raise ImproperlyConfigured("; ".join(str(problem) for problem in reading.problems))
    collection, _ = Collection.objects.get_or_create(slug=SAMPLE, defaults={"name": "Sample company"})
    is_there = keeps_edits and collection.documents.exists()
    documents = collection.documents.sources() if is_there else reading.documents
    return publish(collection, documents, is_complete=True)
