"""What every store must do, written once. A store's test module subclasses this and provides `store`."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from cachemgmt.engine.stores.base import Page, Store, count_entries
from cachemgmt.engine.stores.redis import CHUNK
from tests.cachemgmt.engine.filling.busy import until
from tests.cachemgmt.engine.stores.lease_contract import LEASE, MINE, NAME, LeaseContract

TTL_S = 60.0
ODD_NAMES = ["a", "reply:policies:" + "f" * 32, "naïve:ключ:鍵", "with'quote\"s", "back\\slash", "x" * 500]


PATIENT = {"max_connections": 60, "timeout": 20, "socket_timeout": 20, "socket_connect_timeout": 20}
"""A client's settings where a test is of what a store does, not of how fast, and the machine may be busy."""


def pages(store: Store, pattern: str = "*", count: int = 10) -> Iterator[Page]:
    """Yield all pages, from the first to the last."""
    page = store.scan("", pattern, count)
    yield page
    while page.cursor:
        page = store.scan(page.cursor, pattern, count)
        yield page


def scanned(store: Store, pattern: str = "*", count: int = 10) -> list[str]:
    """Return the names of all pages."""
    return [name for page in pages(store, pattern, count) for name in page.names]


class StoreContract(LeaseContract):
    """The tests that any `Store` passes."""

    is_shared = False
    has_spare = False
    """Whether it keeps copies of what it reads and writes in this process."""

    is_exact = False
    """Whether its pages name each thing once."""

    @pytest.fixture
    def store(self) -> Iterator[Store]:
        raise NotImplementedError

    def test_nothing_is_found_at_first(self, store: Store) -> None:
        assert store.get("a") is None
        assert store.get_many(["a", "b"]) == [None, None]
        assert not store.exists("a")
        assert store.delete(["a"]) == 0
        assert store.clear_all() == 0
        assert list(store.names()) == []

    @pytest.mark.parametrize("name", ODD_NAMES)
    def test_what_is_set_is_found_under_its_name_only(self, store: Store, name: str) -> None:
        store.set(name, b"value", TTL_S)
        assert store.get(name) == b"value"
        assert store.exists(name)
        assert list(store.names()) == [name]
        assert store.get(name + "!") is None

    @pytest.mark.parametrize(
        "value", [b"", b"\x00", bytes(range(256)), b"\r\n$5\r\n", b"x" * 1_000_000], ids=len
    )
    def test_any_bytes_come_back_as_they_were(self, store: Store, value: bytes) -> None:
        store.set("a", value, TTL_S)
        assert store.get("a") == value
        assert store.exists("a")

    def test_a_new_value_replaces_the_old(self, store: Store) -> None:
        store.set("a", b"a longer first value", TTL_S)
        store.set("a", b"second", TTL_S)
        assert store.get("a") == b"second"
        assert list(store.names()) == ["a"]

    def test_many_are_read_in_the_order_asked(self, store: Store) -> None:
        store.set("a", b"1", TTL_S)
        store.set("c", b"3", TTL_S)
        assert store.get_many(["c", "b", "a", "c"]) == [b"3", None, b"1", b"3"]

    def test_asking_for_none_gives_none(self, store: Store) -> None:
        assert store.get_many([]) == []
        assert store.delete([]) == 0

    def test_delete_removes_and_counts_what_was_there(self, store: Store) -> None:
        for name in ("a", "b", "c"):
            store.set(name, b"v", TTL_S)
        assert store.delete(["a", "b", "absent"]) == 2
        assert store.get_many(["a", "b", "c"]) == [None, None, b"v"]

    def test_names_and_clear_all_follow_the_pattern(self, store: Store) -> None:
        names = ["reply:shop:1", "reply:bank:1", "reply:bank:22", "intent:bank:1"]
        for name in names:
            store.set(name, b"v", TTL_S)
        assert sorted(store.names("reply:bank:*")) == ["reply:bank:1", "reply:bank:22"]
        assert sorted(store.names("*:bank:?")) == ["intent:bank:1", "reply:bank:1"]
        assert sorted(store.names()) == sorted(names)
        assert store.clear_all("reply:bank:*") == 2
        assert sorted(store.names()) == ["intent:bank:1", "reply:shop:1"]
        assert store.clear_all() == 2
        assert list(store.names()) == []

    def test_more_than_one_chunk_is_cleared(self, store: Store) -> None:
        count = 2 * CHUNK + 7
        for number in range(count):
            store.set(f"n:{number}", b"v", TTL_S)
        assert len(set(store.names())) == count
        assert store.clear_all("n:*") == count
        assert list(store.names()) == []

    def test_what_is_set_runs_out(self, store: Store) -> None:
        store.set("a", b"v", 0.03)
        until(lambda: store.get("a") is None)
        assert not store.exists("a")
        assert list(store.names()) == []
        assert store.delete(["a"]) == 0

    def test_names_with_braces_are_found_by_patterns(self, store: Store) -> None:
        """In braces stands what places a name in a cluster."""
        store.set("reply:bank:{ab1}", b"v", TTL_S)
        assert list(store.names("reply:bank:{ab*}")) == scanned(store, "*:*:{*}") == ["reply:bank:{ab1}"]
        assert list(store.names("reply:bank:{b*}")) == []

    @pytest.mark.parametrize("count", [1, 7, 40, 1000])
    def test_pages_name_everything_that_fits(self, store: Store, count: int) -> None:
        names = sorted(f"reply:bank:{number:03}" for number in range(40))
        for name in [*names, "intent:bank:1"]:
            store.set(name, b"v", TTL_S)
        found = scanned(store, "reply:*", count)
        assert sorted(found if self.is_exact else set(found)) == names

    def test_a_page_holds_about_as_many_as_asked_for(self, store: Store) -> None:
        for number in range(200):
            store.set(f"n:{number}", b"v", TTL_S)
        for page in pages(store, count=20):
            assert len(page.names) <= (20 if self.is_exact else 60)

    def test_of_an_empty_store_there_is_one_empty_page(self, store: Store) -> None:
        assert store.scan() == Page((), "")
        assert scanned(store, "nothing:*") == []

    def test_what_stays_is_named_though_other_things_come_and_go(self, store: Store) -> None:
        staying = {f"stays:{number}" for number in range(150)}
        for name in [*staying, *(f"goes:{number}" for number in range(150))]:
            store.set(name, b"v", TTL_S)
        found: set[str] = set()
        for at, page in enumerate(pages(store)):
            found.update(page.names)
            store.delete([f"goes:{number}" for number in range(at * 10, at * 10 + 10)])
            store.set(f"comes:{at % 20}", b"v", TTL_S)
        assert found >= staying

    def test_a_cursor_that_it_did_not_give_is_told(self, store: Store) -> None:
        with pytest.raises(ValueError, match="not a cursor"):
            store.scan("not a cursor")

    def test_it_says_whether_other_processes_use_it(self, store: Store) -> None:
        assert store.is_shared is self.is_shared
        assert store.session().is_shared is self.is_shared

    def test_a_session_is_the_same_store(self, store: Store) -> None:
        session = store.session()
        session.set("a", b"v", TTL_S)
        assert store.get("a") == session.get("a") == b"v"
        assert session.take_lease(LEASE, MINE, TTL_S, reading=["a"]) == (None, [b"v"])
        assert session.set_leased(NAME, b"made", TTL_S, lease=LEASE, token=MINE)
        assert store.get_many([NAME, LEASE]) == [b"made", None]
        assert session.session().kind == store.kind

    def test_a_spare_is_what_this_process_last_wrote_or_noted(self, store: Store) -> None:
        def is_spare(name: str, value: bytes | None) -> bool:
            expected = value if self.has_spare else None
            return store.spare(name) == store.session().spare(name) == expected

        store.note("read", b"v")
        store.set("written", b"w", TTL_S)
        store.take_lease(LEASE, MINE, TTL_S, reading=[])
        store.set_leased("made", b"m", TTL_S, lease=LEASE, token=MINE)
        assert is_spare("read", b"v")
        assert is_spare("written", b"w")
        assert is_spare("made", b"m")
        assert is_spare("absent", None)
        store.note("written", b"new")
        assert is_spare("written", b"new")
        store.delete(["read"])
        store.clear_all("made")
        assert is_spare("read", None)
        assert is_spare("made", None)

    def test_many_threads_use_it_at_once(self, store: Store) -> None:
        def work(number: int) -> bool:
            name, value = f"n:{number % 7}", b"v" * (number + 1)
            store.set(name, value, TTL_S)
            found = store.get(name)
            store.delete([f"n:{(number + 1) % 7}"])
            return found is None or set(found) == set(b"v")

        with ThreadPoolExecutor(20) as pool:
            assert all(pool.map(work, range(200)))

    def test_a_working_store_is_healthy(self, store: Store) -> None:
        assert store.health_check()["is_healthy"] is True


