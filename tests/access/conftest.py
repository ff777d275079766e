"""A shop whose policies are published, where a key is required, and callers with keys."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from redis import Redis

from access.keys import issue
from access.models import ApiKey
from cachemgmt import assembly as cache_assembly
from cachemgmt.decisions.database import snapshot
from cachemgmt.engine.stores.failover import FailoverStore
from cachemgmt.engine.stores.memory import MemoryStore
from cachemgmt.engine.stores.redis import RedisStore
from chat import assembly
from chat.knowledge.publishing import publish
from chat.models import Collection
from chat.source_document import SourceDocument
from tests.cachemgmt.conftest import serve_from
from tests.fakes.fixtures import make_openai_provider
from tests.fakes.llm_server import LlmServer
from tests.fakes.process import fresh_process

__all__ = ["fresh_process"]

REFUND = "What's your refund policy?"
TEXT = "# Refund policy\n\nWhat is your refund policy? Our refund policy covers what you return in 30 days.\n"

MakeKey = Callable[..., str]
"""Makes a key with the rights named, and returns its text."""


@pytest.fixture
def shop(db: None, llm_server: LlmServer, settings: Any, tmp_path: Path) -> Iterator[Collection]:
    """Two collections with the same policy, `shop` (the default) and `hats`, answered by a language model."""
    settings.CHROMA_URL = None
    settings.CHROMA_DIR = tmp_path / "chroma"
    settings.EMBEDDER = "hashed"
    settings.DEFAULT_COLLECTION = "shop"
    settings.REQUIRE_API_KEY = True
    once = (assembly.provider, assembly.response_cache, assembly.pipeline)
    for made_once in once:
        made_once.cache_clear()
    for slug in ("hats", "shop"):
        collection = Collection.objects.create(slug=slug, name=slug.capitalize())
        publish(collection, [SourceDocument(key="refunds", title="Refunds", text=TEXT)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(assembly, "_chosen_provider", lambda: make_openai_provider(llm_server))
        yield collection
    for made_once in once:
        made_once.cache_clear()


@pytest.fixture
def over_redis(redis_client: Redis, monkeypatch: pytest.MonkeyPatch) -> Redis:
    """This process's cache is over a real Redis."""
    redis = RedisStore(lambda: redis_client)
    serve_from(FailoverStore(redis, MemoryStore(), cache_assembly.breaker()), monkeypatch)
    return redis_client


@pytest.fixture
def make_key(db: None) -> MakeKey:
    """A maker of keys; other arguments are the row's."""

    def make(*rights: str, **fields: Any) -> str:
        held = {f"may_{right}": right in rights for right in ("ask", "trusted", "skip_cache", "metrics")}
        text = issue(ApiKey(**{"name": "help desk", **held, **fields})).text
        snapshot().catch_up()
        return text

    return make


def post(path: str, key: str | None, body: dict[str, Any], **headers: str) -> Any:
    """Post to the API as the holder of that key or token."""
    if key is not None:
        headers["Authorization"] = f"Bearer {key}"
    return Client().post(path, body, content_type="application/json", headers=headers)


def ask(
    key: str | None, message: str = REFUND, *, headers: dict[str, str] | None = None, **fields: Any
) -> Any:
    """Ask a question; `fields` go into the body."""
    return post("/api/chat", key, {"message": message, **fields}, **(headers or {}))


def problem(response: Any) -> tuple[int, str, str | None]:
    """Return a problem's status, its type's last word, and the field it names."""
    body = response.json()
    field = body["errors"][0]["field"] if "errors" in body else None
    return response.status_code, body["type"].rpartition(":")[2], field
