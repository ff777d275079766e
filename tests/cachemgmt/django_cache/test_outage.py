"""No call of Django's cache fails because of Redis, and nothing that was changed comes back."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from redis import Redis

from cachemgmt.django_cache import outdated_keys
from cachemgmt.django_cache.failover_cache import LONGEST_ALONE_S, FailoverCache
from cachemgmt.django_cache.value_stores import NAMESPACE, MemoryValues, RedisValues
from cachemgmt.engine.errors import StoreBusy, StoreError, StoreRefused, StoreUnavailable
from cachemgmt.engine.stores.breaker import Breaker
from tests.cachemgmt.django_cache.test_failover_cache import process
from tests.cachemgmt.engine.fakes import WITHIN_S, FakeTime, Threads
from tests.fakes.redis_proxy import RedisProxy
from tests.fakes.redis_server import RedisServer, client_of, url_of

StartRedis = Callable[..., RedisServer]
OUT, BACK = "failover", "recover"


@pytest.fixture
def watch() -> FakeTime:
    return FakeTime()


class Process:
    """A cache, as one process has it, whose questions to Redis are counted."""

    def __init__(self, client: Redis, watch: FakeTime) -> None:
        self.asked = 0
        self.client = client
        self.breaker = Breaker(now=watch)
        self.cache = process(RedisValues(self._count), watch, breaker=self.breaker)()

    def _count(self) -> Redis:
        self.asked += 1
        return self.client

    def learn(self) -> None:
        """Use the cache until the breaker opens."""
        for _ in range(3):
            self.cache.get("k")
        assert self.breaker.state == "open"


StartProcess = Callable[[RedisServer | RedisProxy], Process]


@pytest.fixture
def start_process(watch: FakeTime) -> Iterator[StartProcess]:
    clients: list[Redis] = []

    def start(at: RedisServer | RedisProxy) -> Process:
        clients.append(at.client())
        return Process(clients[-1], watch)

    yield start
    for client in clients:
        client.connection_pool.disconnect()


def use_all(cache: FailoverCache) -> None:
    """Use every method, and expect an answer of each that is true to the others'."""
    cache.clear()
    cache.set("k", "v", 300)
    assert cache.get("k") == "v"
    assert cache.add("k", 2) is False
    assert cache.add("n", 1) is True
    assert cache.incr("n") == 2
    assert cache.decr("n", 5) == -3
    cache.set_many({"a": None, "b": (1,)})
    assert cache.get_many(["a", "b", "absent"]) == {"a": None, "b": (1,)}
    assert cache.get_or_set("c", 3) == 3
    assert cache.touch("c", 60) is True
    assert cache.has_key("c")
    assert cache.incr_version("c") == 2
    assert cache.decr_version("c", version=2) == 1
    assert cache.delete("c") is True
    cache.delete_many(["a", "b"])
    assert cache.get_many(["a", "b", "c"]) == {}
    cache.clear()
    assert cache.get_many(["k", "n"]) == {}


