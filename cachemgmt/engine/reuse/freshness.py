"""How long a stored result may be reused, and what a single request may ask of the cache."""

from dataclasses import dataclass

from cachemgmt.engine.entry import Entry
from cachemgmt.engine.reuse.knowledge import Rule

RETENTION_S = 24 * 60 * 60
"""How long the store keeps an entry past its TTL at least: a rule that is raised later acts on it, too."""

JITTER = 0.05
"""By what share of its TTL an entry may expire early, so that what was warmed together does not expire so."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Directives:
    """What one request asks of the cache (RFC 9111, request directives).

    `no_cache`: make it anew at every level, and share the result. `no_store`: neither look up nor keep.
    `max_age_s`: reuse nothing older. `only_if_cached`: do not fill.
    """

    no_cache: bool = False
    no_store: bool = False
    max_age_s: float | None = None
    only_if_cached: bool = False


def ttl_left_s(entry: Entry, rule: Rule, now: float) -> float:
    """Return the seconds for which the entry stays fresh; 0 or less once it is not.

    Counted from its making, by the rule as it stands now. An entry from the future (a clock that was set
    back) counts as made now.
    """
    ttl_s = rule.ttl_s if entry.max_ttl_s is None else min(rule.ttl_s, entry.max_ttl_s)
    left_s = ttl_s * (1 - JITTER * _share(entry)) - age_s(entry, now)
    return left_s if entry.valid_until is None else min(left_s, entry.valid_until - now)


def is_within(entry: Entry, window_s: float, left_s: float, now: float) -> bool:
    """Whether the entry, `left_s` from its TTL, may be reused past it, in a window that long.

    Never past the time at which a policy changes: staleness relaxes the TTL alone. What is only a marker
    (it has a TTL of its own) is never stale.
    """
    is_valid = entry.valid_until is None or now < entry.valid_until
    return is_valid and entry.max_ttl_s is None and left_s + window_s > 0


def retention_s(left_s: float, rule: Rule) -> float:
    """Return for how long the store is to keep an entry that stays fresh for `left_s`."""
    return left_s + max(RETENTION_S, rule.stale_while_revalidate_s, rule.stale_if_error_s)


def age_s(entry: Entry, now: float) -> float:
    """Return how long ago the entry was made, in seconds, at least 0."""
    return max(0.0, now - entry.made_at)


def _share(entry: Entry) -> float:
    """Return a number from 0 to 1 that differs between entries, and is the same in every process."""
    return int(entry.entry_id[:4], 16) / 0xFFFF
