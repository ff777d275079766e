"""What goes into the cache and comes out of it: a visit, what was made, what was found."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal, get_args

from cachemgmt.engine.entry import Entry
from cachemgmt.engine.filling.bulkhead import Place
from cachemgmt.engine.keys import Key
from cachemgmt.engine.reasons import MissReason, Reason
from cachemgmt.engine.reuse.freshness import Directives
from cachemgmt.engine.reuse.judging import Accept, accept_any
from cachemgmt.engine.stores.base import Store

MISSES: frozenset[Reason] = frozenset(get_args(MissReason))

Status = Literal["hit", "stale", "miss", "collapsed", "bypass"]


@dataclass(slots=True)
class CacheRequest:
    """One request's dealings with the cache. For one thread at a time.

    `directives` are what it asks for. `clock` is the one known before its first input was read, which
    everything it makes will carry. `place` is its place among those that may wait, None for one that
    needs none. `store` is the store as this request sees it. `is_refresh`: it makes anew what is stale, and
    so takes nothing stale itself.
    """

    directives: Directives = field(default_factory=Directives)
    clock: int | None = None
    place: Place | None = None
    store: Store | None = None
    is_refresh: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class FillResult:
    """What a fill made. `keep_under` says which key it may be stored under, None that it may not be, for
    `reason`. `made_at` is the Unix time from which its age counts, None for now. `valid_until` is the Unix
    time from which it is wrong, however fresh: a policy begins or ends then."""

    value: Any
    cost_usd: Decimal | None
    question: str
    keep_under: Key | None
    reason: Reason | None = None
    tags: tuple[str, ...] = ()
    max_ttl_s: float | None = None
    valid_until: float | None = None
    made_at: float | None = None
    fill_s: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class FillOutcome:
    """A result and how it came about. `entry` is the envelope, also of one that was not stored.

    `is_storable` says that it might be: a store that fails does not keep waiters from sharing it.
    `is_overtaken`: a flush during the fill concerns it, so that it holds for nobody, its maker included.
    `is_late`: its filler lost the lease meanwhile. It is told to those who waited for it, and nothing of it
    is kept: another's stands.
    """

    status: Status
    entry: Entry
    is_stored: bool
    is_storable: bool = True
    is_overtaken: bool = False
    is_late: bool = False
    reason: Reason | None = None

    @property
    def value(self) -> Any:
        return self.entry.value


@dataclass(frozen=True, kw_only=True, slots=True)
class Lookup:
    """What a look-up found: an entry that may be reused, or None and why. False without one.

    `is_stale`: its TTL is over, and it is to be made anew in the background. `if_error`: an entry that may
    be reused only if making a new one fails, with its key and the caller's own condition.
    """

    entry: Entry | None
    reason: Reason | None = None
    is_stale: bool = False
    if_error: "IfError | None" = None

    def __bool__(self) -> bool:
        return self.entry is not None

    @property
    def status(self) -> Status:
        """A hit (or stale), a miss, or a bypass where somebody did not want stored results."""
        if self.entry:
            return "stale" if self.is_stale else "hit"
        return "miss" if self.reason in MISSES else "bypass"

    @property
    def value(self) -> Any:
        """What is stored, None where nothing was found."""
        return self.entry.value if self.entry else None


@dataclass(frozen=True, slots=True)
class IfError:
    """An entry that serves only while the provider fails. To be judged once more before it does."""

    entry: Entry
    key: Key
    accept: Accept = accept_any
