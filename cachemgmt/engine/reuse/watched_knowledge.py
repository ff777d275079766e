"""What this process knows of the decisions in the database, kept up to date by the clock."""

import contextlib
import logging
import time
from collections.abc import Callable
from threading import Condition, Event, Lock
from typing import Protocol

from cachemgmt.engine.errors import SourceUnavailable
from cachemgmt.engine.reuse.knowledge import Knowledge

logger = logging.getLogger(__name__)

CONFIRMED_S = 1.0
"""For how long the database's word holds, where no shared store tells the clock."""

WATCH_EVERY_S = 0.25
"""How often a watched snapshot asks the database: several times before its last word runs out."""

RETRY_AFTER_S = 1.0
NEWS_S = 0.2
"""How long a look-up waits for the watcher to load what is new."""


class Database(Protocol):
    """Where decisions are made. Reading raises SourceUnavailable."""

    def clock(self) -> tuple[int, str]:
        """Return the clock, and its mark: what another history's clock of that number does not have. One
        small query."""
        ...

    def knowledge(self) -> Knowledge:
        """Return everything decided up to the clock, read together."""
        ...

    def outrun(self, told: int) -> None:
        """Raise the clock above a number of another history, and the floor with it, unless it is no longer
        below."""
        ...


class WatchedKnowledge:
    """A `KnowledgeSource` over the database. Thread-safe.

    In a server one thread *watches*: it alone asks the database, four times a second and whenever a look-up
    has heard of news, so that a database that hangs holds none up for longer than `NEWS_S`. Elsewhere (in
    commands) whoever needs to know asks himself, and after a failure nobody does for `RETRY_AFTER_S`.
    """

    def __init__(self, database: Database, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._monotonic = monotonic
        self._known: Knowledge | None = None
        self._confirmed_at = float("-inf")
        self._retry_at = float("-inf")
        self._wanted = 0
        self._highest = 0
        """The highest clock that the watcher was ever told."""
        self._looked_for = 0
        """What the database was asked for: its clock is there by now, or is of another history."""
        self._is_watched = False
        self.is_readable = True
        """Whether the database answered when it was last asked for what is decided."""
        self._asking = Lock()
        self._answered = Condition()
        self.news = Event()
        """Set when a look-up has heard of a clock that is not known here. The watcher waits for it."""

    def known(self, at_least: int | None = None) -> Knowledge:
        """Return what is known, loading it first where that is older than `at_least`, if it can be had."""
        if not self._has(at_least):
            self._wanted = max(self._wanted, at_least or 0)
            self._hear_of(lambda: self._has(at_least))
        return self._known or Knowledge(is_complete=False)

    def is_current(self, told: int | None) -> bool:
        """Whether what is known is all that was decided up to a second ago."""
        if self._has(told) and not self._has(self._wanted):
            # Another look-up has heard of more: that counts, even where the store has forgotten it since.
            self._hear_of(lambda: self._has(self._wanted))
        if self._known is not None and self._known.clock == told and self._has(self._wanted):
            return True  # the shared store has just said so
        if not self._is_watched and not self._is_confirmed():
            self._hear_of(self._is_confirmed)
        # A store that is behind is not believed; one that is ahead of the database is of another history.
        return self._is_confirmed() and self._has(told) and self._has(self._wanted)

    def catch_up(self, *, told: int | None = None) -> int:
        """Ask the database for its clock, load what is new, and return the clock. A clock that went back (a
        database made anew or restored) is believed. Raises SourceUnavailable.

        The watcher says what the store `told` it just before, 0 for nothing. A clock below that, or below
        what was known here, is of another history, and is raised above: else the entries of the old one
        would be reused as soon as the new clock has reached theirs, whatever was flushed.
        """
        with self._asking:
            number = self._ask()
            if told is None:
                return number  # perhaps of a transaction of the asker's own
            self._highest = max(told, self._highest, number)
            if number < self._highest:
                self._database.outrun(self._highest)
                number = self._ask()
            return number

    def watch(self) -> None:
        """From now on, one thread calls `catch_up` whenever there is `news`, and every `WATCH_EVERY_S`."""
        self._is_watched = True

    def forget(self) -> None:
        """Know nothing: the next question loads everything."""
        with self._asking:
            self._known = None
            self._confirmed_at = self._retry_at = float("-inf")
            self._wanted = self._looked_for = self._highest = 0
            self._is_watched = False
            self.is_readable = True

    def _has(self, at_least: int | None) -> bool:
        known = self._known
        return known is not None and (at_least is None or at_least <= max(known.clock, self._looked_for))

    def _is_confirmed(self) -> bool:
        return self._monotonic() - self._confirmed_at <= CONFIRMED_S

    def _hear_of(self, is_heard: Callable[[], bool]) -> None:
        """Let the watcher ask the database, or do it here; a failure leaves things as they are."""
        if self._is_watched:
            self.news.set()
            if self._known is None or self._is_confirmed():  # else it has been silent for a second
                with self._answered:
                    self._answered.wait_for(is_heard, NEWS_S)
            return
        with self._asking:
            if not is_heard() and self._monotonic() >= self._retry_at:
                with contextlib.suppress(SourceUnavailable):
                    self._ask()

    def _ask(self) -> int:
        asked_at, wanted = self._monotonic(), self._wanted
        try:
            found = self._database.clock()
            if self._known is None or (self._known.clock, self._known.mark) != found:
                self._known = self._database.knowledge()
        except SourceUnavailable:
            self._retry_at = self._monotonic() + RETRY_AFTER_S
            self._note(is_readable=False)
            raise
        with self._answered:
            self._looked_for = max(self._looked_for, wanted)
            self._confirmed_at = asked_at
            self._retry_at = float("-inf")
            self._answered.notify_all()
        self._note(is_readable=True)
        return self._known.clock

    def _note(self, *, is_readable: bool) -> None:
        """Log a change, once."""
        if is_readable != self.is_readable:
            self.is_readable = is_readable
            told = "can be read again" if is_readable else "cannot be read: nothing new is known"
            logger.warning("The cache's rules %s", told, extra={"action": "load"})
