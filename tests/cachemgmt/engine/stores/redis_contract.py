"""What any store over Redis must do besides, written once."""

from collections.abc import Iterator

import pytest
from redis import Redis

from cachemgmt.engine.stores.base import Store
from tests.cachemgmt.engine.stores.lease_contract import LEASE, MINE, NAME, renew
from tests.cachemgmt.engine.stores.store_contract import TTL_S, NumberContract, StoreContract


class RedisContract(StoreContract, NumberContract):
    """The contract, and what concerns Redis. The subclass also provides `client`, of the same database."""

    is_shared = True

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

    def test_what_is_noted_is_not_written(self, store: Store, client: Redis) -> None:
        store.note("a", b"v")
        assert not client.exists("tria:a")

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

    def test_redis_is_told_how_long_a_lease_lasts(self, store: Store, client: Redis) -> None:
        store.take_lease(LEASE, MINE, 5.5, reading=[])
        assert 4_500 < int(client.pttl("tria:" + LEASE)) <= 5_500
        renew(store, MINE, 20)
        assert 19_000 < int(client.pttl("tria:" + LEASE)) <= 20_000
        store.end_lease(LEASE, MINE, note=b"~", note_ttl_s=2)
        assert 1_000 < int(client.pttl("tria:" + LEASE)) <= 2_000

    def test_redis_is_told_the_ttl_of_what_was_made_under_a_lease(self, store: Store, client: Redis) -> None:
        store.take_lease(LEASE, MINE, TTL_S, reading=[])
        store.set_leased(NAME, b"made", 60.5, lease=LEASE, token=MINE)
        assert 59_000 < int(client.pttl("tria:" + NAME)) <= 60_500

    @pytest.mark.parametrize("theirs", ["text", "text for a day", "list", "hash", "set"])
    def test_what_another_program_put_under_a_leases_name_is_no_lease(
        self, store: Store, client: Redis, theirs: str
    ) -> None:
        put_theirs(client, "tria:" + LEASE, theirs)
        assert store.take_lease(LEASE, MINE, TTL_S, reading=[])[0] is None
        assert store.take_lease(LEASE, b"another's", TTL_S, reading=[])[0] == MINE
        assert store.set_leased(NAME, b"made", TTL_S, lease=LEASE, token=MINE)

    @pytest.mark.parametrize("theirs", ["text", "list", "hash", "set"])
    def test_a_lease_that_another_program_overwrote_is_lost(
        self, store: Store, client: Redis, theirs: str
    ) -> None:
        store.take_lease(LEASE, MINE, TTL_S, reading=[])
        client.delete("tria:" + LEASE)
        put_theirs(client, "tria:" + LEASE, theirs)
        assert not renew(store, MINE, or_take=True)
        assert not store.set_leased(NAME, b"made", TTL_S, lease=LEASE, token=MINE)
        store.end_lease(LEASE, MINE, note=b"~", note_ttl_s=2)
        assert client.type("tria:" + LEASE) == (b"string" if theirs == "text" else theirs.encode())

    @pytest.mark.parametrize("theirs", ["text", "list", "hash", "set"])
    def test_what_another_program_put_under_the_clocks_name_gives_way(
        self, store: Store, client: Redis, theirs: str
    ) -> None:
        put_theirs(client, "tria:clock", theirs)
        store.raise_number("clock", 4)
        assert client.get("tria:clock") == b"4"

    @pytest.mark.parametrize("theirs", ["list", "hash", "set"])
    def test_what_another_program_put_under_an_entrys_name_is_no_entry(
        self, store: Store, client: Redis, theirs: str
    ) -> None:
        put_theirs(client, "tria:" + NAME, theirs)
        assert store.get_many([NAME, "a"]) == [None, None]
        assert store.take_lease(LEASE, MINE, TTL_S, reading=[NAME])[1] == [None]
        assert store.set_leased(NAME, b"made", TTL_S, lease=LEASE, token=MINE)
        assert store.get(NAME) == b"made"


def put_theirs(client: Redis, name: str, kind: str) -> None:
    """Put a value of another program, of one of Redis's types, under the name."""
    match kind:
        case "text":
            client.set(name, "!theirs")
        case "text for a day":
            client.set(name, "!theirs", ex=86_400)
        case "list":
            client.rpush(name, "theirs")
        case "hash":
            client.hset(name, "theirs", "1")
        case "set":
            client.sadd(name, "theirs")
