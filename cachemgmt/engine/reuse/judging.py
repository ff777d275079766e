"""May this entry be reused, now, by this request?"""

from collections.abc import Callable
from typing import Literal

from cachemgmt.engine.entry import Entry
from cachemgmt.engine.keys import Key
from cachemgmt.engine.reasons import Reason
from cachemgmt.engine.reuse.freshness import Directives, age_s, is_within, ttl_left_s
from cachemgmt.engine.reuse.knowledge import Knowledge

Use = Literal["fresh", "stale", "if-error", "no"]
"""Fresh; past its TTL, but reused while a new one is made; reused if that fails; or not at all."""

Accept = Callable[[Entry, Knowledge], bool]


def accept_any(_entry: Entry, _known: Knowledge) -> bool:
    """The caller has no objection of his own."""
    return True


def judge(
    entry: Entry,
    key: Key,
    *,
    known: Knowledge,
    now: float,
    directives: Directives,
    accept: Accept = accept_any,
) -> tuple[Use, Reason | None]:
    """Return how the entry may be used, and why not freely (None where it is fresh)."""
    rule = known.rule(key.level, entry.intent)
    if not entry.belongs_to(key):
        return "no", "mixed-up"
    if entry.clock > known.clock:
        return "no", "other-history"  # of a database that was since made anew: its flushes are unknown
    if known.is_flushed(entry, key.collection):
        return "no", "flushed"
    if not rule.is_enabled:
        return "no", "level-off"
    if not accept(entry, known):
        return "no", "policies-changed"
    if directives.max_age_s is not None and age_s(entry, now) > directives.max_age_s:
        return "no", "max-age"
    left_s = ttl_left_s(entry, rule, now)
    if left_s > 0:
        return "fresh", None
    if is_within(entry, rule.stale_while_revalidate_s, left_s, now):
        return "stale", "expired"
    return ("if-error" if is_within(entry, rule.stale_if_error_s, left_s, now) else "no"), "expired"
