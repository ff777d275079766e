"""What became of a look-up or a fill, for the metrics. Warming's are not counted."""

from decimal import Decimal
from time import perf_counter

from cachemgmt.api import FillOutcome, Lookup, count
from chat.levels.scope import Scope

REUSED = frozenset({"hit", "stale", "collapsed"})
"""The outcomes that saved what the entry cost, and the time that its making took."""


def count_outcome(level: str, found: Lookup | FillOutcome, scope: Scope, started: float) -> None:
    """Count what was looked up, reused or made, beginning at `started` (by `perf_counter`)."""
    if scope.is_counted:
        reused = found.entry if found.status in REUSED else None
        count(
            level=level,
            outcome=found.status,
            reason=found.reason,
            collection=scope.collection,
            seconds=perf_counter() - started,
            saved_usd=reused.cost_usd if reused else Decimal(0),
            saved_s=reused.fill_s if reused else 0.0,
        )
