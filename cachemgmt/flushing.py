"""Removal on an operator's word: one small transaction, a record of it, and the clock that makes it true."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from django.conf import settings
from django.db import transaction

from cachemgmt.assembly import cache_engine
from cachemgmt.engine.clock import DEFAULT_TTL_S, Flush, FlushKind
from cachemgmt.engine.entry import Entry, decode
from cachemgmt.engine.errors import StoreError, Undecodable
from cachemgmt.models import Clock, FlushRecord
from cachemgmt.snapshot import advance_clock, snapshot

logger = logging.getLogger(__name__)
CHUNK = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """What is to be flushed: everything, a tag (level:…, collection:…, intent:…, doc:…, entry:…), or a
    shell-style pattern over readable names (`level:collection:question`)."""

    kind: FlushKind
    match: str = ""

    def __str__(self) -> str:
        return "everything" if self.kind == "all" else f"{self.kind} {self.match}"


EVERYTHING = Target(kind="all")


def level_target(level: str) -> Target:
    """Return the target for a level; raise ValueError naming the levels for any other word."""
    if level not in DEFAULT_TTL_S:
        raise ValueError(f"{level!r} is not a level: {', '.join(DEFAULT_TTL_S)}")
    return Target(kind="tag", match=f"level:{level}")


def collection_target(collection: str) -> Target:
    """Return the target for everything that was answered from a collection."""
    return Target(kind="tag", match=f"collection:{collection}")


def can_see_entries() -> bool:
    """Whether this process sees the entries that the server answers from. Without Redis, or while it cannot
    be reached, they are in the server's memory: only the server itself does."""
    return settings.IS_SERVER or cache_engine().store.health_check()["store"] == "redis"


def count_matching(target: Target) -> int | None:
    """Return how many stored entries the target matches now, None where this process cannot see them.

    Reads every entry, in chunks: seconds for hundreds of thousands.
    """
    if not can_see_entries():
        return None
    probe = Flush(clock=snapshot().catch_up() + 1, kind=target.kind, match=target.match)
    try:
        return sum(1 for _ in _names_of(probe))
    except StoreError:
        return None


def flush(target: Target, *, actor: str, reason: str = "", matched_count: int | None = None) -> FlushRecord:
    """Remove what the target matches; return the record of it.

    One transaction writes the record and raises the clock: from its commit on nothing that matches is
    reused, at other processes' next look-up over Redis, and within a second without it. The dead entries'
    room is given back afterwards, as far as this process can see them.
    """
    with transaction.atomic():
        number = advance_clock()
        record = FlushRecord.objects.create(
            clock=number,
            kind=target.kind,
            match=target.match,
            actor=actor,
            reason=reason,
            matched_count=matched_count,
        )
    logger.info("Flushed %s", target.kind, extra={"action": "flush", "outcome": "done"})
    snapshot().known(at_least=number)
    if can_see_entries():
        _give_back(record.as_flush())
    return record


def switch_cache(*, is_on: bool) -> bool:
    """Switch the whole cache on or off, in all processes; return whether that changed anything."""
    with transaction.atomic():
        Clock.objects.get_or_create(pk=1)
        changed = Clock.objects.filter(pk=1).exclude(is_cache_on=is_on).update(is_cache_on=is_on)
        if changed:
            advance_clock()
    snapshot().catch_up()
    return bool(changed)


def _give_back(flushed: Flush) -> None:
    try:
        names = _names_of(flushed)
        while chunk := list(islice(names, CHUNK)):
            cache_engine().store.delete(chunk)
    except StoreError:
        logger.warning("Flushed entries could not be removed; they expire", extra={"action": "flush"})


def _names_of(flushed: Flush) -> Iterator[str]:
    """Yield the names of the stored entries that the flush concerns."""
    store = cache_engine().store
    names = store.names("*:*:*")
    while chunk := list(islice(names, CHUNK)):
        for name, raw in zip(chunk, store.get_many(chunk), strict=True):
            entry = _decoded(raw)
            if entry and flushed.concerns(entry, name.split(":")[1]):
                yield name


def _decoded(raw: bytes | None) -> Entry | None:
    try:
        return decode(raw) if raw else None
    except Undecodable:
        return None
