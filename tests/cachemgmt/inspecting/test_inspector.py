"""Looking into the cache: in pages, with filters, over every kind of store, and while Redis is out."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from cachemgmt.decisions import database as snapshot_module
from cachemgmt.engine.errors import SourceUnavailable
from cachemgmt.engine.reuse.knowledge import Flush, Flushes
from cachemgmt.engine.stores.breaker import Breaker
from cachemgmt.engine.stores.failover import FailoverStore
from cachemgmt.engine.stores.memory import MemoryStore
from cachemgmt.engine.stores.redis import RedisStore
from cachemgmt.inspecting.inspector import EntryPage, InspectedEntry, ServerInfo, Size, inspector
from cachemgmt.inspecting.stored_entry import EntryFilter
from tests.cachemgmt.conftest import Shelf
from tests.cachemgmt.inspecting.shop import KNOWN, TTL_S, Shop, shop, store_of
from tests.fakes.clock import FakeClock
from tests.fakes.redis_server import RedisServer, client_of

__all__ = ["shop"]


# pages --------------------------------------------------------------------------------------------------


@pytest.fixture
def stocked(shop: Shop) -> Shop:
    """A shop with entries of many kinds."""
    shop.put("what is the fee?", tags=("intent:fees", "doc:fees"))
    shop.put("how old", age_s=400, tags=("intent:age",))
    shop.put("a reply on fees", level="reply", tags=("intent:fees", "doc:fees", "doc:other"))
    shop.put("bank fee", collection="bank", tags=("doc:other",))
    shop.put("where is my order", tags=("customer:17",))
    shop.put("where is my hat", tags=("customer:1",))
    return shop


@pytest.mark.parametrize(
    ("wanted", "questions"),
    [
        ({"level": "reply"}, {"a reply on fees"}),
        ({"collection": "bank"}, {"bank fee"}),
        ({"intent": "fees"}, {"what is the fee?", "a reply on fees"}),
        ({"customer": "1"}, {"where is my hat"}),
        ({"document": "other"}, {"a reply on fees", "bank fee"}),
        ({"question": "  FEE?"}, {"what is the fee?", "bank fee", "a reply on fees"}),
        ({"state": "stale"}, {"how old"}),
        ({"state": "fresh", "level": "response", "question": "my"}, {"where is my order", "where is my hat"}),
        ({"state": "flushed"}, set()),
        ({"level": "vector"}, set()),
    ],
    ids=lambda value: None if isinstance(value, set) else str(value),
)
def test_a_list_holds_what_is_wanted(stocked: Shop, wanted: dict[str, str], questions: set[str]) -> None:
    assert stocked.questions(EntryFilter(**wanted)) == questions


def test_flushed_entries_can_be_listed_before_they_are_removed(stocked: Shop) -> None:
    known = replace(KNOWN, flushes=Flushes([Flush(clock=6, kind="tag", match="customer:17")]))
    assert stocked.questions(EntryFilter(state="flushed"), known) == {"where is my order"}


def test_a_list_leaves_out_all_that_is_no_entry(shop: Shop) -> None:
    name = shop.put("fee")
    shop.store.raise_number("clock", 9)
    shop.store.take_lease("lease:{" + "0" * 32 + "}", b"token", TTL_S, reading=[])
    shop.store.set("response:shop:{" + "0" * 32 + "}", b"another program's", TTL_S)
    assert [entry.name for entry in shop.look().page().entries] == [name]


@pytest.mark.parametrize("count", [1, 7, 40, 500])
def test_pages_lead_through_everything(shop: Shop, count: int) -> None:
    names = {shop.put(f"question {number}") for number in range(120)}
    seen: list[str] = []
    cursor, pages = "", 0
    while True:
        page = shop.look().page(cursor=cursor, count=count)
        seen += [entry.name for entry in page.entries]
        cursor, pages = page.cursor, pages + 1
        assert page.problem == ""
        if not page.has_more:
            break
    assert set(seen) == names
    assert pages > 1 or count == 500


def test_a_page_of_memory_is_as_long_as_asked() -> None:
    shop = Shop(MemoryStore())
    for number in range(30):
        shop.put(f"question {number}")
    assert len(shop.look().page(count=7).entries) == 7


def test_a_page_looks_on_until_it_has_found_some(shop: Shop) -> None:
    for number in range(300):
        shop.put(f"question {number}")
    shop.put("a needle")
    page = shop.look().page(EntryFilter(question="needle"), count=5)
    assert [entry.question for entry in page.entries] == ["a needle"]
    assert not page.has_more


def test_a_search_that_takes_too_long_leads_on_from_where_it_was(shop: Shop) -> None:
    for number in range(300):
        shop.put(f"question {number}")
    ticks = iter(range(0, 10_000, 2))
    page = shop.look(monotonic=lambda: float(next(ticks))).page(EntryFilter(question="needle"), count=5)
    assert (page.entries, page.has_more) == ((), True)


@pytest.mark.parametrize("cursor", ["-1", "x", "１２", "12.5", str(2**64), "response:shop:*", "'; FLUSHALL"])
def test_a_cursor_that_no_page_gave_is_refused(shop: Shop, cursor: str) -> None:
    with pytest.raises(ValueError, match=r"^cursor: "):
        shop.look().page(cursor=cursor)


def test_a_cursor_of_another_store_is_refused() -> None:
    with pytest.raises(ValueError, match="cursor: '17' is none"):
        Shop(MemoryStore()).look().page(cursor="17")


@pytest.mark.parametrize("count", [0, 501, -1])
def test_a_count_that_is_none_is_refused(shop: Shop, count: int) -> None:
    with pytest.raises(ValueError, match=f"count: {count} is not from 1 to 500"):
        shop.look().page(count=count)


# size and server ----------------------------------------------------------------------------------------


def test_size_counts_entries_and_bytes(stocked: Shop) -> None:
    whole, part = stocked.look().size(), stocked.look().size(EntryFilter(level="reply"))
    assert (whole.entries, part.entries) == (6, 1)
    assert whole.bytes > part.bytes > 100
    assert whole.is_complete
    assert whole.problem == ""


def test_the_server_tells_its_memory(stocked: Shop) -> None:
    info = stocked.look().server()
    assert info.is_healthy
    assert info.store == ("memory" if stocked.store.kind == "memory" else "redis")
    assert info.entries == 6
    assert info.used_bytes
    assert info.used_bytes > 0
    assert (info.version is None) is (info.store == "memory")
    assert info.problem == ""
    assert stocked.look().health()["is_healthy"]


# Redis that is out --------------------------------------------------------------------------------------


@pytest.fixture
def frozen(start_redis: Callable[..., RedisServer]) -> RedisServer:
    """A Redis of this test alone, to be frozen."""
    return start_redis()


@pytest.mark.parametrize("kind", ["redis", "failover"])
def test_nothing_raises_while_redis_is_out(frozen: RedisServer, kind: str) -> None:
    shop = Shop(store_of(kind, client_of(frozen.url)))
    name = shop.put("fee")
    frozen.freeze()
    look = shop.look()
    told: list[InspectedEntry | EntryPage | Size | ServerInfo] = [
        look.get("1f2e3d4c5b6a7988"),
        look.get(name),
    ]
    told += [look.page(), look.size(), look.server()]
    assert all("annot be reached" in one.problem for one in told)
    assert look.exists("1f2e3d4c5b6a7988") is None
    assert look.exists(name) is (True if kind == "failover" else None)
    assert look.size().is_complete is (kind == "failover")
    assert [entry.name for entry in look.page().entries] == ([name] if kind == "failover" else [])
    assert look.server().is_healthy is False


def test_a_list_begun_in_memory_begins_again_when_redis_is_back(frozen: RedisServer) -> None:
    clock = FakeClock()
    client = client_of(frozen.url)
    store = FailoverStore(RedisStore(lambda: client), MemoryStore(), Breaker(now=clock))
    shop = Shop(store)
    names = {shop.put(f"question {number}") for number in range(20)}
    frozen.freeze()
    page = shop.look().page(count=5)
    assert page.has_more
    assert "memory" in page.problem
    frozen.thaw()
    clock.advance(60)
    seen, cursor = set(), page.cursor
    while cursor:
        page = shop.look().page(cursor=cursor, count=5)
        seen |= {entry.name for entry in page.entries}
        cursor = page.cursor
    assert seen == names


def test_a_list_begun_in_redis_goes_on_in_memory(frozen: RedisServer) -> None:
    shop = Shop(store_of("failover", client_of(frozen.url)))
    names = {shop.put(f"question {number}") for number in range(200)}
    page = shop.look().page(count=5)
    assert page.has_more
    frozen.freeze()
    rest = shop.look().page(cursor=page.cursor, count=500)
    assert {entry.name for entry in rest.entries} == names
    assert "memory" in rest.problem


# this process's -----------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.usefixtures("either_store")
def test_the_inspector_looks_into_this_processs_cache(shelf: Shelf, settings: Any) -> None:
    settings.IS_SERVER = True
    key = shelf.put("fee")
    found = inspector().get(key.entry_id)
    assert found.entry
    assert (found.entry.name, found.entry.state, found.problem) == (key.name, "fresh", "")


@pytest.mark.django_db
def test_a_process_beside_the_server_says_that_it_sees_nothing(settings: Any) -> None:
    settings.IS_SERVER = False
    assert "in the memory of the server" in inspector().page().problem
    assert inspector().exists("1f2e3d4c5b6a7988") is None


@pytest.mark.django_db
def test_a_database_that_is_out_is_said(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.IS_SERVER = True

    def fail(_self: object) -> None:
        raise SourceUnavailable

    monkeypatch.setattr(snapshot_module.Decisions, "clock", fail)
    assert "The database cannot be read" in inspector().page().problem
