"""What goes into the cache and comes out of it: a visit, what was made, what was found."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from cachemgmt.engine.entry import Entry
from cachemgmt.engine.freshness import Directives
from cachemgmt.engine.key import Key

MISSES = {
    "absent",
    "expired",
    "flushed",
    "max-age",
    "mixed-up",
    "other-history",
    "policies-changed",
    "store-out",
    "unreadable",
}
"""Why a look-up can fail without anybody having meant it to."""

Status = Literal["hit", "miss", "collapsed", "bypass"]


@dataclass(slots=True)
class Visit:
    """One request's dealings with the cache: what it asks for, and the clock it knew before its first
    input was read, which everything it makes will carry."""

    directives: Directives
    clock: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """What a fill made. `keep_under` says which key it may be stored under, None that it may not be, for
    `reason`. `made_at` is that of its oldest ingredient, None for now."""

    value: Any
    cost_usd: Decimal | None
    question: str
    keep_under: Key | None
    reason: str | None = None
    tags: tuple[str, ...] = ()
    max_ttl_s: float | None = None
    made_at: float | None = None
    fill_s: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """A result and how it came about. `entry` is the envelope, also of one that was not stored.

    `is_storable` says that it might be: a store that fails does not keep waiters from sharing it.
    """

    status: Status
    entry: Entry
    is_stored: bool
    is_storable: bool = True
    reason: str | None = None

    @property
    def value(self) -> Any:
        return self.entry.value


@dataclass(frozen=True, kw_only=True, slots=True)
class Lookup:
    """What a look-up found: an entry that may be reused, or None and why. False without one."""

    entry: Entry | None
    reason: str | None = None

    def __bool__(self) -> bool:
        return self.entry is not None

    @property
    def status(self) -> Status:
        """A hit, a miss, or a bypass where somebody did not want stored results."""
        if self.entry:
            return "hit"
        return "miss" if self.reason in MISSES else "bypass"

    @property
    def value(self) -> Any:
        """What is stored, None where nothing was found."""
        return self.entry.value if self.entry else None
