"""A store with entries put straight into it, of every kind of store, and who looks into it."""

from decimal import Decimal
from typing import Any

import pytest
from redis import Redis

from cachemgmt.engine.entry import Entry, encode
from cachemgmt.engine.keys import Key
from cachemgmt.engine.reuse.knowledge import Knowledge, Rule
from cachemgmt.engine.stores.base import Store
from cachemgmt.engine.stores.breaker import Breaker
from cachemgmt.engine.stores.failover import FailoverStore
from cachemgmt.engine.stores.memory import MemoryStore
from cachemgmt.engine.stores.redis import RedisStore
from cachemgmt.inspecting.inspector import Inspector
from cachemgmt.inspecting.stored_entry import EntryFilter
from tests.fakes.clock import FakeClock

KNOWN = Knowledge(
    clock=9,
    rules={("response", ""): Rule(ttl_s=100, stale_while_revalidate_s=50, stale_if_error_s=500)},
    revisions={"shop": "r2"},
)
TTL_S = 600.0


class Shop:
    """A store with entries put straight into it, and who looks into it."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.now = FakeClock()

    def look(self, known: Knowledge = KNOWN, **options: Any) -> Inspector:
        return Inspector(self.store, known, now=self.now, **options)

    def put(
        self,
        question: str,
        *,
        level: str = "response",
        collection: str = "shop",
        age_s: float = 10.0,
        tags: tuple[str, ...] = (),
        **fields: Any,
    ) -> str:
        """Store an entry; return its name."""
        key = Key(level, collection, {"message": question}, "v1")
        values: dict[str, Any] = {
            "clock": 5,
            "value": {"text": "yes"},
            "cost_usd": Decimal("0.06"),
            "key_parts": key.parts,
            **fields,
        }
        entry = Entry(
            entry_id=key.entry_id,
            level=level,
            made_at=self.now() - age_s,
            fill_s=1.0,
            tags=(f"level:{level}", f"collection:{collection}", f"entry:{key.entry_id}", *tags),
            question=question,
            **values,
        )
        self.store.set(key.name, encode(entry), TTL_S)
        return key.name

    def questions(self, wanted: EntryFilter, known: Knowledge = KNOWN) -> set[str]:
        """Return the questions of all pages."""
        found, cursor = set(), ""
        while True:
            page = self.look(known).page(wanted, cursor=cursor)
            found |= {entry.question for entry in page.entries}
            cursor = page.cursor
            if not page.has_more:
                return found

    def state(self, name: str, known: Knowledge = KNOWN) -> tuple[str, str]:
        entry = self.look(known).get(name).entry
        assert entry
        return entry.state, entry.why


def store_of(kind: str, client: Redis) -> Store:
    redis = RedisStore(lambda: client)
    return redis if kind == "redis" else FailoverStore(redis, MemoryStore(), Breaker())


@pytest.fixture(params=["memory", "redis", "failover"])
def shop(request: pytest.FixtureRequest) -> Shop:
    """A shop over each kind of store."""
    if request.param == "memory":
        return Shop(MemoryStore())
    return Shop(store_of(request.param, request.getfixturevalue("redis_client")))
