"""A published policy, a quick embedder, and people who edit it."""

from pathlib import Path

import pytest
from pytest_django import Settings

from chat.knowledge.publishing import publish
from chat.models import Collection, Document
from chat.source_document import SourceDocument
from tests.cachemgmt.admin.conftest import lead, viewer

__all__ = ["lead", "viewer"]


@pytest.fixture
def refunds(db: None, settings: Settings, tmp_path: Path) -> Document:
    """The published policy on refunds, of a shop that has another one, too."""
    settings.CHROMA_URL = None
    settings.CHROMA_DIR = tmp_path / "chroma"
    settings.EMBEDDER = "hashed"
    shop = Collection.objects.create(slug="shop", name="Shop")
    texts = {"refunds": "# Refunds\n\nA refund takes 5 days.\n", "hats": "# Hats\n\nHats are round.\n"}
    publish(shop, [SourceDocument(key=key, title=key.capitalize(), text=text) for key, text in texts.items()])
    return shop.documents.get(key="refunds")
