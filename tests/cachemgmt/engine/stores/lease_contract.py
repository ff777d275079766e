"""What every store must do as the giver of leases, written once. Part of `StoreContract`."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from cachemgmt.engine.stores.base import Renewal, Store
from tests.cachemgmt.engine.fakes import WITHIN_S
from tests.cachemgmt.engine.filling.busy import until

LEASE = "lease:{f}"
NAME = "reply:bank:{f}"
MINE, THEIRS = b"mine", b"theirs"
TTL_S = 30.0
SHORT_S = 0.03


def take(store: Store, token: bytes, ttl_s: float = TTL_S) -> bytes | None:
    """Take the lease for the token; return whose it is."""
    return store.take_lease(LEASE, token, ttl_s, reading=[])[0]


def renew(store: Store, token: bytes, ttl_s: float = TTL_S, *, or_take: bool = False) -> bool:
    """Renew the lease for the token; return whether it is held."""
    return store.renew_leases([Renewal(lease=LEASE, token=token, ttl_s=ttl_s, or_take=or_take)])[0]


def is_free(store: Store) -> bool:
    """Whether nobody has the lease, and nothing was noted in its place."""
    return not store.exists(LEASE)


class LeaseContract:
    """The tests that any `Store` passes which lends the right to fill."""

    def test_a_free_lease_is_the_callers(self, store: Store) -> None:
        assert take(store, MINE) is None
        assert store.get(LEASE) == MINE

    def test_a_taken_lease_names_its_holder_and_stays_his(self, store: Store) -> None:
        take(store, THEIRS)
        assert take(store, MINE) == THEIRS
        assert take(store, MINE) == THEIRS

    def test_whoever_asks_again_for_his_own_is_told_so(self, store: Store) -> None:
        take(store, MINE)
        assert take(store, MINE) == MINE

    def test_the_names_are_read_with_it_whoever_has_it(self, store: Store) -> None:
        store.set(NAME, b"v", TTL_S)
        for holder in (None, MINE):
            assert store.take_lease(LEASE, MINE, TTL_S, reading=["absent", NAME]) == (holder, [None, b"v"])

    def test_leases_of_different_names_are_different_leases(self, store: Store) -> None:
        take(store, THEIRS)
        assert store.take_lease("lease:{e}", MINE, TTL_S, reading=[])[0] is None

    def test_one_of_fifty_who_ask_at_once_gets_it(self, store: Store) -> None:
        together = Barrier(50)

        def ask(number: int) -> bytes | None:
            together.wait(WITHIN_S)
            return take(store, b"%d" % number)

        with ThreadPoolExecutor(50) as pool:
            holders = list(pool.map(ask, range(50)))
        assert holders.count(None) == 1
        winner = b"%d" % holders.index(None)
        assert set(holders) == {None, winner}
        assert store.get(LEASE) == winner

    def test_it_runs_out(self, store: Store) -> None:
        take(store, THEIRS, SHORT_S)
        until(lambda: is_free(store))
        assert take(store, MINE) is None

    def test_it_is_renewed_for_as_long_as_is_said(self, store: Store) -> None:
        take(store, MINE)
        assert renew(store, MINE, SHORT_S)
        until(lambda: is_free(store))

    @pytest.mark.parametrize("or_take", [True, False])
    def test_nobody_renews_what_another_has(self, store: Store, or_take: bool) -> None:
        take(store, THEIRS)
        assert not renew(store, MINE, or_take=or_take)
        assert store.get(LEASE) == THEIRS

    @pytest.mark.parametrize("or_take", [True, False])
    def test_a_lost_lease_is_taken_again_where_that_is_wanted(self, store: Store, or_take: bool) -> None:
        assert renew(store, MINE, or_take=or_take) is or_take
        assert store.get(LEASE) == (MINE if or_take else None)

    def test_many_are_renewed_together_and_each_is_judged_alone(self, store: Store) -> None:
        take(store, MINE)
        store.take_lease("lease:{theirs}", THEIRS, TTL_S, reading=[])
        names = (LEASE, "lease:{theirs}", "lease:{forgotten}", "lease:{over}")
        wanted = [
            Renewal(lease=name, token=MINE, ttl_s=TTL_S, or_take=name == "lease:{forgotten}")
            for name in names
        ]
        assert store.renew_leases(wanted) == [True, False, True, False]
        assert store.get_many(names) == [MINE, THEIRS, MINE, None]

    def test_none_are_renewed_where_none_are_held(self, store: Store) -> None:
        assert store.renew_leases([]) == []

    def test_what_is_given_back_is_free(self, store: Store) -> None:
        take(store, MINE)
        store.end_lease(LEASE, MINE)
        assert is_free(store)
        assert take(store, THEIRS) is None

    def test_a_note_stands_in_its_place_until_it_runs_out(self, store: Store) -> None:
        take(store, MINE)
        store.end_lease(LEASE, MINE, note=b"!gone wrong", note_ttl_s=TTL_S)
        assert take(store, THEIRS) == b"!gone wrong"
        store.delete([LEASE])
        take(store, MINE)
        store.end_lease(LEASE, MINE, note=b"~", note_ttl_s=SHORT_S)
        until(lambda: is_free(store))

    @pytest.mark.parametrize("note", [b"", b"!gone wrong"])
    def test_nobody_ends_what_another_has(self, store: Store, note: bytes) -> None:
        store.end_lease(LEASE, MINE, note=note, note_ttl_s=TTL_S)
        assert is_free(store)
        take(store, THEIRS)
        store.end_lease(LEASE, MINE, note=note, note_ttl_s=TTL_S)
        assert store.get(LEASE) == THEIRS

    def test_a_result_is_kept_and_the_lease_given_back(self, store: Store) -> None:
        take(store, MINE)
        assert store.set_leased(NAME, b"made", TTL_S, lease=LEASE, token=MINE)
        assert store.get(NAME) == b"made"
        assert is_free(store)

    def test_a_result_runs_out_as_is_said(self, store: Store) -> None:
        take(store, MINE)
        store.set_leased(NAME, b"made", SHORT_S, lease=LEASE, token=MINE)
        until(lambda: not store.exists(NAME))

    def test_who_has_no_lease_keeps_nothing(self, store: Store) -> None:
        assert not store.set_leased(NAME, b"late", TTL_S, lease=LEASE, token=MINE)
        assert store.get(NAME) is None

    def test_who_lost_the_lease_to_another_keeps_nothing(self, store: Store) -> None:
        store.set(NAME, b"before", TTL_S)
        take(store, THEIRS)
        assert not store.set_leased(NAME, b"late", TTL_S, lease=LEASE, token=MINE)
        assert store.get_many([NAME, LEASE]) == [b"before", THEIRS]

    def test_whoever_finds_the_lease_free_again_finds_the_result(self, store: Store) -> None:
        """Both happen in one step: else somebody would fill what was just filled."""

        def wait_for(number: int) -> bool:
            lease, name = f"lease:{{{number}}}", f"reply:bank:{{{number}}}"
            holder: bytes | None = MINE
            while holder is not None:
                holder, found = store.take_lease(lease, THEIRS, TTL_S, reading=[name])
            return found == [b"made"]

        for number in range(10):
            store.take_lease(f"lease:{{{number}}}", MINE, TTL_S, reading=[])
        with ThreadPoolExecutor(10) as pool:
            waiting = [pool.submit(wait_for, number) for number in range(10)]
            for number in range(10):
                name, lease = f"reply:bank:{{{number}}}", f"lease:{{{number}}}"
                assert store.set_leased(name, b"made", TTL_S, lease=lease, token=MINE)
            assert all(one.result(WITHIN_S) for one in waiting)