class NumberContract:
    """Apart from the rest because memory alone keeps no number that others could raise. Mixed into a
    StoreContract."""

    def test_a_number_is_raised_and_never_lowered(self, store: Store) -> None:
        for number, expected in ((3, b"3"), (2, b"3"), (3, b"3"), (10, b"10"), (9, b"10"), (0, b"10")):
            store.raise_number("clock", number)
            assert store.get("clock") == expected

    def test_a_number_takes_the_place_of_what_is_none(self, store: Store) -> None:
        store.set("clock", b"rubbish", TTL_S)
        store.raise_number("clock", 4)
        assert store.get("clock") == b"4"

    def test_many_threads_raise_a_number_to_the_highest(self, store: Store) -> None:
        with ThreadPoolExecutor(20) as pool:
            list(pool.map(lambda number: store.raise_number("clock", number), [7, 3, 40, 12, 39] * 20))
        assert store.get("clock") == b"40"


class RemovalContract:
    """Apart from the rest because fakeredis's scripts know no hash. Mixed into a StoreContract."""

    def test_only_what_is_unchanged_is_removed(self, store: Store) -> None:
        for name in ("same", "changed", "empty"):
            store.set(name, name.encode() if name != "empty" else b"", TTL_S)
        read = {"same": b"same", "changed": b"as it was", "empty": b"", "absent": b"v"}
        assert store.remove(read) == 2
        assert store.get_many(["same", "changed", "empty"]) == [None, b"changed", None]
        assert store.remove({}) == 0

    def test_what_was_removed_is_no_spare(self, store: Store) -> None:
        store.set("a", b"v", TTL_S)
        store.note("a", b"new")
        store.remove({"a": b"new"})
        assert store.spare("a") is None

    def test_entries_are_counted_and_nothing_else(self, store: Store) -> None:
        for number in range(3):
            store.set(f"reply:bank:{{{number}}}", b"v", TTL_S)
        store.take_lease("lease:{1}", b"token", TTL_S, reading=[])
        store.raise_number("clock", 7)
        assert count_entries(store) == 3


class InfoContract:
    """Apart from the rest because fakeredis knows no INFO. Mixed into a StoreContract."""

    def test_info_is_plain(self, store: Store) -> None:
        store.set("reply:bank:1", b"v", TTL_S)
        info = store.get_info()
        assert isinstance(info["used_bytes"], int)
        assert all(isinstance(fact, str | int | bool | None) for fact in info.values())
