"""What a process remembers besides the database, made new for each test."""

from collections.abc import Iterator

import pytest

from cachemgmt import ledger, snapshot, warming
from cachemgmt.assembly import cache_engine


@pytest.fixture(autouse=True)
def fresh_process() -> Iterator[None]:
    """Nothing known, nothing stored, nothing counted: as a process that has just started."""
    registered = list(warming._registered)
    cache_engine.cache_clear()
    snapshot.snapshot().forget()
    ledger._sums.clear()
    ledger._unbooked.clear()
    yield
    warming._registered[:] = registered
    cache_engine.cache_clear()
    snapshot.snapshot().forget()
    ledger._sums.clear()
