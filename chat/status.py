"""What the service runs on, and whether each part works: for health checks and for people."""

from typing import Any

from django.conf import settings
from django.db import DatabaseError, connection

from cachemgmt.api import bulkhead, cache_engine, known
from chat.models import Collection

PROVIDERS = {
    "extractive": "Quotes the policies' own sentences, chosen by rules and embeddings. No language model.",
    "openai": "Replies written and checked by language models.",
}


def health() -> dict[str, Any]:
    """Return {"status": "ok" | "degraded" | "down"} and what is to be told of each part.

    Degraded: answers are given, but slower or dearer. Down: the database cannot be read. One query.
    """
    cache = dict(cache_engine().store.health_check())
    try:
        collections = dict(Collection.objects.values_list("slug", "revision"))
        database = {"engine": connection.vendor, "is_healthy": True}
    except DatabaseError:
        collections, database = {}, {"engine": connection.vendor, "is_healthy": False}
    working = "ok" if cache["is_healthy"] else "degraded"
    return {
        "status": working if database["is_healthy"] else "down",
        "provider": {"name": settings.LLM_PROVIDER, "description": PROVIDERS[settings.LLM_PROVIDER]},
        "bulkhead": dict(bulkhead().facts()),
        "cache": {**cache, "is_enabled": settings.CACHE_ENABLED, "is_on": known().is_on},
        "database": database,
        "knowledge": {
            "index": "server" if settings.CHROMA_URL else "embedded",
            "collections": collections,
            "default_collection": settings.DEFAULT_COLLECTION,
        },
    }
