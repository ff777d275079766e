"""What a server process does besides answering: learn of changes, write the counts, warm."""

import atexit
import contextlib
import logging
import time
from collections.abc import Callable
from threading import Thread

from django.conf import settings
from django.db import Error as DatabaseFailure
from django.db import close_old_connections

from cachemgmt.announcing import announce_clock, told_clock
from cachemgmt.books.ledger import write_counts
from cachemgmt.decisions.database import snapshot
from cachemgmt.engine.errors import SourceUnavailable
from cachemgmt.engine.reuse.watched_knowledge import CONFIRMED_S, WATCH_EVERY_S
from cachemgmt.flushing.flush import can_see_entries
from cachemgmt.flushing.removal import remove_dead, trim_records
from cachemgmt.warming.runs import give_up_orphans, take_waiting, work_off

logger = logging.getLogger(__name__)

COUNTS_EVERY_S = 5.0
WARMING_EVERY_S = 1.0
ORPHANS_EVERY_S = 300.0
REMOVAL_EVERY_S = 1.0
TRIMMING_EVERY_S = 600.0


_registered: list[tuple[float, Callable[[], object]]] = []


def register_work(every_s: float, work: Callable[[], object]) -> None:
    """Have each server process do the work every so many seconds, in a thread of its own."""
    _registered.append((every_s, work))


def start() -> None:
    """Start the threads of a server process. They end with it, after what was counted is written."""
    if not settings.REDIS_URL:
        with contextlib.suppress(DatabaseFailure):
            give_up_orphans(stalled_s=0)
    atexit.register(write_counts)
    with contextlib.suppress(SourceUnavailable, DatabaseFailure):
        catch_up()
    snapshot().watch()
    for every_s, work in (
        (0.0, watch_clock),
        (COUNTS_EVERY_S, write_counts),
        (WARMING_EVERY_S, warm_waiting),
        (ORPHANS_EVERY_S, give_up_orphans),
        (REMOVAL_EVERY_S, remove_dead),
        (TRIMMING_EVERY_S, trim_records),
        *_registered,
    ):
        Thread(target=_repeat, args=(every_s, work), name=f"tria-{work.__name__}", daemon=True).start()


def let_servers_learn() -> None:
    """Return when running servers know of the change that was just committed.

    Over Redis they see it at their next look-up. Without, they know within a second.
    """
    if not can_see_entries():
        time.sleep(CONFIRMED_S)


def watch_clock() -> None:
    """Wait for news, or a quarter of a second, and learn it."""
    snapshot().news.wait(WATCH_EVERY_S)
    snapshot().news.clear()
    catch_up()


def catch_up() -> None:
    """Load what is new, and tell the store the clock: one that restarted empty has forgotten it. Raises
    SourceUnavailable or a failure of the database's."""
    # The store first: what is announced between the two questions is then no other history's.
    told = told_clock()
    announce_clock(snapshot().catch_up(told=told))


def warm_waiting() -> None:
    """Work off one waiting warming run, if there is one."""
    run = take_waiting()
    if run:
        work_off(run)


def _repeat(every_s: float, work: Callable[[], object]) -> None:
    has_failed = False
    while True:
        try:
            work()
            has_failed = False
        except SourceUnavailable:
            time.sleep(WATCH_EVERY_S)  # logged where it was met
        except DatabaseFailure as error:
            if not has_failed:  # once, however long it lasts
                logger.warning("%s failed: %s", work.__name__, type(error).__name__)
            has_failed = True
        except Exception:  # the thread must outlive whatever one round meets
            logger.exception("%s failed", work.__name__)
        finally:
            close_old_connections()
        time.sleep(every_s)
