"""What a process remembers besides the database, made new for each test."""

from collections.abc import Iterator

import pytest

from access import limits, usage
from cachemgmt import assembly
from cachemgmt.books import ledger, prometheus
from cachemgmt.decisions import database
from cachemgmt.warming import runs

MADE_ONCE = (
    assembly.cache_engine,
    assembly.filler,
    assembly.bulkhead,
    assembly.breaker,
    limits.key_rates,
    limits.address_rates,
    limits.wrong_rates,
    prometheus.registry,
)


@pytest.fixture(autouse=True)
def fresh_process() -> Iterator[None]:
    """Nothing known, nothing stored, nothing counted: as a process that has just started."""
    registered = list(runs._registered)
    failures = list(assembly._failures)
    forget()
    yield
    runs._registered[:] = registered
    assembly._failures[:] = failures
    forget()


def forget() -> None:
    """Forget all that was learnt since the start. What Django's apps registered then stays."""
    for made_once in MADE_ONCE:
        made_once.cache_clear()
    database.snapshot().forget()
    ledger._sums.clear()
    usage._used.clear()
    ledger._is_out.clear()
    ledger._unbooked.clear()
