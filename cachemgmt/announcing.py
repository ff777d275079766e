"""The clock's number in the store, by which other processes learn of changes at their next look-up."""

import logging
from typing import Any

from cachemgmt.assembly import cache_engine
from cachemgmt.engine.errors import StoreError
from cachemgmt.engine.filling.cache import as_clock
from cachemgmt.engine.reuse.knowledge import CLOCK_NAME

logger = logging.getLogger(__name__)


def announce_clock(number: int, **_signal: Any) -> None:
    """Tell the store the clock, never lowering it. One that is out is told by the server, each second."""
    try:
        cache_engine().store.raise_number(CLOCK_NAME, number)
    except StoreError:
        logger.warning("The store could not be told the clock", extra={"action": "announce"})


def told_clock() -> int:
    """Return the clock that the store tells, 0 where it tells none."""
    try:
        return as_clock(cache_engine().store.get(CLOCK_NAME)) or 0
    except StoreError:
        return 0
