"""What flushes killed gives its room back: in chunks, once, and nothing else with it."""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction
from redis import Redis

from cachemgmt.api import cache_engine
from cachemgmt.decisions.database import decisions
from cachemgmt.engine.reuse.watched_knowledge import WatchedKnowledge
from cachemgmt.engine.stores.breaker import Breaker
from cachemgmt.engine.stores.failover import FailoverStore
from cachemgmt.engine.stores.memory import MemoryStore
from cachemgmt.engine.stores.redis import RedisStore
from cachemgmt.flushing import removal
from cachemgmt.flushing.flush import CHUNK, EVERYTHING, flush, level_target, tag_target
from cachemgmt.flushing.removal import REMOVED_AT_ONCE, REST, remove_dead, trim_records
from cachemgmt.models import Clock, FlushRecord
from cachemgmt.server.threads import watch_clock
from tests.cachemgmt.conftest import Shelf, serve_from
from tests.fakes.clock import FakeClock
from tests.fakes.redis_server import RedisServer

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def in_the_server(settings: Any) -> None:
    """This process is the one whose memory holds the entries."""
    settings.IS_SERVER = True


@pytest.mark.usefixtures("either_store")
def test_the_dead_are_removed_and_the_living_stay(shelf: Shelf) -> None:
    dead = [shelf.put(f"dead {number}", tags=("doc:hats",)) for number in range(2 * CHUNK + 1)]
    living = shelf.put("living")
    record = flush(tag_target("doc:hats"), actor="ada")
    assert shelf.holds(dead[0])
    assert remove_dead(rest=0) == len(dead)
    assert not any(shelf.holds(key) for key in dead)
    assert shelf.has(living)
    record.refresh_from_db()
    assert record.removed_count == len(dead)
    assert record.removed_at is not None
    assert remove_dead(rest=0) == 0


@pytest.mark.usefixtures("either_store")
def test_each_flush_counts_what_it_removed(shelf: Shelf) -> None:
    shelf.put("reply", level="reply")
    shelf.put("hat", tags=("doc:hats",))
    shelf.put("reply on hats", level="reply", tags=("doc:hats",))
    shelf.put("other")
    first = flush(level_target("reply"), actor="ada")
    second = flush(tag_target("doc:hats"), actor="ada")
    assert remove_dead(rest=0) == 3
    counts = {record.clock: record.removed_count or 0 for record in FlushRecord.objects.all()}
    assert sum(counts.values()) == 3  # what two flushes killed counts once
    assert counts[first.clock] >= 1
    assert counts[second.clock] >= 1


