"""How long a stored result may be reused, and what a single request may ask of the cache."""

from dataclasses import dataclass

from cachemgmt.engine.clock import Rule
from cachemgmt.engine.entry import Entry

RETENTION_S = 24 * 60 * 60
"""How long the store keeps an entry past its TTL: a rule that is raised later acts on it, too."""


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
    left_s = ttl_s - age_s(entry, now)
    return left_s if entry.valid_until is None else min(left_s, entry.valid_until - now)


def age_s(entry: Entry, now: float) -> float:
    """Return how long ago the entry was made, in seconds, at least 0."""
    return max(0.0, now - entry.made_at)
