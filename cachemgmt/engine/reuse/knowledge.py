"""What a process knows of the decisions taken outside it, as of an invalidation clock.

The clock is a number in the database that every change raises: a flush, a TTL rule, a switch, a published
revision. A `Knowledge` is everything that was decided up to one value of it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any, Literal, Protocol

from cachemgmt.engine.entry import Entry
from cachemgmt.engine.keys import fold

FlushKind = Literal["all", "tag", "age", "pattern"]

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

STALE_IF_ERROR_S = 24 * 60 * 60
"""For how long past its TTL a result serves while the provider fails, where no rule says otherwise."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Flush:
    """One removal, as a statement about entries rather than a list of them.

    `kind` "all" concerns every entry; "tag" those that carry `match`; "age" those made before the Unix time
    `match`; "pattern" those whose readable name (`level:collection:question`) fits the shell-style `match`.
    None concerns an entry made of inputs that are newer than the flush.
    """

    clock: int
    kind: FlushKind
    match: str = ""


class Flushes:
    """Flushes, so arranged that an entry is judged by its tags, however many flushes there were. Immutable.

    Of flushes with the same words only the newest counts: it concerns whatever the earlier ones did. So does
    a flush by age what an earlier one did that names no later time. Patterns are tried one by one.
    """

    def __init__(self, flushes: Iterable[Flush] = ()) -> None:
        newest: dict[tuple[FlushKind, str], int] = {}
        for flush in flushes:
            words = (flush.kind, flush.match)
            newest[words] = max(flush.clock, newest.get(words, 0))
        self._all = newest.pop(("all", ""), 0)
        later = {words: clock for words, clock in newest.items() if clock > self._all}
        self._tags = {match: clock for (kind, match), clock in later.items() if kind == "tag"}
        self._ages = _reaching(
            (clock, float(match)) for (kind, match), clock in later.items() if kind == "age"
        )
        self._patterns = [(clock, fold(match)) for (kind, match), clock in later.items() if kind == "pattern"]

    def concern(self, entry: Entry, collection: str) -> bool:
        """Whether one of them removed the entry."""
        if entry.clock < self._all:
            return True
        if self._tags and any(entry.clock < self._tags.get(tag, 0) for tag in entry.tags):
            return True
        if any(entry.clock < clock and entry.made_at < before for clock, before in self._ages):
            return True
        if not self._patterns:
            return False
        name = f"{entry.level}:{collection}:{entry.question}"
        return any(entry.clock < clock and fnmatchcase(name, match) for clock, match in self._patterns)


def _reaching(ages: Iterable[tuple[int, float]]) -> list[tuple[int, float]]:
    """Return the (clock, time) that no newer one implies, newest first."""
    reaching: list[tuple[int, float]] = []
    for clock, before in sorted(ages, reverse=True):
        if not reaching or before > reaching[-1][1]:
            reaching.append((clock, before))
    return reaching


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """How a level's entries, or those of one intent in it, are kept.

    Past its TTL an entry is reused for `stale_while_revalidate_s` while a new one is made in the background,
    and for `stale_if_error_s` while the provider fails.
    """

    ttl_s: float
    is_enabled: bool = True
    stale_while_revalidate_s: float = 0.0
    stale_if_error_s: float = STALE_IF_ERROR_S


@dataclass(frozen=True, kw_only=True, slots=True)
class Knowledge:
    """All decisions up to `clock`. Immutable: threads share it freely.

    `rules` by (level, intent), intent "" for the whole level. `revisions` are the published policy
    revisions by collection, "" for one without any. `floor`: the flushes up to this clock are no longer
    listed, so entries older than it are not reused. `mark` is what another history's clock of the same number
    does not have. `is_complete`: False where nothing could be loaded yet, so that what is missing here may
    yet exist. `others` are decisions that are not the cache's own, by name: they are only kept as new as the
    rest.
    """

    clock: int = 0
    mark: str = ""
    floor: int = 0
    is_on: bool = True
    is_complete: bool = True
    flushes: Flushes = field(default_factory=Flushes)
    rules: Mapping[tuple[str, str], Rule] = field(default_factory=dict)
    revisions: Mapping[str, str] = field(default_factory=dict)
    others: Mapping[str, Any] = field(default_factory=dict)

    def rule(self, level: str, intent: str | None) -> Rule:
        """Return the rule for the intent in that level, else the level's, else the default."""
        own = self.rules.get((level, intent)) if intent else None
        rule = own or self.rules.get((level, "")) or Rule(ttl_s=DEFAULT_TTL_S[level])
        if level != "reply":
            return rule
        # A reply becomes an answer again: it may not outlive one.
        answer = self.rule("response", intent)
        return replace(
            rule,
            ttl_s=min(rule.ttl_s, answer.ttl_s),
            stale_while_revalidate_s=min(rule.stale_while_revalidate_s, answer.stale_while_revalidate_s),
            stale_if_error_s=min(rule.stale_if_error_s, answer.stale_if_error_s),
        )

    def is_enabled(self, level: str) -> bool:
        """Whether the level may be used at all."""
        return self.is_on and self.rule(level, None).is_enabled

    def is_flushed(self, entry: Entry, collection: str) -> bool:
        """Whether a flush since the entry's making removed it."""
        return entry.clock < self.floor or self.flushes.concern(entry, collection)


class KnowledgeSource(Protocol):
    """Where a process gets its Knowledge from. Thread-safe."""

    def known(self, at_least: int | None = None) -> Knowledge:
        """Return what is known, loading it anew first if `at_least` is above its clock. Without reason to
        load, it costs neither a query nor a lock."""
        ...

    def is_current(self, told: int | None) -> bool:
        """Whether what is known is all that was decided up to a second ago: because the shared store has
        just `told` the same clock, else because the database said so within the last second."""
        ...
