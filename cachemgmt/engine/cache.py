"""The heart: look up, decide, fill once, keep."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from cachemgmt.engine.clock import CLOCK_NAME, Knowledge, KnowledgeSource
from cachemgmt.engine.entry import Entry, decode, encode
from cachemgmt.engine.errors import NotStored, StoreError, Undecodable
from cachemgmt.engine.flight import Flights
from cachemgmt.engine.freshness import RETENTION_S, age_s, ttl_left_s
from cachemgmt.engine.key import Key
from cachemgmt.engine.results import MISSES, Lookup, Made, Outcome, Status, Visit
from cachemgmt.engine.store import Store

logger = logging.getLogger(__name__)

WAIT_S = 120.0
"""How long a waiter waits for another's fill before it fills by itself."""


Accept = Callable[[Entry, Knowledge], bool]


def accept_any(_entry: Entry, _known: Knowledge) -> bool:
    """The caller has no objection of his own."""
    return True


def _as_clock(raw: bytes | None) -> int:
    """Return the store's copy of the clock, 0 for what is none: a store may hold anything."""
    return int(raw) if raw and raw.isdigit() and len(raw) < 20 else 0


class Cache:
    """The levels over one store. Thread-safe; a store's failure is a miss, never an error."""

    def __init__(
        self,
        *,
        store: Store,
        source: KnowledgeSource,
        is_enabled: bool = True,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.store = store
        self._source = source
        self._is_enabled = is_enabled
        self._now = now
        self._flights: Flights[Outcome] = Flights()

    def lookup(
        self,
        keys: Sequence[Key],
        visit: Visit,
        *,
        barred: str | None = None,
        accept: Accept = accept_any,
    ) -> Lookup:
        """Return the first of the keys' entries that may be reused, in one round trip to the store.

        `barred`: the caller's reason for not looking. `accept` may refuse an entry for a reason of the
        caller's (another revision of the policies).
        """
        if not self._is_enabled:
            return self._found_nothing(visit, self._source.known(), "disabled")
        barred = barred or self._declined(visit)
        wanted = [] if barred else [key.name for key in keys]
        known = self._source.known()
        try:
            # The clock is read in any case: the news may be that a switch was turned back on.
            *found, clock = self.store.get_many([*wanted, CLOCK_NAME])
        except StoreError:
            return self._found_nothing(
                visit, known, self._switched_off(keys[0].level, known) or barred or "store-out"
            )
        if _as_clock(clock) > known.clock:
            known = self._source.known(at_least=_as_clock(clock))
        barred = self._switched_off(keys[0].level, known) or barred
        if barred:
            return self._found_nothing(visit, known, barred)
        self._note_clock(visit, known)
        reason = "absent"
        for key, raw in zip(keys, found, strict=True):
            if raw is None:
                continue
            entry = self._decoded(key, raw)
            if entry and entry.clock > known.clock:
                known = self._source.known(at_least=entry.clock)
            reason = self._objection(entry, key, visit, known, accept) if entry else "unreadable"
            if entry and not reason:
                return Lookup(entry=entry)
        return Lookup(entry=None, reason=reason)

    def _declined(self, visit: Visit) -> str | None:
        """Return why the request itself does not want stored results, None if it does."""
        if visit.directives.no_store:
            return "no-store"
        return "no-cache" if visit.directives.no_cache else None

    def _switched_off(self, level: str, known: Knowledge) -> str | None:
        """Return which switch an operator has turned off, None if none."""
        if not known.is_on:
            return "switched-off"
        return None if known.is_enabled(level) else "level-off"

    def _found_nothing(self, visit: Visit, known: Knowledge, reason: str) -> Lookup:
        self._note_clock(visit, known)
        return Lookup(entry=None, reason=reason)

    def _note_clock(self, visit: Visit, known: Knowledge) -> None:
        if visit.clock is None:
            visit.clock = known.clock

    def _decoded(self, key: Key, raw: bytes) -> Entry | None:
        try:
            return decode(raw)
        except Undecodable:
            self._try_store(lambda: self.store.delete([key.name]))
            return None

    def _objection(
        self,
        entry: Entry,
        key: Key,
        visit: Visit,
        known: Knowledge,
        accept: Accept = accept_any,
    ) -> str:
        """Return why the entry may not be reused, "" if it may."""
        now = self._now()
        rule = known.rule(key.level, entry.intent)
        if not entry.belongs_to(key):
            return "mixed-up"
        if entry.clock > known.clock:
            return (
                "other-history"  # of a database that was since made anew or restored: its flushes are unknown
            )
        if known.is_flushed(entry, key.collection):
            return "flushed"
        if not rule.is_enabled:
            return "level-off"
        if ttl_left_s(entry, rule, now) <= 0:
            return "expired"
        if visit.directives.max_age_s is not None and age_s(entry, now) > visit.directives.max_age_s:
            return "max-age"
        return "" if accept(entry, known) else "policies-changed"

    def age_and_ttl_s(self, entry: Entry) -> tuple[float, float]:
        """Return how old the entry is and for how long it stays fresh, in seconds."""
        now = self._now()
        rule = self._source.known().rule(entry.level, entry.intent)
        return age_s(entry, now), max(0.0, ttl_left_s(entry, rule, now))

    def keep(self, key: Key, made: Made, visit: Visit) -> tuple[Entry, bool]:
        """Store what was made; return its envelope and whether it was kept.

        Nothing is kept that was not made for `key`, that the request or an operator bars, or whose making
        is older than the level's TTL.
        """
        now = self._now()
        known = self._source.known()
        entry = Entry(
            key_parts=key.parts,
            entry_id=key.entry_id,
            level=key.level,
            made_at=now if made.made_at is None else made.made_at,
            fill_s=made.fill_s or 0.0,
            cost_usd=made.cost_usd,
            clock=known.clock if visit.clock is None else visit.clock,
            tags=(f"level:{key.level}", f"collection:{key.collection}", f"entry:{key.entry_id}", *made.tags),
            question=made.question,
            value=made.value,
            max_ttl_s=made.max_ttl_s,
        )
        rule = known.rule(key.level, entry.intent)
        left_s = ttl_left_s(entry, rule, now)
        is_off = not self._is_enabled or self._switched_off(key.level, known) or not rule.is_enabled
        if made.keep_under != key or visit.directives.no_store or is_off or left_s <= 0:
            return entry, False
        body = encode(entry)
        return entry, self._try_store(lambda: self.store.set(key.name, body, left_s + RETENTION_S))

    def _try_store(self, write: Callable[[], object]) -> bool:
        try:
            write()
        except StoreError as error:
            logger.warning("A result could not be stored: %s", error, extra={"action": "keep"})
            return False
        return True

    def get_or_fill(
        self, keys: Sequence[Key], fill: Callable[[], Made], visit: Visit, *, barred: str | None = None
    ) -> Outcome:
        """Return a reusable entry under one of the keys, else what `fill` makes, keeping it.

        Several callers who miss the same first key in this process at once share one fill: the others
        wait up to `WAIT_S` and report "collapsed". A fill's error reaches all of them unchanged and is
        not kept. Raises NotStored where only a stored result was asked for.
        """
        landed_before = self._flights.landed_count
        found = self.lookup(keys, visit, barred=barred)
        if found.entry:
            return Outcome(status="hit", entry=found.entry, is_stored=True)
        if visit.directives.only_if_cached:
            raise NotStored
        if found.reason not in MISSES:
            return self._fill(fill, visit, keys, "bypass", found.reason)
        flight, is_leader = self._flights.join(keys[0].digest)
        if not is_leader:
            if flight.wait(WAIT_S):
                if flight.error:
                    raise flight.error
                if flight.result and self._may_share(flight.result, keys, visit):
                    return replace(flight.result, status="collapsed")
            return self._fill(fill, visit, keys, "miss", found.reason)
        return self._lead(keys, fill, visit, found, landed_before)

    def _lead(
        self,
        keys: Sequence[Key],
        fill: Callable[[], Made],
        visit: Visit,
        found: Lookup,
        landed_before: int,
    ) -> Outcome:
        # Another flight may have landed between the look-up and the taking of the lead.
        try:
            again = self.lookup(keys, visit) if self._flights.landed_count != landed_before else found
            if again.entry:
                outcome = Outcome(status="hit", entry=again.entry, is_stored=True)
            else:
                outcome = self._fill(fill, visit, keys, "miss", found.reason)
        except BaseException as error:  # whatever it is, the waiters must be woken with it
            self._flights.fail(keys[0].digest, error)
            raise
        self._flights.land(keys[0].digest, outcome)
        return outcome

    def _may_share(self, outcome: Outcome, keys: Sequence[Key], visit: Visit) -> bool:
        """Whether a waiter may take the leader's result: kept under one of his keys, and not flushed by the
        clock he knows."""
        key = next((key for key in keys if outcome.entry.belongs_to(key)), None)
        if key is None or not outcome.is_storable:
            return False
        known = self._source.known()
        return not self._objection(outcome.entry, key, visit, known)

    def _fill(
        self,
        fill: Callable[[], Made],
        visit: Visit,
        keys: Sequence[Key],
        status: Status,
        reason: str | None,
    ) -> Outcome:
        started = self._now()
        made = fill()
        made = replace(made, fill_s=max(0.0, self._now() - started)) if made.fill_s is None else made
        entry, is_stored = self.keep(made.keep_under or keys[0], made, visit)
        if not is_stored and made.reason:
            status, reason = "bypass", made.reason
        is_storable = made.keep_under is not None
        return Outcome(
            status=status, entry=entry, is_stored=is_stored, is_storable=is_storable, reason=reason
        )
