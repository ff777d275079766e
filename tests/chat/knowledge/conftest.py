"""Knowledge on its own: an embedded Chroma in a folder of the test's, and a quick embedder."""

from collections.abc import Callable
from pathlib import Path

import pytest
from pytest_django import Settings

from chat.knowledge.embedders import HashedWordsEmbedder, chosen_embedder
from chat.knowledge.index import Index
from chat.knowledge.publishing import Publication, publish
from chat.models import Collection
from chat.source_document import SourceDocument
from chat.types import Passage

Search = Callable[..., list[Passage]]


@pytest.fixture(autouse=True)
def chroma_dir(settings: Settings, tmp_path: Path) -> Path:
    settings.CHROMA_URL = None
    settings.CHROMA_DIR = tmp_path / "chroma"
    settings.EMBEDDER = "hashed"
    settings.DEFAULT_COLLECTION = "sample"
    return tmp_path / "chroma"


@pytest.fixture
def shop(db: None) -> Collection:
    return Collection.objects.create(slug="shop", name="Shop")


@pytest.fixture
def index() -> Index:
    """The index of a process that serves questions."""
    return Index(HashedWordsEmbedder())


def document(key: str, text: str = "", title: str = "") -> SourceDocument:
    return SourceDocument(key=key, title=title or key.capitalize(), text=text or f"All about {key}.")


def put(collection: Collection, *keys_or_documents: str | SourceDocument) -> Publication:
    """Publish these documents besides those that are there."""
    return publish(collection, [document(one) if isinstance(one, str) else one for one in keys_or_documents])


def found(index: Index, collection: Collection, question: str, revision: str | None = None) -> list[str]:
    """Return the keys of the documents of the best passages, best first."""
    passages = index.search(
        collection=collection.slug,
        revision=collection.revision if revision is None else revision,
        question=question,
        vector=[float(value) for value in chosen_embedder().embed([question])[0]],
        top_n=3,
    )
    return [passage.document for passage in passages]
