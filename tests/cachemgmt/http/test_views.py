"""What dashboards and probes are told of the cache."""

import pytest
from django.test import Client

from cachemgmt.engine.stores.redis import RedisStore
from tests.cachemgmt.conftest import Shelf

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_probe_reads_through_no_names(
    shelf: Shelf, either_store: str, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.put("what is the refund policy")

    def read_through(*_: object) -> None:
        raise AssertionError("a probe comes every few seconds")

    for method in ("names", "scan"):
        monkeypatch.setattr(RedisStore, method, read_through)
    health = client.get("/api/cache/health").json()
    assert (health["status"], health["store"]) == ("ok", either_store)
    assert health["info"]["used_bytes"] > 0
