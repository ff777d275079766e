"""What every store must do, written once. A store's test module subclasses this and provides `store`."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from redis import Redis

from cachemgmt.engine.redis_store import CHUNK
from cachemgmt.engine.store import Store

TTL_S = 60.0
ODD_NAMES = ["a", "reply:policies:" + "f" * 32, "naïve:ключ:鍵", "with'quote\"s", "back\\slash", "x" * 500]


class StoreContract:
    """The tests that any `Store` passes."""

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


class InfoContract:
    """Apart from the rest because fakeredis knows no INFO. Mixed into a StoreContract."""

    def test_info_is_plain_and_counts_entries(self, store: Store) -> None:
        store.set("reply:bank:1", b"v", TTL_S)
        info = store.get_info()
        assert info["entries"] == 1
        assert isinstance(info["used_bytes"], int)
        assert all(isinstance(fact, str | int | bool | None) for fact in info.values())


class RedisContract(StoreContract):
    """What any store over Redis does besides. The subclass also provides `client`, of the same database."""

    @pytest.fixture
    def client(self) -> Iterator[Redis]:
        raise NotImplementedError

    def test_redis_is_told_the_ttl(self, store: Store, client: Redis) -> None:
        store.set("a", b"v", 60.5)
        assert 59_000 < int(client.pttl("tria:a")) <= 60_500

    def test_a_new_value_brings_its_own_ttl(self, store: Store, client: Redis) -> None:
        store.set("a", b"v", 1000)
        store.set("a", b"w", 10)
        assert 0 < int(client.pttl("tria:a")) <= 10_000

    def test_a_ttl_below_a_millisecond_is_one(self, store: Store) -> None:
        store.set("a", b"v", 0.0001)  # Redis refuses 0

    def test_a_number_is_kept_without_end(self, store: Store, client: Redis) -> None:
        store.set("clock", b"rubbish", 10)
        store.raise_number("clock", 1)
        assert client.pttl("tria:clock") == -1

    def test_other_applications_keys_are_not_touched(self, store: Store, client: Redis) -> None:
        foreign = ["a", "clock", "tri", "triad:a", "session:tria:a", "TRIA:a"]
        for name in foreign:
            client.set(name, b"theirs")
        store.set("a", b"ours", TTL_S)
        store.raise_number("clock", 5)
        assert sorted(store.names()) == ["a", "clock"]
        assert store.get("triad:a") is None
        assert store.delete(["tri", "session:tria:a"]) == 0
        assert store.clear_all() == 2
        assert client.mget(foreign) == [b"theirs"] * len(foreign)