@pytest.mark.usefixtures("either_store")
def test_what_is_stored_anew_between_reading_and_removing_survives(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    again, dead = shelf.put("again"), shelf.put("dead")
    record = flush(EVERYTHING, actor="ada")
    store = cache_engine().store
    remove = store.remove

    def step_in(read: Mapping[str, bytes]) -> int:
        shelf.put("again")
        return remove(read)

    monkeypatch.setattr(store, "remove", step_in)
    assert remove_dead(rest=0) == 1
    assert shelf.has(again)
    assert not shelf.holds(dead)
    record.refresh_from_db()
    assert record.removed_count == 1


@pytest.mark.usefixtures("either_store")
def test_each_flush_is_worked_off_by_one_of_two_threads(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [shelf.put(f"dead {number}") for number in range(30)]
    flush(EVERYTHING, actor="ada")
    store = cache_engine().store
    remove = store.remove
    taken: list[str] = []

    def note(read: Mapping[str, bytes]) -> int:
        taken.extend(read)
        return remove(read)

    monkeypatch.setattr(store, "remove", note)
    barrier = Barrier(2)

    def work() -> None:
        barrier.wait(10)
        try:
            until_unlocked(lambda: remove_dead(rest=0))
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as threads:
        for one in [threads.submit(work), threads.submit(work)]:
            one.result()
    assert len(taken) == 30  # none of them twice
    assert not any(shelf.holds(key) for key in keys)


def until_unlocked(work: Callable[[], int]) -> int:
    """Return what the work returns, trying again while the test's database, in memory, is locked."""
    while True:
        try:
            return work()
        except OperationalError:
            time.sleep(0.01)


@pytest.mark.usefixtures("either_store")
def test_removal_rests_longer_than_it_works(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    rests: list[float] = []
    monkeypatch.setattr("cachemgmt.flushing.removal.time.sleep", rests.append)
    for number in range(2 * REMOVED_AT_ONCE):
        shelf.put(f"dead {number}")
    flush(EVERYTHING, actor="ada")
    started = time.monotonic()
    remove_dead()
    worked_s = time.monotonic() - started
    assert len(rests) == 2
    assert 0 < sum(rests) <= worked_s * REST


def test_a_process_that_sees_no_entries_removes_none(shelf: Shelf, settings: Any, either_store: str) -> None:
    settings.IS_SERVER = False
    key = shelf.put("one")
    record = flush(EVERYTHING, actor="ada")
    assert remove_dead(rest=0) == (1 if either_store == "redis" else 0)
    record.refresh_from_db()
    assert shelf.holds(key) is (record.removed_at is None)


@pytest.mark.usefixtures("either_store")
def test_nothing_is_asked_of_the_store_where_nothing_was_flushed(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.put("one")

    def ask(*_: Any) -> None:
        raise AssertionError("the store was asked")

    for method in ("names", "scan", "health_check"):
        monkeypatch.setattr(cache_engine().store, method, ask)
    assert remove_dead() == 0


class Outage:
    """A Redis of this test's own that this process's cache is over, and that may hang."""

    def __init__(self, server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
        client = server.client()
        self._server = server
        self._clock = FakeClock()
        self.store = FailoverStore(RedisStore(lambda: client), MemoryStore(), Breaker(now=self._clock))
        serve_from(self.store, monkeypatch)

    def begin(self) -> None:
        self._server.freeze()

    def end(self) -> None:
        """Let Redis go on, and the breaker find out, as a server's look-ups do."""
        self._server.thaw()
        self._clock.advance(60)
        assert self.store.exists("clock")


class TestWhileRedisIsOut:
    """Removal waits: the copies in a process's memory are not what takes up the room."""

    @pytest.fixture
    def outage(self, start_redis: Callable[..., RedisServer], monkeypatch: pytest.MonkeyPatch) -> Outage:
        return Outage(start_redis(), monkeypatch)

    def test_removal_waits_until_it_is_back(self, shelf: Shelf, outage: Outage) -> None:
        key = shelf.put("one")
        with transaction.atomic():
            Clock.objects.advance()
        outage.begin()
        record = flush(EVERYTHING, actor="ada")
        assert remove_dead(rest=0) == 0
        record.refresh_from_db()
        assert record.removed_at is None
        assert not shelf.has(key)
        outage.end()
        assert remove_dead(rest=0) == 1
        assert not shelf.holds(key)

    def test_what_an_outage_broke_off_is_begun_again(
        self, shelf: Shelf, outage: Outage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shelf.put("one")
        record = flush(EVERYTHING, actor="ada")
        remove = outage.store.remove

        def break_off(read: Mapping[str, bytes]) -> int:
            outage.begin()
            return remove(read)

        with monkeypatch.context() as patched:
            patched.setattr(outage.store, "remove", break_off)
            remove_dead(rest=0)
        record.refresh_from_db()
        assert record.removed_at is None
        outage.end()
        remove_dead(rest=0)
        record.refresh_from_db()
        assert record.removed_at is not None
        assert not list(outage.store.names("response:*"))


@pytest.mark.usefixtures("either_store")
class TestTrimming:
    """Old flushes leave the record, and take what is older than they are with them."""

    @pytest.fixture(autouse=True)
    def few(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(removal, "KEPT_RECORDS", 3)

    def test_what_is_older_than_the_trimmed_is_not_reused(self, shelf: Shelf) -> None:
        oldest = shelf.put("before all")
        for number in range(3):
            flush(tag_target(f"doc:{number}"), actor="ada")
        younger = shelf.put("before the last two")
        for number in range(2):
            flush(tag_target(f"doc:later {number}"), actor="ada")
        assert shelf.has(oldest)
        assert trim_records() == 2
        assert FlushRecord.objects.count() == 3
        floor = Clock.objects.get().floor
        assert floor < FlushRecord.objects.order_by("clock").values_list("clock", flat=True)[0]
        other = WatchedKnowledge(decisions()).known()
        assert (other.floor, other.clock) == (floor, Clock.objects.get().number)
        watch_clock()
        assert (shelf.has(oldest), shelf.has(younger)) == (False, True)

    def test_a_flushed_entry_stays_dead_when_its_flush_is_trimmed(self, shelf: Shelf) -> None:
        dead = shelf.put("dead", tags=("doc:0",))
        for number in range(5):
            flush(tag_target(f"doc:{number}"), actor="ada")
        trim_records()
        watch_clock()
        assert not FlushRecord.objects.filter(match="doc:0").exists()
        assert not shelf.has(dead)

    def test_as_many_as_are_kept_stay(self) -> None:
        for number in range(3):
            flush(tag_target(f"doc:{number}"), actor="ada")
        before = Clock.objects.get().number
        assert trim_records() == 0
        assert FlushRecord.objects.count() == 3
        assert (Clock.objects.get().number, Clock.objects.get().floor) == (before, 0)


@pytest.mark.usefixtures("over_redis")
def test_foreign_values_under_our_names_are_left_alone(redis_client: Redis) -> None:
    redis_client.set("tria:response:shop:{odd}", b"not an entry")
    flush(EVERYTHING, actor="ada")
    assert remove_dead(rest=0) == 0
    assert redis_client.exists("tria:response:shop:{odd}")
