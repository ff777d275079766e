"""The policies' pages in the admin, and the names that the cache's pages offer for choosing."""

from cachemgmt.api import register_names
from chat.admin import collections, documents
from chat.judging.intents import intents
from chat.models import Collection, Document

__all__ = ["collections", "documents"]

register_names("intent", lambda: {name: intent.description for name, intent in intents().items()})
register_names("collection", lambda: dict(Collection.objects.values_list("slug", "name")))
register_names("document", lambda: dict(Document.objects.order_by("key").values_list("key", "title")))
