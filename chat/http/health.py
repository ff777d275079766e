"""What the service runs on, and whether each part works: for health checks and for people."""

import logging
from collections.abc import Mapping
from typing import Literal

from django.conf import settings
from django.db import Error as DatabaseFailure
from django.db import connection
from typing_extensions import TypedDict

from cachemgmt.api import bulkhead, cache_engine, is_informed, known
from chat.models import Collection

logger = logging.getLogger(__name__)

PROVIDERS = {
    "extractive": "Quotes the policies' own sentences, chosen by rules and embeddings. No language model.",
    "openai": "Replies written and checked by language models.",
}


class Part(TypedDict):
    """One thing the service runs on."""

    engine: str
    is_healthy: bool


class Described(TypedDict):
    """Who answers."""

    name: str
    description: str


class KnowledgeFacts(TypedDict):
    """What is answered from: each collection with its published revision."""

    index: Literal["server", "embedded"]
    collections: dict[str, str]
    default_collection: str


class ServiceStatus(TypedDict):
    """What is told to everybody."""

    status: Literal["ok", "degraded", "down"]


class Health(TypedDict):
    """Degraded: answers are given, but slower or dearer. Down: the database cannot be read."""

    status: Literal["ok", "degraded", "down"]
    provider: Described
    bulkhead: Mapping[str, int]
    cache: Mapping[str, object]
    database: Part
    knowledge: KnowledgeFacts


def health() -> Health:
    """Return what is to be told of each part. One query.

    A database that answers here is healthy once this process has learnt from it again what is decided: until
    then what was flushed meanwhile is not known.
    """
    cache = dict(cache_engine().store.health_check())
    try:
        collections = dict(Collection.objects.values_list("slug", "revision"))
        database = Part(engine=connection.vendor, is_healthy=is_informed())
    except DatabaseFailure as error:
        if is_informed():  # else that has been said
            logger.warning("The health check cannot read the database: %s", type(error).__name__)
        collections, database = {}, Part(engine=connection.vendor, is_healthy=False)
    working: Literal["ok", "degraded"] = "ok" if cache["is_healthy"] else "degraded"
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
