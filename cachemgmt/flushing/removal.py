"""The room of what flushes killed is given back, and the record of flushes kept short."""

import logging
import time
from collections.abc import Iterator, Sequence
from itertools import islice

from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from cachemgmt.assembly import cache_engine
from cachemgmt.engine.entry import Entry
from cachemgmt.engine.errors import StoreError
from cachemgmt.engine.reuse.knowledge import Flushes
from cachemgmt.flushing.flush import CHUNK, can_see_entries, stored_entries
from cachemgmt.models import Clock, FlushRecord

logger = logging.getLogger(__name__)
REMOVED_AT_ONCE = 2
REST = 4
"""Removal works in short spells, and rests this many times as long: who reads meanwhile should not notice."""

KEPT_RECORDS = 10_000
"""Flushes that stay on record. Entries that are older than the older ones are not reused."""


def remove_dead(*, rest: float = REST) -> int:
    """Remove the entries that flushes killed whose removal nobody has begun; return how many there were.

    In chunks, resting between them `rest` times as long as each took. Several processes may call it: each
    flush is worked off by one. Does nothing where this process cannot see the entries, and leaves for later
    what Redis kept out of reach.
    """
    if not FlushRecord.objects.filter(removed_at=None).exists() or not _reaches_all():
        return 0
    with transaction.atomic():
        Clock.objects.select_for_update().filter(pk=1).first()
        records = list(FlushRecord.objects.filter(removed_at=None))
        FlushRecord.objects.filter(pk__in=[record.pk for record in records]).update(removed_at=timezone.now())
    removed = dict.fromkeys(records, 0)
    try:
        for chunk in _chunks(rest):
            for record, dead in _by_killer(chunk, records).items():
                removed[record] += cache_engine().store.remove(dead)
    except StoreError:
        logger.warning("Flushed entries could not be removed; they expire", extra={"action": "flush"})
    again = {} if _reaches_all() else {"removed_at": None}
    for record, count in removed.items():
        total = (record.removed_count or 0) + count
        FlushRecord.objects.filter(pk=record.pk).update(removed_count=total, **again)
    return sum(removed.values())


def _reaches_all() -> bool:
    """Whether the store that holds the entries is in reach. While Redis is out, a server sees its own copies
    alone: removing those would leave the others where they are."""
    health = cache_engine().store.health_check()
    is_first = "instead_of" not in health and health.get("breaker", "closed") == "closed"
    return is_first and can_see_entries()


def _by_killer(
    chunk: Sequence[tuple[str, bytes, Entry, str]], records: Sequence[FlushRecord]
) -> dict[FlushRecord, dict[str, bytes]]:
    """Return the dead of the chunk, as they were read, by the flush that counts them."""
    flushes = [(record, Flushes([record.as_flush()])) for record in records]
    dead: dict[FlushRecord, dict[str, bytes]] = {}
    for name, raw, entry, collection in chunk:
        killer = next((record for record, one in flushes if one.concern(entry, collection)), None)
        if killer:
            dead.setdefault(killer, {})[name] = raw
    return dead


def trim_records() -> int:
    """Take the oldest flushes off the record, beyond `KEPT_RECORDS`; return how many. What is older than
    they are is not reused from then on."""
    with transaction.atomic():
        Clock.objects.select_for_update().filter(pk=1).first()
        kept = FlushRecord.objects.order_by("-clock").values_list("clock", flat=True)
        first_kept = kept[KEPT_RECORDS - 1 : KEPT_RECORDS].first() if kept.count() > KEPT_RECORDS else None
        if first_kept is None:
            return 0
        old = FlushRecord.objects.filter(clock__lt=first_kept)
        newest = old.aggregate(newest=Max("clock"))["newest"]
        Clock.objects.filter(pk=1, floor__lt=newest).update(floor=newest)
        trimmed, _ = old.delete()
        Clock.objects.advance()
    return trimmed


def _chunks(rest: float) -> Iterator[list[tuple[str, bytes, Entry, str]]]:
    at_once = REMOVED_AT_ONCE if rest else CHUNK
    stored = stored_entries(at_once)
    started = time.monotonic()
    while chunk := list(islice(stored, at_once)):
        yield chunk
        time.sleep((time.monotonic() - started) * rest)
        started = time.monotonic()
