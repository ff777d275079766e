"""What a process knows of the decisions taken outside it, as of an invalidation clock.

The clock is a number in the database that every change raises: a flush, a TTL rule, a switch, a published
revision. A `Knowledge` is everything that was decided up to one value of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Literal, Protocol

from cachemgmt.engine.entry import Entry

FlushKind = Literal["all", "tag", "pattern"]

CLOCK_NAME = "clock"
"""The store's name for its copy of the clock: raised after the database's commit, never lowered."""

DEFAULT_TTL_S: Mapping[str, float] = {
    "response": 30 * 60,
    "intent": 60 * 60,
    "policy": 24 * 60 * 60,
    "reply": 30 * 60,
    "vector": 24 * 60 * 60,
}
"""The levels, and how long their entries stay fresh where no rule says otherwise."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Flush:
    """One removal, as a statement about entries rather than a list of them.

    `kind` "all" concerns every entry; "tag" those that carry `match`; "pattern" those whose readable name
    (`level:collection:question`) fits the shell-style pattern `match`.
    """

    clock: int
    kind: FlushKind
    match: str = ""

    def concerns(self, entry: Entry, collection: str) -> bool:
        """Whether it removes that entry: one made of inputs older than the flush, that it matches."""
        if entry.clock >= self.clock:
            return False
        match self.kind:
            case "all":
                return True
            case "tag":
                return self.match in entry.tags
            case "pattern":
                return fnmatchcase(f"{entry.level}:{collection}:{entry.question}", self.match.casefold())


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """How a level's entries, or those of one intent in it, are kept."""

    ttl_s: float
    is_enabled: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Knowledge:
    """All decisions up to `clock`. Immutable: threads share it freely.

    `rules` by (level, intent), intent "" for the whole level. `revisions` are the published policy
    revisions by collection, "" for one without any. `flushes` are in the clock's order. `floor`: the flushes
    up to this clock are no longer listed, so entries older than it are not reused. `is_complete`: False
    where nothing could be loaded yet, so that what is missing here may yet exist.
    """

    clock: int = 0
    floor: int = 0
    is_on: bool = True
    is_complete: bool = True
    flushes: tuple[Flush, ...] = ()
    rules: Mapping[tuple[str, str], Rule] = field(default_factory=dict)
    revisions: Mapping[str, str] = field(default_factory=dict)

    def rule(self, level: str, intent: str | None) -> Rule:
        """Return the rule for the intent in that level, else the level's, else the default."""
        own = self.rules.get((level, intent)) if intent else None
        rule = own or self.rules.get((level, "")) or Rule(ttl_s=DEFAULT_TTL_S[level])
        if level != "reply":
            return rule
        # A reply becomes an answer again: it may not outlive one.
        return replace(rule, ttl_s=min(rule.ttl_s, self.rule("response", intent).ttl_s))

    def is_enabled(self, level: str) -> bool:
        """Whether the level may be used at all."""
        return self.is_on and self.rule(level, None).is_enabled

    def is_flushed(self, entry: Entry, collection: str) -> bool:
        """Whether a flush since the entry's making removed it."""
        if entry.clock < self.floor:
            return True
        for flush in reversed(self.flushes):
            if flush.clock <= entry.clock:
                return False  # the rest is older still
            if flush.concerns(entry, collection):
                return True
        return False


class KnowledgeSource(Protocol):
    """Where a process gets its Knowledge from. Thread-safe."""

    def known(self, at_least: int | None = None) -> Knowledge:
        """Return what is known, loading it anew first if `at_least` is above its clock. Without reason to
        load, it costs neither a query nor a lock."""
        ...
