"""Bounds what misses may take of a process: slots around provider calls, places for requests.

A customer's request takes a *place* before it fills or waits for a fill, and a *slot* around each provider
call alone. Who waits for another's fill holds no slot, so those who fill always come to one. A warmer holds
a slot for a whole answer, waits for other fills included: therefore its share is smaller than the whole.
"""

import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from cachemgmt.engine.errors import Overloaded

PATIENCE_S = 30.0
"""After so long warming goes on all the same: under steady load it would otherwise never end."""


@dataclass(slots=True, eq=False, kw_only=True)
class _Turn:
    """One wait for a slot, and then the holding of it."""

    is_warming: bool = False
    is_impatient: bool = False
    granted: threading.Event = field(default_factory=threading.Event)


class _ThreadState(threading.local):
    has_slot = False


class Place:
    """A request's place among those admitted; not taken yet. Used by one thread at a time."""

    __slots__ = ("_bulkhead", "is_taken")

    def __init__(self, bulkhead: "Bulkhead") -> None:
        self._bulkhead = bulkhead
        self.is_taken = False

    def take(self) -> None:
        """Count this request as admitted until `leave`, if it is not yet.

        A warmer's request is let in by its slot, and takes no place. Raises Overloaded where as many as may
        be are admitted already.
        """
        if not self.is_taken:
            self.is_taken = self._bulkhead.admit()

    def leave(self) -> None:
        """Give the place back, if it is taken. Costs a hit, which never took it, no lock."""
        if self.is_taken:
            self.is_taken = False
            self._bulkhead.dismiss()


class Bulkhead:
    """The slots and places of one process. Thread-safe.

    Free slots go to customers' calls in the order they came. A warmer takes one only while no customer is
    admitted and none queues, or after its patience. So customers never wait on a warmer that waits.
    """

    def __init__(self, *, slots: int, most_admitted: int, warming_slots: int, queue_s: float) -> None:
        """`slots`: provider calls at once. `most_admitted`: requests that call, queue or wait at once.
        `warming_slots`: how many slots warming may hold, at least 1 and less than `slots`. `queue_s`: how
        long a call may queue for its slot. Raises ValueError."""
        if not 1 <= warming_slots < slots or most_admitted < 1 or queue_s < 0:
            raise ValueError("at least one slot must be left to customers, one to warming, and one place")
        self._slots = slots
        self._most_admitted = most_admitted
        self._warming_slots = warming_slots
        self._queue_s = queue_s
        self._n_calling = 0
        self._n_warming = 0
        self._n_admitted = 0
        self._calls: deque[_Turn] = deque()
        self._warmers: deque[_Turn] = deque()
        self._lock = threading.Lock()
        self._thread = _ThreadState()

    def place(self) -> Place:
        """Return a place for one request, not taken yet."""
        return Place(self)

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Hold a slot around one provider call, after up to `queue_s` in the queue.

        A thread that holds one already (a warmer, a provider's own embedder) goes straight through. Never
        wait for another's fill inside. Raises Overloaded when `queue_s` is over.
        """
        if self._thread.has_slot:
            yield
            return
        with self._in_line(_Turn()) as call:
            if not call.granted.wait(self._queue_s):
                raise Overloaded(f"No provider slot came free within {self._queue_s:g} s.")
            self._thread.has_slot = True
            yield

    @contextmanager
    def warming(self, patience_s: float = PATIENCE_S) -> Iterator[None]:
        """Hold a slot of warming's share around a whole answer that nobody waits for.

        Waits up to `patience_s` until no customer's answer is being made; after that the next free slot is
        the warmer's, as soon as another warmer leaves it its share. It waits here, where it holds no lease.
        """
        if self._thread.has_slot:
            yield
            return
        with self._in_line(_Turn(is_warming=True)) as warmer:
            if not warmer.granted.wait(patience_s):
                with self._lock:
                    warmer.is_impatient = True
                    self._hand_out()
                warmer.granted.wait()
            self._thread.has_slot = True
            yield

    def facts(self) -> Mapping[str, int]:
        """Return the bounds and what is taken of them: "calling" are the slots held, "warming" those of them
        that warmers hold, "queued" customers' calls without a slot, "giving_way" warmers without one."""
        with self._lock:
            return {
                "slots": self._slots,
                "calling": self._n_calling,
                "queued": len(self._calls),
                "admitted": self._n_admitted,
                "most_admitted": self._most_admitted,
                "warming": self._n_warming,
                "giving_way": len(self._warmers),
            }

    def admit(self) -> bool:
        """Count one more request in; return whether it is counted. For `Place` alone. Raises Overloaded."""
        if self._thread.has_slot:
            return False
        with self._lock:
            if self._n_admitted >= self._most_admitted:
                raise Overloaded
            self._n_admitted += 1
            return True

    def dismiss(self) -> None:
        """Count one request out. For `Place` alone."""
        with self._lock:
            self._n_admitted -= 1
            self._hand_out()

    @contextmanager
    def _in_line(self, turn: _Turn) -> Iterator[_Turn]:
        """Queue for a slot; whatever happens inside, neither slot nor queue keeps the turn afterwards."""
        line = self._warmers if turn.is_warming else self._calls
        with self._lock:
            line.append(turn)
            self._hand_out()
        try:
            yield turn
        finally:
            self._thread.has_slot = False
            with self._lock:
                # It may have been granted in the moment its thread gave up.
                if turn.granted.is_set():
                    self._n_calling -= 1
                    self._n_warming -= turn.is_warming
                else:
                    line.remove(turn)
                self._hand_out()

    def _hand_out(self) -> None:
        """Give the free slots to whose turn it is. The caller holds the lock."""
        while self._n_calling < self._slots and (turn := self._next()):
            self._n_calling += 1
            self._n_warming += turn.is_warming
            turn.granted.set()

    def _next(self) -> _Turn | None:
        if self._warmers and self._n_warming < self._warming_slots:
            is_quiet = not self._calls and not self._n_admitted
            warmer = next((one for one in self._warmers if is_quiet or one.is_impatient), None)
            if warmer:
                self._warmers.remove(warmer)
                return warmer
        return self._calls.popleft() if self._calls else None