def changes(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what was told of changes, in order."""
    return [record.action for record in caplog.records if record.levelname == "WARNING"]  # type: ignore[attr-defined]


# Redis cannot be reached --------------------------------------------------------------------------------


def test_redis_is_killed_and_comes_back(
    start_redis: StartRedis,
    start_process: StartProcess,
    watch: FakeTime,
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = start_redis()
    used = start_process(server)
    use_all(used.cache)
    server.kill()
    use_all(used.cache)
    assert changes(caplog) == [OUT]
    server.start()
    watch.advance(used.breaker.retry_in_s)
    use_all(used.cache)
    assert changes(caplog) == [OUT, BACK]
    used.cache.set("k", 1)
    assert used.client.exists(NAMESPACE + b":1:k")


def test_a_frozen_redis_is_asked_three_times_and_then_left_alone(
    start_redis: StartRedis, start_process: StartProcess, watch: FakeTime, caplog: pytest.LogCaptureFixture
) -> None:
    server = start_redis()
    used = start_process(server)
    used.cache.set("k", 1)
    server.freeze()
    used.asked = 0
    started = time.monotonic()
    assert used.cache.get("k") is None
    assert time.monotonic() - started < 0.5
    assert used.asked == 1
    used.cache.set("k", 2)
    assert used.cache.get("k") == 2
    assert used.asked == 3
    use_all(used.cache)
    assert used.asked == 3
    watch.advance(used.breaker.retry_in_s)
    use_all(used.cache)
    assert used.asked == 4
    assert used.breaker.retry_in_s == 2
    server.thaw()
    watch.advance(2)
    use_all(used.cache)
    assert used.breaker.state == "closed"
    assert changes(caplog) == [OUT, BACK]


def test_many_threads_on_a_frozen_redis_are_all_answered(
    start_redis: StartRedis, start_process: StartProcess, caplog: pytest.LogCaptureFixture
) -> None:
    server = start_redis()
    used = start_process(server)
    server.freeze()
    with Threads() as threads:
        calls = threads.start_together(40, lambda: used.cache.get_or_set("k", "made"))
        assert {call.result(WITHIN_S) for call in calls} == {"made"}
    assert changes(caplog) == [OUT]


def test_a_wrong_password_is_an_outage(
    start_redis: StartRedis, watch: FakeTime, caplog: pytest.LogCaptureFixture
) -> None:
    server = start_redis(password="right")
    client = client_of(url_of(server.port, "wrong"))
    used = Process(client, watch)
    use_all(used.cache)
    assert changes(caplog) == [OUT]
    client.connection_pool.disconnect()


def test_what_was_changed_during_an_outage_is_a_miss_after_it(
    redis_client: Redis, redis_proxy: RedisProxy, start_process: StartProcess, watch: FakeTime
) -> None:
    used = start_process(redis_proxy)
    used.cache.set_many({"changed": "old", "deleted": "old", "counted": 1, "left": "old", "read": "old"})
    redis_proxy.refuse()
    used.learn()
    assert used.cache.get("read") is None
    used.cache.set("changed", "new")
    used.cache.delete("deleted")
    used.cache.set("counted", 1)
    used.cache.incr("counted")
    assert used.cache.get_many(["changed", "deleted", "counted"]) == {"changed": "new", "counted": 2}
    redis_proxy.accept()
    watch.advance(used.breaker.retry_in_s)
    names = ["changed", "deleted", "counted", "left", "read"]
    assert used.cache.get_many(names) == {"left": "old", "read": "old"}
    assert redis_client.exists(NAMESPACE + b":1:deleted", NAMESPACE + b":1:changed") == 0


def test_a_count_that_was_not_used_during_an_outage_goes_on(
    redis_client: Redis, redis_proxy: RedisProxy, start_process: StartProcess, watch: FakeTime
) -> None:
    used = start_process(redis_proxy)
    used.cache.set("n", 7)
    redis_proxy.refuse()
    used.learn()
    with pytest.raises(ValueError, match="not found"):
        used.cache.incr("n")
    assert used.cache.touch("n") is False
    redis_proxy.accept()
    watch.advance(used.breaker.retry_in_s)
    assert used.cache.incr("n") == 8


def test_another_process_does_not_see_what_was_changed_during_an_outage(
    redis_client: Redis, redis_proxy: RedisProxy, start_process: StartProcess, watch: FakeTime
) -> None:
    """Once the one that changed it has used its cache again, or has settled."""
    one, other = start_process(redis_proxy), start_process(redis_proxy)
    one.cache.set("k", "old")
    redis_proxy.refuse()
    one.learn()
    other.learn()
    one.cache.delete("k")
    other.cache.set("a", "of the other")
    redis_proxy.accept()
    watch.advance(1)
    assert one.cache.settle()
    assert other.cache.get_many(["k", "a"]) == {}


def test_what_memory_held_in_one_outage_is_not_there_in_the_next(
    redis_client: Redis, redis_proxy: RedisProxy, start_process: StartProcess, watch: FakeTime
) -> None:
    used = start_process(redis_proxy)
    for value in ("first", "second"):
        redis_proxy.refuse()
        used.learn()
        assert used.cache.get("k") is None
        used.cache.set("k", value)
        assert used.cache.get("k") == value
        redis_proxy.accept()
        watch.advance(used.breaker.retry_in_s)
        assert used.cache.get("k") is None


@pytest.mark.parametrize("is_all", [False, True])
def test_what_is_written_while_redis_is_told_is_not_there_in_the_next_outage(
    redis_client: Redis,
    redis_proxy: RedisProxy,
    start_process: StartProcess,
    watch: FakeTime,
    monkeypatch: pytest.MonkeyPatch,
    is_all: bool,
) -> None:
    used = start_process(redis_proxy)
    redis_proxy.refuse()
    used.learn()
    used.cache.set("k", "first")
    if is_all:
        used.cache.clear()
    redis_proxy.accept()
    watch.advance(used.breaker.retry_in_s)
    remove = outdated_keys.Unsettled.remove

    def another_writes_meanwhile(self: outdated_keys.Unsettled, keys: list[bytes] | None) -> None:
        used.cache.set("k", "late")
        remove(self, keys)

    with monkeypatch.context() as patch:
        patch.setattr(outdated_keys.Unsettled, "remove", another_writes_meanwhile)
        assert used.cache.settle()
    used.cache.set("k", "newest")
    redis_proxy.refuse()
    used.learn()
    assert used.cache.get("k") is None


def test_memory_serves_no_value_for_long(
    redis_proxy: RedisProxy, start_process: StartProcess, watch: FakeTime
) -> None:
    """Another process may have changed it."""
    redis_proxy.refuse()
    used = start_process(redis_proxy)
    used.learn()
    used.cache.set("k", 1, timeout=None)
    watch.advance(LONGEST_ALONE_S * 0.9)
    assert used.cache.get("k") == 1
    watch.advance(LONGEST_ALONE_S * 0.1)
    assert used.cache.get("k") is None


def test_a_clear_during_an_outage_is_done_after_it(
    redis_client: Redis, redis_proxy: RedisProxy, start_process: StartProcess, watch: FakeTime
) -> None:
    used = start_process(redis_proxy)
    used.cache.set("k", 1)
    redis_client.set("tria:reply:1", "entry")
    redis_proxy.refuse()
    used.learn()
    used.cache.clear()
    redis_proxy.accept()
    watch.advance(used.breaker.retry_in_s)
    assert used.cache.get("k") is None
    assert list(redis_client.scan_iter()) == [b"tria:reply:1"]


def test_more_changes_than_are_remembered_empty_it_after_the_outage(
    redis_client: Redis,
    redis_proxy: RedisProxy,
    start_process: StartProcess,
    watch: FakeTime,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outdated_keys, "MOST", 50)
    used = start_process(redis_proxy)
    used.cache.set_many({str(number): "old" for number in range(60)})
    redis_client.set("tria:reply:1", "entry")
    redis_proxy.refuse()
    used.learn()
    for number in range(60):
        used.cache.delete(str(number))
    redis_proxy.accept()
    watch.advance(used.breaker.retry_in_s)
    assert used.cache.get("59") is None
    assert list(redis_client.scan_iter()) == [b"tria:reply:1"]


def test_settling_costs_a_call_one_question_more_and_only_once(
    redis_client: Redis, redis_proxy: RedisProxy, start_process: StartProcess, watch: FakeTime
) -> None:
    used = start_process(redis_proxy)
    redis_proxy.refuse()
    used.learn()
    for number in range(100):
        used.cache.set(str(number), 1)
    redis_proxy.accept()
    watch.advance(used.breaker.retry_in_s)
    redis_proxy.reset_round_trips()
    used.cache.get("1")
    assert redis_proxy.round_trips == 2
    used.cache.get("1")
    assert redis_proxy.round_trips == 3


def test_every_call_is_one_round_trip(
    redis_client: Redis, redis_proxy: RedisProxy, start_process: StartProcess
) -> None:
    cache = start_process(redis_proxy).cache
    cache.set("n", 1)
    calls: list[Callable[[], Any]] = [
        lambda: cache.get("n"),
        lambda: cache.get_many(["n", "a"]),
        lambda: cache.set("n", 1),
        lambda: cache.set_many({"n": 1, "a": 1}),
        lambda: cache.add("n", 1),
        lambda: cache.incr("n"),
        lambda: cache.touch("n"),
        lambda: cache.touch("n", None),
        lambda: cache.has_key("n"),
        lambda: cache.delete("n"),
        lambda: cache.delete_many(["n", "a"]),
    ]
    for call in calls:
        redis_proxy.reset_round_trips()
        call()
        assert redis_proxy.round_trips == 1


# Redis refuses ------------------------------------------------------------------------------------------


def test_all_connections_in_use_send_a_call_to_memory_and_open_nothing(
    redis_server: RedisServer, watch: FakeTime, caplog: pytest.LogCaptureFixture
) -> None:
    client = redis_server.client(max_connections=1, timeout=0.001)
    used = Process(client, watch)
    used.cache.clear()
    used.cache.set("k", "old")
    held = client.connection_pool.get_connection()
    for _ in range(5):
        use_all(used.cache)
    used.cache.set("k", "new")
    assert used.cache.get("k") == "new"
    client.connection_pool.release(held)
    assert used.cache.get("k") is None
    use_all(used.cache)
    assert used.breaker.state == "closed"
    assert changes(caplog) == []
    client.connection_pool.disconnect()


def test_a_read_only_redis_does_not_bring_back_what_was_deleted(
    start_redis: StartRedis, start_process: StartProcess, watch: FakeTime
) -> None:
    server, replica = start_redis(), start_redis()
    start_process(server).cache.set_many({"k": "old", "a": "old"})
    replica.replicate(server)
    used = start_process(replica)
    assert used.cache.get_many(["k", "a"]) == {"k": "old", "a": "old"}
    used.cache.delete("k")
    used.cache.set("a", "new")
    assert used.cache.get_many(["k"]) == {}
    assert used.cache.get("a") == "new"
    watch.advance(LONGEST_ALONE_S)
    used.asked = 0
    assert used.cache.get_many(["k", "a"]) == {}  # Redis was told, and refused again
    assert used.cache.get("k") is None
    assert used.asked == 1
    replica.promote()
    watch.advance(LONGEST_ALONE_S)
    assert used.cache.get_many(["k", "a"]) == {}
    used.cache.set("k", "newest")
    assert used.client.get(NAMESPACE + b":1:k") == b'"newest"'
    assert not used.client.exists(NAMESPACE + b":1:a")
    assert used.breaker.state == "closed"


def test_a_full_redis_counts_in_memory_and_is_tried_again(
    start_redis: StartRedis, start_process: StartProcess, watch: FakeTime, caplog: pytest.LogCaptureFixture
) -> None:
    server = start_redis()
    server.set_maxmemory(3_000_000, "noeviction")
    server.fill_up()
    used = start_process(server)
    assert used.cache.add("n", 0)
    assert [used.cache.incr("n") for _ in range(3)] == [1, 2, 3]
    used.asked = 0
    server.make_room()
    assert used.cache.incr("n") == 4
    assert used.asked == 0
    watch.advance(LONGEST_ALONE_S)
    assert used.cache.add("n", 0)
    assert used.cache.incr("n") == 1
    assert used.client.get(NAMESPACE + b":1:n") == b"1"
    assert changes(caplog) == []


def test_values_of_another_program_under_our_keys_are_absent(
    redis_client: Redis, redis_server: RedisServer, start_process: StartProcess
) -> None:
    used = start_process(redis_server)
    cache = used.cache
    redis_client.set(NAMESPACE + b":1:pickled", b"\x80\x05K\x01.")
    redis_client.rpush(NAMESPACE + b":1:list", "a")
    redis_client.rpush(NAMESPACE + b":1:counted", "a")
    assert cache.get_many(["pickled", "list"]) == {}
    assert cache.add("pickled", 1) is True
    with pytest.raises(ValueError, match="not found"):
        cache.incr("counted")
    cache.set("list", [1])
    assert cache.get_many(["pickled", "list"]) == {"pickled": 1, "list": [1]}
    assert used.breaker.state == "closed"


def test_a_probe_that_is_told_the_value_is_no_number_closes_the_breaker(
    redis_client: Redis, redis_proxy: RedisProxy, start_process: StartProcess, watch: FakeTime
) -> None:
    used = start_process(redis_proxy)
    used.cache.set("text", "a")
    redis_proxy.refuse()
    used.learn()
    redis_proxy.accept()
    watch.advance(used.breaker.retry_in_s)
    with pytest.raises(ValueError, match="integer"):
        used.cache.incr("text")
    assert used.breaker.state == "closed"


def test_counting_is_atomic_over_threads_and_processes(
    redis_client: Redis, redis_server: RedisServer, start_process: StartProcess
) -> None:
    caches = [start_process(redis_server).cache for _ in range(2)]
    caches[0].set("n", 0)

    def count() -> None:
        for number in range(20):
            caches[number % 2].incr("n")

    with Threads() as threads:
        for call in threads.start_together(20, count):
            call.result(WITHIN_S)
    assert caches[0].get("n") == 400


# A model ------------------------------------------------------------------------------------------------


class Staged(MemoryValues):
    """Shared values that fail when told to."""

    fault: StoreError | None = None

    def _may_fail(self, is_change: bool) -> None:
        if self.fault and (is_change or not isinstance(self.fault, StoreRefused)):
            raise self.fault

    def __getattribute__(self, name: str) -> Any:
        if name in {"get_many", "has", "set_many", "add", "incr", "touch", "delete_many", "clear"}:
            self._may_fail(is_change=name not in {"get_many", "has"})
        return super().__getattribute__(name)


KEYS = st.sampled_from(["a", "b", "c"])
NUMBERS = st.integers(-3, 3)
TIMEOUTS = st.sampled_from([None, 0.0, 5.0, 100.0])
FAULTS = st.sampled_from([None, StoreUnavailable(), StoreRefused(), StoreBusy()])
ABSENT = object()


class NeverOld(RuleBasedStateMachine):
    """Whatever Redis does: a key is absent, or has what it was last given. Nothing is raised."""

    def __init__(self) -> None:
        super().__init__()
        self.watch = FakeTime()
        self.shared = Staged(now=self.watch)
        self.cache = process(self.shared, self.watch, max_entries=5)()
        self.latest: dict[str, Any] = {}
        self.ends: dict[str, float] = {}

    def note(self, key: str, value: object, timeout: float | None) -> None:
        self.latest[key] = value
        self.ends[key] = self.watch() + (timeout if timeout is not None else 1e9)

    def known(self, key: str) -> Any:
        is_alive = self.ends.get(key, 0) > self.watch()
        return self.latest.get(key, ABSENT) if is_alive else ABSENT

    @rule(fault=FAULTS)
    def redis_changes(self, fault: StoreError | None) -> None:
        self.shared.fault = fault

    @rule(seconds=st.sampled_from([0.5, 1.0, 4.0, 20.0, 60.0]))
    def time_passes(self, seconds: float) -> None:
        self.watch.advance(seconds)

    @rule(key=KEYS, value=NUMBERS, timeout=TIMEOUTS)
    def set(self, key: str, value: int, timeout: float | None) -> None:
        self.cache.set(key, value, timeout)
        self.note(key, value, timeout)

    @rule(values=st.dictionaries(KEYS, NUMBERS), timeout=TIMEOUTS)
    def set_many(self, values: dict[str, int], timeout: float | None) -> None:
        self.cache.set_many(values, timeout)
        for key, value in values.items():
            self.note(key, value, timeout)

    @rule(key=KEYS, value=NUMBERS)
    def add(self, key: str, value: int) -> None:
        if self.cache.add(key, value, 50):
            self.note(key, value, 50)
        else:
            assert self.known(key) is not ABSENT

    @rule(key=KEYS, delta=NUMBERS)
    def incr(self, key: str, delta: int) -> None:
        try:
            total = self.cache.incr(key, delta)
        except ValueError:
            return
        assert total == self.known(key) + delta
        self.latest[key] = total

    @rule(key=KEYS, timeout=TIMEOUTS)
    def touch(self, key: str, timeout: float | None) -> None:
        if self.cache.touch(key, timeout):
            assert self.known(key) is not ABSENT
            self.note(key, self.latest[key], timeout)

    @rule(keys=st.lists(KEYS))
    def delete(self, keys: list[str]) -> None:
        self.cache.delete_many(keys)
        for key in keys:
            self.latest.pop(key, None)

    @rule()
    def clear(self) -> None:
        self.cache.clear()
        self.latest.clear()

    @rule(key=KEYS)
    def get(self, key: str) -> None:
        assert self.cache.get(key, ABSENT) in {ABSENT, self.known(key)}

    @invariant()
    def nothing_is_old(self) -> None:
        for key, value in self.cache.get_many(["a", "b", "c"]).items():
            assert value == self.known(key)


class NothingLost(NeverOld):
    """While Redis does as told, nothing is absent that should be there."""

    @rule(fault=FAULTS)
    def redis_changes(self, fault: StoreError | None) -> None: ...

    @invariant()
    def all_is_there(self) -> None:
        expected = {key: self.known(key) for key in "abc" if self.known(key) is not ABSENT}
        assert self.cache.get_many("abc") == expected


STEPS = hypothesis_settings(max_examples=60, stateful_step_count=40, deadline=None)
TestNeverOld = NeverOld.TestCase
TestNeverOld.settings = STEPS
TestNothingLost = NothingLost.TestCase
TestNothingLost.settings = STEPS
