"""The memory store: bounded by bytes, least recently used goes first."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from cachemgmt.engine.stores.base import Page
from cachemgmt.engine.stores.memory import PER_ITEM_BYTES, MemoryStore
from tests.cachemgmt.engine.fakes import FakeTime
from tests.cachemgmt.engine.stores.lease_contract import LEASE, MINE, NAME, THEIRS, renew
from tests.cachemgmt.engine.stores.store_contract import (
    InfoContract,
    NumberContract,
    RemovalContract,
    StoreContract,
)

VALUE = b"v" * 99
ITEM_BYTES = PER_ITEM_BYTES + 100  # with a name of one letter


class TestMemoryStore(StoreContract, NumberContract, RemovalContract, InfoContract):
    is_exact = True

    @pytest.fixture
    def store(self) -> MemoryStore:
        return MemoryStore()


@pytest.fixture
def time() -> FakeTime:
    return FakeTime()


@pytest.fixture
def small(time: FakeTime) -> MemoryStore:
    """A store with room for three items."""
    return MemoryStore(max_bytes=3 * ITEM_BYTES, now=time)


def used_bytes(store: MemoryStore) -> object:
    return store.get_info()["used_bytes"]


def test_an_item_expires_at_its_ttl(small: MemoryStore, time: FakeTime) -> None:
    small.set("a", VALUE, 10)
    time.advance(9.99)
    assert small.get("a") == VALUE
    time.advance(0.01)
    assert not small.exists("a")
    assert list(small.names()) == []
    assert small.get("a") is None
    assert used_bytes(small) == 0


def test_reading_does_not_lengthen_the_ttl(small: MemoryStore, time: FakeTime) -> None:
    small.set("a", VALUE, 10)
    time.advance(9)
    assert small.get("a") == VALUE
    time.advance(1)
    assert small.get("a") is None


def test_expired_items_are_not_counted_as_removed(small: MemoryStore, time: FakeTime) -> None:
    small.set("a", VALUE, 10)
    small.set("b", VALUE, 10)
    small.set("c", VALUE, 100)
    time.advance(10)
    assert small.delete(["a"]) == 0
    assert small.clear_all() == 1
    assert used_bytes(small) == 0


def test_a_number_does_not_expire(small: MemoryStore, time: FakeTime) -> None:
    small.raise_number("clock", 3)
    time.advance(10**9)
    assert small.get("clock") == b"3"


def test_the_least_recently_used_goes_first(small: MemoryStore) -> None:
    for name in "abc":
        small.set(name, VALUE, 60)
    small.get("a")
    small.set("d", VALUE, 60)
    assert sorted(small.names()) == ["a", "c", "d"]
    small.set("c", VALUE, 60)
    small.set("e", VALUE, 60)
    assert sorted(small.names()) == ["c", "d", "e"]
    assert small.get_info()["evicted"] == 2


def test_asking_whether_it_exists_is_no_use_of_it(small: MemoryStore) -> None:
    for name in "abc":
        small.set(name, VALUE, 60)
    small.exists("a")
    small.set("d", VALUE, 60)
    assert not small.exists("a")


def test_one_large_item_may_push_out_several(small: MemoryStore) -> None:
    for name in "abc":
        small.set(name, VALUE, 60)
    small.set("d", b"v" * (2 * ITEM_BYTES - PER_ITEM_BYTES - 1), 60)
    assert sorted(small.names()) == ["c", "d"]
    assert used_bytes(small) == 3 * ITEM_BYTES


def test_a_value_larger_than_the_bound_is_not_kept_and_pushes_nothing_out(small: MemoryStore) -> None:
    small.set("a", VALUE, 60)
    small.set("big", b"v" * 3 * ITEM_BYTES, 60)
    assert list(small.names()) == ["a"]
    assert used_bytes(small) == ITEM_BYTES


def test_a_value_too_large_leaves_no_older_one_under_its_name(small: MemoryStore) -> None:
    small.set("a", VALUE, 60)
    small.set("a", b"v" * 3 * ITEM_BYTES, 60)
    assert small.get("a") is None
    assert used_bytes(small) == 0


def test_a_replaced_value_is_counted_once(small: MemoryStore) -> None:
    for _ in range(10):
        small.set("a", VALUE, 60)
    assert used_bytes(small) == ITEM_BYTES
    assert small.get_info()["evicted"] == 0


def test_the_bytes_add_up_under_many_threads(time: FakeTime) -> None:
    store = MemoryStore(max_bytes=20 * ITEM_BYTES, now=time)

    def work(number: int) -> None:
        name = f"n{number % 50}"
        store.set(name, b"v" * (number % 300), 60)
        store.get(f"n{(number * 7) % 50}")
        if number % 5 == 0:
            store.delete([f"n{(number * 3) % 50}"])
        if number % 97 == 0:
            store.clear_all("n1*")

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(work, range(2000)))
    expected = sum(PER_ITEM_BYTES + len(name) + len(store.get(name) or b"") for name in store.names())
    assert used_bytes(store) == expected <= 20 * ITEM_BYTES
    store.clear_all()
    assert used_bytes(store) == 0


def test_a_lease_lasts_as_long_as_was_said(small: MemoryStore, time: FakeTime) -> None:
    small.take_lease(LEASE, THEIRS, 5, reading=[])
    time.advance(4)
    assert renew(small, THEIRS, 5)
    time.advance(4.99)
    assert small.take_lease(LEASE, MINE, 5, reading=[])[0] == THEIRS
    time.advance(0.01)
    assert not renew(small, THEIRS, 5)
    assert small.take_lease(LEASE, MINE, 5, reading=[])[0] is None


def test_a_lease_that_ran_out_keeps_nothing(small: MemoryStore, time: FakeTime) -> None:
    small.take_lease(LEASE, MINE, 5, reading=[])
    time.advance(5)
    assert not small.set_leased(NAME, VALUE, 60, lease=LEASE, token=MINE)
    assert small.get(NAME) is None


def test_a_note_lasts_as_long_as_was_said(small: MemoryStore, time: FakeTime) -> None:
    small.take_lease(LEASE, MINE, 5, reading=[])
    small.end_lease(LEASE, MINE, note=b"~", note_ttl_s=2)
    time.advance(1.99)
    assert small.get(LEASE) == b"~"
    time.advance(0.01)
    assert small.get(LEASE) is None


def test_what_has_run_out_is_on_no_page_and_is_not_removed(small: MemoryStore, time: FakeTime) -> None:
    small.set("a", VALUE, 10)
    small.set("b", VALUE, 20)
    time.advance(10)
    assert small.scan() == Page(("b",), "")
    assert small.remove({"a": VALUE}) == 0


def test_looking_through_the_pages_is_no_use_of_what_they_name(small: MemoryStore) -> None:
    for name in "abc":
        small.set(name, VALUE, 60)
    small.scan("", count=1)
    small.remove({"a": b"another"})
    small.set("d", VALUE, 60)
    assert sorted(small.names()) == ["b", "c", "d"]
