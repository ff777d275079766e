"""Keeps a process from asking a store that is out, and finds out when it is back."""

import logging
import time
from collections.abc import Callable
from threading import Lock, get_ident
from typing import Literal

logger = logging.getLogger(__name__)

State = Literal["closed", "open", "half-open"]


class Breaker:
    """Closed while the store answers; open, for a time that doubles, while it does not.

    Whoever wants to ask the store asks `allows()` first, and reports what came of it, in the same thread, by
    `succeed()` or `fail()`. A refusal is an answer, so it is a success. A call that never got as far as the
    store, as when all connections are in use, tells nothing and is not reported.

    One is shared by all threads of a process. No method waits for anything but a short lock, and none for
    that while all is well.
    """

    def __init__(
        self,
        *,
        now: Callable[[], float] = time.monotonic,
        failures_to_open: int = 3,
        first_open_s: float = 1.0,
        longest_open_s: float = 15.0,
    ) -> None:
        """`failures_to_open` failures in a row open it for `first_open_s`; each failed probe doubles that, to
        `longest_open_s` at most."""
        self._now = now
        self._failures_to_open = failures_to_open
        self._first_open_s = first_open_s
        self._longest_open_s = longest_open_s
        self._lock = Lock()
        self._state: State = "closed"
        self._failures = 0
        self._open_s = first_open_s
        self._retry_at = 0.0
        self._probe: int | None = None
        """The thread that tries whether the store is back."""

    def allows(self) -> bool:
        """Return whether the caller may ask the store: when open and due, True for one caller, the probe.

        A probe that reports nothing for as long as it was open is replaced by the next caller.
        """
        return self._state == "closed" or self._may_probe()

    def _may_probe(self) -> bool:
        with self._lock:
            if self._state == "closed":  # meanwhile
                return True
            now = self._now()
            if now < self._retry_at:
                return False
            self._state = "half-open"
            self._probe = get_ident()
            self._retry_at = now + self._open_s
            return True

    def succeed(self) -> None:
        """Note that the store answered.

        When not closed, only the probe's word counts, and closes it: with the answers to calls from before
        the opening, a slow store would have it open and close many times a second.
        """
        if not self._failures:
            return
        with self._lock:
            if self._state == "closed":
                self._failures = 0
                return
            if not self._is_probe():
                return
            self._state = "closed"
            self._failures = 0
            self._open_s = self._first_open_s
            self._probe = None
        logger.warning("The shared cache is back", extra={"action": "recover"})

    def fail(self) -> None:
        """Note that the store could not be reached, or not in time.

        When not closed, only the probe's word counts: the calls from before the opening fail all at once.
        """
        with self._lock:
            if self._state == "closed":
                self._failures += 1
                if self._failures < self._failures_to_open:
                    return
            elif self._is_probe():
                self._open_s = min(self._open_s * 2, self._longest_open_s)
            else:
                return
            is_change = self._state == "closed"
            self._state = "open"
            self._probe = None
            self._retry_at = self._now() + self._open_s
        if is_change:
            logger.warning("The shared cache is out, memory serves instead", extra={"action": "failover"})

    def _is_probe(self) -> bool:
        return self._state == "half-open" and self._probe == get_ident()

    @property
    def state(self) -> State:
        """The state now. It stays open when a probe is due, until one begins."""
        return self._state

    @property
    def retry_in_s(self) -> float:
        """In how many seconds the next caller may be the probe. 0 when closed, and when it is due."""
        with self._lock:
            return 0.0 if self._state == "closed" else max(0.0, self._retry_at - self._now())
