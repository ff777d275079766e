"""The heart: look up, decide, keep."""

import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from cachemgmt.engine.entry import Entry, decode_stored, encode
from cachemgmt.engine.errors import StoreError
from cachemgmt.engine.filling.results import CacheRequest, FillResult, IfError, Lookup
from cachemgmt.engine.keys import Key
from cachemgmt.engine.reasons import Reason
from cachemgmt.engine.reuse.freshness import age_s, retention_s, ttl_left_s
from cachemgmt.engine.reuse.judging import Accept, Use, accept_any, judge
from cachemgmt.engine.reuse.knowledge import CLOCK_NAME, Knowledge, KnowledgeSource
from cachemgmt.engine.stores.base import Store

logger = logging.getLogger(__name__)


CLOCK_DIGITS = 15
"""What is longer is no clock: Redis counts no further exactly, and the database needs room to go on."""


def as_clock(raw: bytes | None) -> int | None:
    """Return the store's copy of the clock, None for what is none: a store may hold anything."""
    return int(raw) if raw and raw.isdigit() and len(raw) <= CLOCK_DIGITS else None


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

    def lookup(
        self,
        keys: Sequence[Key],
        visit: CacheRequest,
        *,
        barred: Reason | None = None,
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
        try:
            # The clock is read in any case: the news may be that a switch was turned back on.
            *found, clock = self.store_for(visit).get_many([*wanted, CLOCK_NAME])
        except StoreError:
            known = self._source.known()
            reason = self._switched_off(keys[0].level, known) or barred or "store-out"
            return self._found_nothing(visit, known, reason)
        return self.choose(keys, found, clock, visit, barred=barred, accept=accept)

    def choose(
        self,
        keys: Sequence[Key],
        found: Sequence[bytes | None],
        clock: bytes | None,
        visit: CacheRequest,
        *,
        barred: Reason | None = None,
        accept: Accept = accept_any,
    ) -> Lookup:
        """Return the first reusable one of what the store holds under the keys, together with its clock."""
        known, is_current = self._informed(clock)
        barred = self._switched_off(keys[0].level, known) or barred
        if barred or not is_current:
            return self._found_nothing(visit, known, barred or "unconfirmed")
        self._note_clock(visit, known)
        store = self.store_for(visit)
        reason: Reason | None = "absent"
        past_ttl, best = Lookup(entry=None), (False, float("-inf"))
        for key, raw in zip(keys, found, strict=True):
            for entry, body in self._copies(key, raw, store):
                if entry.clock > known.clock:
                    known = self._source.known(at_least=entry.clock)
                use, objection = self._judge(entry, key, visit, known, accept)
                if use == "fresh":
                    if body is raw:
                        store.note(key.name, body)
                    else:  # the shared store has lost it: others want it, too
                        self._store_again(key, entry, body, visit)
                    return Lookup(entry=entry)
                reason = objection
                is_stale = use == "stale" and not visit.is_refresh
                if use == "no" or (is_stale, entry.made_at) <= best:
                    continue
                best = (is_stale, entry.made_at)
                if is_stale:
                    past_ttl = Lookup(entry=entry, reason=objection, is_stale=True)
                else:
                    past_ttl = Lookup(entry=None, if_error=IfError(entry, key, accept))
            if raw is not None and reason == "absent":
                reason = "unreadable"
        return past_ttl or Lookup(entry=None, reason=reason, if_error=past_ttl.if_error)

    def _copies(self, key: Key, raw: bytes | None, store: Store) -> Iterator[tuple[Entry, bytes]]:
        """Yield what is stored under the key; then, for who has no use for it, this process's own copy."""
        entry = decode_stored(raw)
        if entry and raw:
            yield entry, raw
        spare = store.spare(key.name)
        own = decode_stored(spare) if spare != raw else None
        if own and spare:
            yield own, spare
        elif raw is not None and entry is None:
            self._try_store(lambda: store.remove({key.name: raw}))

    def _store_again(self, key: Key, entry: Entry, body: bytes, visit: CacheRequest) -> None:
        stays_s = self.stays_s(entry, key, visit)
        if stays_s is not None:
            self._try_store(lambda: self.store_for(visit).set(key.name, body, stays_s))

    def serves_error(self, found: Lookup, visit: CacheRequest) -> Entry | None:
        """Return the entry that serves while the provider fails, if there is one: judged once more, as it
        may have been flushed since the look-up."""
        candidate = found.if_error
        if candidate is None or visit.is_refresh:
            return None
        known, is_current = self.reread_clock(visit)
        if not is_current or self._switched_off(candidate.key.level, known):
            return None
        use, _ = self._judge(candidate.entry, candidate.key, visit, known, candidate.accept)
        return candidate.entry if use != "no" else None

    def known(self) -> Knowledge:
        """Return what is known of decisions, without a query or a round trip."""
        return self._source.known()

    def reread_clock(self, visit: CacheRequest) -> tuple[Knowledge, bool]:
        """Return what is known now, and whether that is all there is to know. One round trip."""
        clock = None
        if self._is_enabled:
            with contextlib.suppress(StoreError):
                clock = self.store_for(visit).get_many([CLOCK_NAME])[0]
        return self._informed(clock)

    def _informed(self, clock: bytes | None) -> tuple[Knowledge, bool]:
        told = as_clock(clock) if self.store.is_shared else None
        self._source.known(at_least=told)
        is_current = self._source.is_current(told)
        return self._source.known(), is_current  # read after the question: the answer is about no older one

    def store_for(self, visit: CacheRequest) -> Store:
        """Return the store as the visit's request sees it."""
        if visit.store is None:
            visit.store = self.store.session()
        return visit.store

    def _declined(self, visit: CacheRequest) -> Reason | None:
        """Return why the request itself does not want stored results, None if it does."""
        if visit.directives.no_store:
            return "no-store"
        return "no-cache" if visit.directives.no_cache else None

    def _switched_off(self, level: str, known: Knowledge) -> Reason | None:
        """Return which switch an operator has turned off, None if none."""
        if not known.is_on:
            return "switched-off"
        return None if known.is_enabled(level) else "level-off"

    def _found_nothing(self, visit: CacheRequest, known: Knowledge, reason: Reason) -> Lookup:
        self._note_clock(visit, known)
        return Lookup(entry=None, reason=reason)

    def _note_clock(self, visit: CacheRequest, known: Knowledge) -> None:
        if visit.clock is None:
            visit.clock = known.clock

    def _judge(
        self, entry: Entry, key: Key, visit: CacheRequest, known: Knowledge, accept: Accept
    ) -> tuple[Use, Reason | None]:
        now = self._now()
        return judge(entry, key, known=known, now=now, directives=visit.directives, accept=accept)

    def objection(self, entry: Entry, key: Key, visit: CacheRequest, *, waited_s: float) -> Reason | None:
        """Return why somebody who waited that long for the entry may not take it, by all that is known now;
        None if he may. His max-age counts from when he asked."""
        asked, known = visit.directives, self._source.known()
        if asked.max_age_s is not None:
            asked = replace(asked, max_age_s=asked.max_age_s + waited_s)
        switch = self._switched_off(key.level, known)
        return switch or judge(entry, key, known=known, now=self._now(), directives=asked)[1]

    def is_sure(self, visit: CacheRequest) -> bool:
        """Whether all is known that was decided up to a second ago. At most one round trip."""
        return self._source.is_current(None) or self.reread_clock(visit)[1]

    def age_and_ttl_s(self, entry: Entry) -> tuple[float, float]:
        """Return how old the entry is and for how long it stays fresh, in seconds; less than 0 once stale."""
        now = self._now()
        rule = self._source.known().rule(entry.level, entry.intent)
        return age_s(entry, now), ttl_left_s(entry, rule, now)

    def envelope(self, key: Key, made: FillResult, visit: CacheRequest) -> Entry:
        """Return what was made as an entry of the key."""
        known = self._source.known()
        return Entry(
            key_parts=key.parts,
            entry_id=key.entry_id,
            level=key.level,
            made_at=self._now() if made.made_at is None else made.made_at,
            fill_s=made.fill_s or 0.0,
            cost_usd=made.cost_usd,
            clock=known.clock if visit.clock is None else visit.clock,
            tags=(f"level:{key.level}", f"collection:{key.collection}", f"entry:{key.entry_id}", *made.tags),
            question=made.question,
            value=made.value,
            valid_until=made.valid_until,
            max_ttl_s=made.max_ttl_s,
        )

    def keep(self, key: Key, made: FillResult, visit: CacheRequest) -> tuple[Entry, bool]:
        """Store what was made; return its envelope and whether it was kept.

        Nothing is kept that was not made for `key`, that the request or an operator bars, or whose making
        is older than the level's TTL.
        """
        entry = self.envelope(key, made, visit)
        stays_s = self.stays_s(entry, key, visit) if made.keep_under == key else None
        if stays_s is None:
            return entry, False
        body = encode(entry)
        return entry, self._try_store(lambda: self.store_for(visit).set(key.name, body, stays_s))

    def stays_s(self, entry: Entry, key: Key, visit: CacheRequest) -> float | None:
        """Return for how long the store is to keep the entry, None where it is not to be kept."""
        known = self._source.known()
        rule = known.rule(key.level, entry.intent)
        left_s = ttl_left_s(entry, rule, self._now())
        is_off = not self._is_enabled or self._switched_off(key.level, known) or not rule.is_enabled
        # What is dead on arrival would replace another's that is not.
        if visit.directives.no_store or is_off or left_s <= 0 or known.is_flushed(entry, key.collection):
            return None
        return retention_s(left_s, rule)

    def _try_store(self, write: Callable[[], object]) -> bool:
        try:
            write()
        except StoreError as error:
            logger.warning("A result could not be stored: %s", error, extra={"action": "keep"})
            return False
        return True
