"""Whether this process would answer its first question as it will answer any later one."""

import logging
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import Error as DatabaseFailure

from cachemgmt.api import Bill, Overloaded, is_informed, known, release_connection
from chat import assembly, warming
from chat.checks.hosts import load_suffixes
from chat.errors import ChatError, IndexUnavailable, ProviderError
from chat.knowledge.index import MAX_VIEWS

logger = logging.getLogger(__name__)

RETRY_S = 1.0
"""The pause after an attempt that failed."""

NO_DATABASE = "The database cannot be read."
NO_MODELS = "The models are not loaded."
NO_INDEX = "The policies' index is not open."

EXPECTED = (ChatError, DatabaseFailure, ImproperlyConfigured, Overloaded)
"""What a part raises that cannot be got ready yet."""

ready_descriptor: int | None = None
"""Where this process writes one byte once it is ready: `serve` sets it before it forks the workers."""


class Readiness:
    """What a process still lacks. One thread gets it ready; any thread may ask.

    Redis is no part of it: without Redis, questions are answered all the same.
    """

    def __init__(
        self,
        parts: Mapping[str, Callable[[], None]],
        *,
        is_database_read: Callable[[], bool],
        when_ready: Callable[[], None],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`parts` maps what is missing, in words for everybody, to what gets it ready. `when_ready` is called
        once."""
        self._pending = dict(parts)
        self._is_database_read = is_database_read
        self._when_ready = when_ready
        self._sleep = sleep
        self._failed: set[str] = set()

    def missing(self) -> list[str]:
        """Return in words what this process lacks, nothing where it is ready. No query."""
        database = [] if self._is_database_read() else [NO_DATABASE]
        return [*database, *list(self._pending)]

    def get_ready(self) -> None:
        """Get each part ready, trying again until all are. A part that keeps failing is logged once."""
        while self.missing():
            for part, prepare in list(self._pending.items()):
                if self._succeeds(part, prepare):
                    del self._pending[part]
            if self.missing():
                self._sleep(RETRY_S)
        if self._failed:
            logger.warning("Ready after all", extra={"action": "get_ready"})
        self._when_ready()

    def _succeeds(self, part: str, prepare: Callable[[], None]) -> bool:
        try:
            prepare()
        except Exception as error:  # whatever it was, the next try may be better
            if part not in self._failed:
                trace = None if isinstance(error, EXPECTED) else error
                told = str(error) if isinstance(error, ImproperlyConfigured) else type(error).__name__
                extra = {"action": "get_ready"}
                logger.warning("Not ready, trying on: %s (%s)", part, told, exc_info=trace, extra=extra)
            self._failed.add(part)
            return False
        finally:
            release_connection()
        return True


@cache
def readiness() -> Readiness:
    """Return this process's readiness. Nothing is got ready before its `get_ready` is called."""
    return Readiness(
        {NO_MODELS: load_models, NO_INDEX: open_indexes},
        is_database_read=is_database_read,
        when_ready=announce,
    )


def is_database_read() -> bool:
    """Return whether this process knows what is decided in the database, and could read it last time."""
    return known().is_complete and is_informed()


def load_models() -> None:
    """Load what classifies, embeds, writes and checks in this process. An endpoint that fails now is no
    matter, as it may at any question. Raises Overloaded."""
    pipeline = assembly.pipeline()
    book = Bill(purpose="start", collection=settings.DEFAULT_COLLECTION).book
    for load in (pipeline.provider.make_ready, pipeline.retriever.load_model):
        with suppress(ProviderError):
            load(book=book)
    load_suffixes()


def open_indexes() -> None:
    """Open the index of the default collection, and of as many others as are kept open.

    Another collection whose index cannot be opened is logged and left to its first question: it must not
    keep the others from being served. Raises IndexUnavailable, ProviderError, DatabaseError.
    """
    decided = known()
    if not decided.is_complete:
        raise IndexUnavailable("It is not known yet which policies are published.")
    retriever = assembly.pipeline().retriever
    published = {slug: revision for slug, revision in decided.revisions.items() if revision}
    default = settings.DEFAULT_COLLECTION
    retriever.open_index(default, published.pop(default, ""))
    for slug in sorted(published)[: MAX_VIEWS - 1]:
        try:
            retriever.open_index(slug, published[slug])
        except ChatError as error:
            logger.warning(
                "The index of %s is not open: %s", slug, type(error).__name__, extra={"action": "get_ready"}
            )


def announce() -> None:
    """Tell the server's parent process, and ask for the warming that WARM_ON_START wants."""
    logger.info("Ready", extra={"action": "get_ready"})
    if ready_descriptor is not None:
        os.write(ready_descriptor, b".")
    if settings.WARM_ON_START:
        warming.request_sample_run()
