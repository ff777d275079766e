"""What became of a look-up or a fill, for the metrics. Warming's are not counted."""

from decimal import Decimal
from time import perf_counter

from cachemgmt.api import Lookup, Outcome, count
from chat.scope import Scope

REUSED = frozenset({"hit", "stale", "collapsed"})
"""The outcomes that saved what the entry cost."""


def count_outcome(level: str, found: Lookup | Outcome, scope: Scope, started: float) -> None:
    """Count what was looked up, reused or made, beginning at `started` (by `perf_counter`)."""
    if scope.is_counted:
        count(
            level=level,
            outcome=found.status,
            reason=found.reason,
            collection=scope.collection,
            seconds=perf_counter() - started,
            saved_usd=found.entry.cost_usd if found.entry and found.status in REUSED else Decimal(0),
        )
