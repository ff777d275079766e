"""A hit costs no database query and one round trip to Redis."""

from typing import Any

import pytest
from django.test import Client
from redis import Redis

from cachemgmt.engine.stores.redis import RedisStore
from chat import assembly
from tests.fakes.fixtures import make_openai_provider
from tests.fakes.kitchen import COLLECTION, Kitchen
from tests.fakes.llm_server import LlmServer


def commands_run(client: Redis) -> dict[str, int]:
    """Return how often each command was run since the statistics were reset, without this very look."""
    stats = client.info("commandstats")
    counts = {name.removeprefix("cmdstat_"): row["calls"] for name, row in stats.items()}
    return {
        name: calls for name, calls in counts.items() if name not in {"info", "config|resetstat", "config"}
    }


@pytest.mark.parametrize("customer", [None, "ada"])
def test_a_hit_costs_no_query_and_one_round_trip(
    db: None,
    llm_server: LlmServer,
    redis_client: Redis,
    monkeypatch: pytest.MonkeyPatch,
    settings: Any,
    django_assert_num_queries: Any,
    customer: str | None,
) -> None:
    kitchen = Kitchen(make_openai_provider(llm_server), store=RedisStore(lambda: redis_client))
    monkeypatch.setattr(assembly, "pipeline", lambda: kitchen.pipeline)
    settings.DEFAULT_COLLECTION = COLLECTION
    body = {"message": "What's your refund policy?", **({"customer_id": customer} if customer else {})}
    client = Client()
    client.post("/api/chat", body, content_type="application/json")

    redis_client.config_resetstat()
    with django_assert_num_queries(0):
        response = client.post("/api/chat", body, content_type="application/json")
    assert response.json()["cache"]["level"] == "response"
    assert commands_run(redis_client) == {"mget": 1}
