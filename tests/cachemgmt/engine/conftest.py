"""A cache over a memory store, at a time and with a knowledge that the test sets."""

import pytest

from cachemgmt.engine.filling.cache import Cache
from cachemgmt.engine.filling.filling import Filler
from cachemgmt.engine.filling.lease import Heartbeat
from cachemgmt.engine.filling.refreshing import Refreshes
from cachemgmt.engine.filling.results import FillOutcome
from tests.cachemgmt.engine.fakes import Background, FakeSource, FakeTime, StagedStore, WatchedFlights
from tests.cachemgmt.engine.processes import FakeFailures, Process


@pytest.fixture(autouse=True)
def fresh_process() -> None:
    """In place of the other tests' one: the engine keeps nothing for a whole process."""


@pytest.fixture
def now() -> FakeTime:
    return FakeTime()


@pytest.fixture
def store(now: FakeTime) -> StagedStore:
    return StagedStore(now=now)


@pytest.fixture
def source() -> FakeSource:
    return FakeSource(clock=5)


@pytest.fixture
def cache(store: StagedStore, source: FakeSource, now: FakeTime) -> Cache:
    return Cache(store=store, source=source, now=now)


@pytest.fixture
def background() -> Background:
    return Background()


@pytest.fixture
def filler(cache: Cache, store: StagedStore, now: FakeTime, background: Background) -> Filler:
    """A filler whose time passes only while it sleeps, or the test moves it."""
    heartbeat = Heartbeat(store, now, is_threaded=False)
    now.hearts.append(heartbeat.beat)
    return Filler(
        cache,
        failures=FakeFailures(),
        monotonic=now,
        sleep=now.advance,
        refreshes=Refreshes(background),
        heartbeat=heartbeat,
    )


@pytest.fixture
def flights(filler: Filler, now: FakeTime) -> WatchedFlights[FillOutcome | None]:
    """The filler's flights, which tell who has joined."""
    flights: WatchedFlights[FillOutcome | None] = WatchedFlights(now)
    filler._flights = flights
    return flights


@pytest.fixture
def one(store: StagedStore, source: FakeSource, now: FakeTime) -> Process:
    """One of three processes that share the store."""
    return Process(store, source, now)


@pytest.fixture
def other(store: StagedStore, source: FakeSource, now: FakeTime) -> Process:
    return Process(store, source, now)


@pytest.fixture
def third(store: StagedStore, source: FakeSource, now: FakeTime) -> Process:
    return Process(store, source, now)
