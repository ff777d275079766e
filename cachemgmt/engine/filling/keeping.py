"""What becomes of what was made: kept under the lease, or not; and how the lease is given back."""

import logging
from typing import Literal

from cachemgmt.engine.entry import Entry, encode
from cachemgmt.engine.errors import StoreError
from cachemgmt.engine.filling.cache import Cache
from cachemgmt.engine.filling.lease import LEASE_S, NOTE_S, UNSHARED, Lease
from cachemgmt.engine.filling.results import CacheRequest, FillOutcome, FillResult, Status
from cachemgmt.engine.keys import Key
from cachemgmt.engine.reasons import Reason
from cachemgmt.engine.reuse.knowledge import CLOCK_NAME

logger = logging.getLogger(__name__)

Fate = Literal["stored", "barred", "lost"]
"""What becomes of a result under a lease: barred by a flush, a switch or its age; lost with the lease."""


class Keeper:
    """Keeps what fills made. Thread-safe."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    def give_back(self, lease: Lease, *, note: bytes = b"") -> None:
        """End the lease, leaving the note in its place if there is one."""
        try:
            self._cache.store.end_lease(lease.name, lease.token, note=note, note_ttl_s=NOTE_S)
        except StoreError:
            return  # it runs out

    def kept(
        self,
        made: FillResult,
        shared: Key,
        visit: CacheRequest,
        lease: Lease | None = None,
        *,
        reason: Reason | None,
        status: Status = "miss",
    ) -> FillOutcome:
        """Keep what was made, unless a flush has overtaken it, and give back the lease, which is for the
        `shared` key. `reason` and `status` are the miss's."""
        key = made.keep_under or shared
        known, _ = self._cache.reread_clock(visit)
        entry = self._cache.envelope(key, made, visit)
        is_overtaken = known.is_flushed(entry, key.collection)
        is_stored = False
        if lease and key == shared and made.keep_under and not is_overtaken:
            is_stored = self._keep_leased(lease, key, made, visit)
        else:
            if not is_overtaken:
                entry, is_stored = self._cache.keep(key, made, visit)
            if lease:
                self.give_back(lease, note=b"" if is_overtaken else UNSHARED)
        if not is_stored and made.reason:
            status, reason = "bypass", made.reason
        return FillOutcome(
            status=status,
            entry=entry,
            is_stored=is_stored,
            is_storable=made.keep_under is not None,
            is_overtaken=is_overtaken,
            is_late=lease is not None and lease.is_lost,
            reason=reason,
        )

    def _keep_leased(self, lease: Lease, key: Key, made: FillResult, visit: CacheRequest) -> bool:
        """Store the entry iff the lease is held, still or again; return whether it was stored."""
        entry = self._cache.envelope(key, made, visit)
        try:
            fate = self._put(lease, entry, key, visit)
            if fate == "lost" and self._takes_again(lease, key, visit):
                fate = self._put(lease, entry, key, visit)
        except StoreError as error:
            logger.warning("A result could not be stored: %s", error, extra={"action": "keep"})
            return False
        if fate != "barred":
            lease.is_lost = fate == "lost"
        return fate == "stored"

    def _put(self, lease: Lease, entry: Entry, key: Key, visit: CacheRequest) -> Fate:
        stays_s = self._cache.stays_s(entry, key, visit)
        if stays_s is None:
            self.give_back(lease)
            return "barred"
        store, body = self._cache.store_for(visit), encode(entry)
        is_held = store.set_leased(key.name, body, stays_s, lease=lease.name, token=lease.token)
        return "stored" if is_held else "lost"

    def _takes_again(self, lease: Lease, key: Key, visit: CacheRequest) -> bool:
        """Return whether a lease that ran out, or that the store forgot, is held again: nobody has it, and
        nothing stands there that the visit would take, or that cannot be judged now."""
        holder, (raw, clock) = self._cache.store.take_lease(
            lease.name, lease.token, LEASE_S, reading=[key.name, CLOCK_NAME]
        )
        if holder not in {None, lease.token}:
            return False
        stands = self._cache.choose([key], [raw], clock, visit)
        is_free = not stands or stands.is_stale
        if not is_free or (raw is not None and stands.reason == "unconfirmed"):
            self.give_back(lease)
            return False
        return True
