"""The expiring right to fill, and who keeps it alive.

After Facebook's leases (Nishtala et al., Scaling Memcache at Facebook, NSDI 2013): a token that the store
gives to one of those who miss, and without which nothing is stored. Here it is renewed while its holder
lives, so that a dead one blocks others for seconds, and never past the fill's deadline, so that a hung one
does not block them for ever.
"""

import logging
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Lock, Thread

from cachemgmt.engine.errors import StoreError
from cachemgmt.engine.stores.base import Renewal, Store

logger = logging.getLogger(__name__)

LEASE_S = 5.0
RENEWALS = 3
"""How often a lease is renewed in the time it lasts: one lost renewal does not lose it."""

NOTE_S = 2.0
"""For how long those who come too late are told what became of a fill that left nothing to share."""

FAILED = b"!"
"""What a note begins with that tells of a provider's failure. No token does."""

UNSHARED = b"~"
"""The note that a fill's result was not for sharing: everybody fills for himself."""


def new_token() -> bytes:
    """Return a token that no other fill has."""
    return secrets.token_hex(8).encode()


@dataclass(slots=True, eq=False)
class Lease:
    """One fill's right. Times are monotonic seconds. `is_over` once it was given back, or somebody else may
    have it; `is_lost` in the latter case."""

    name: str
    token: bytes
    deadline: float
    renewed_at: float
    is_over: bool = False
    is_lost: bool = False

    def ttl_s(self, now: float) -> float:
        """Return how long it may be taken for now: no longer than to the fill's deadline."""
        return min(LEASE_S, self.deadline - now)


@dataclass(slots=True, eq=False)
class Heartbeat:
    """Renews all leases of a process that are held. One thread, which runs while there are any."""

    store: Store
    monotonic: Callable[[], float] = time.monotonic
    is_threaded: bool = True
    """False: nobody calls `beat` but the owner. For tests on a time of their own."""
    _held: set[Lease] = field(default_factory=set)
    _lock: Lock = field(default_factory=Lock)
    _renewing: Lock = field(default_factory=Lock)
    _is_running: bool = False
    _tick: Event = field(default_factory=Event)

    @contextmanager
    def keeping(self, lease: Lease) -> Iterator[Lease]:
        """Keep the lease alive while inside, up to its deadline."""
        with self._lock:
            self._held.add(lease)
            if self.is_threaded and not self._is_running:
                self._is_running = self._start()
        try:
            yield lease
        finally:
            with self._lock:
                self._held.discard(lease)
            with self._renewing:  # a renewal that came after its giving back would bring it to life again
                lease.is_over = True

    def _start(self) -> bool:
        try:
            Thread(target=self._run, name="tria-heartbeat", daemon=True).start()
        except RuntimeError:  # no thread can be started: the fill goes on, and the next one tries again
            logger.warning("Leases are not renewed: no thread", extra={"action": "renew"})
            return False
        return True

    def _run(self) -> None:
        while True:
            self._tick.wait(LEASE_S / RENEWALS)
            with self._lock:
                if not self._held:
                    self._is_running = False
                    return
            try:
                self.beat()
            except Exception:  # the thread must outlive whatever one round meets
                logger.exception("Leases could not be renewed")

    def beat(self) -> None:
        """Renew every lease that is held, together: one after another, the last of many would run out on a
        slow store. A store that fails is tried again at the next beat."""
        with self._renewing:
            with self._lock:
                held = list(self._held)
            now = self.monotonic()
            # Past its deadline a lease ends by itself, and whoever waits takes over.
            due = [lease for lease in held if not lease.is_over and lease.ttl_s(now) > 0]
            try:
                answers = self.store.renew_leases([_renewal(lease, now) for lease in due])
            except StoreError:
                return
            for lease, is_held in zip(due, answers, strict=True):
                lease.renewed_at = now
                lease.is_over = lease.is_lost = not is_held


def _renewal(lease: Lease, now: float) -> Renewal:
    # Not yet run out and yet gone: the store has forgotten it, and nobody was given it by right.
    is_forgotten = now - lease.renewed_at < LEASE_S
    return Renewal(lease=lease.name, token=lease.token, ttl_s=lease.ttl_s(now), or_take=is_forgotten)
