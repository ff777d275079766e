"""A cache over a memory store, at a time and with a knowledge that the test sets."""

import pytest

from cachemgmt.engine.cache import Cache
from tests.engine.fakes import FakeSource, FakeTime, StagedStore


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
