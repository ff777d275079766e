"""Removal on an operator's word: one small transaction, a record of it, and the clock that makes it true."""

import logging
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice

from django.conf import settings
from django.db import transaction

from cachemgmt.assembly import cache_engine
from cachemgmt.decisions.database import snapshot
from cachemgmt.engine.entry import Entry, decode_stored
from cachemgmt.engine.errors import SourceUnavailable, StoreError
from cachemgmt.engine.keys import fold
from cachemgmt.engine.reuse.knowledge import DEFAULT_TTL_S, Flush, Flushes, FlushKind
from cachemgmt.engine.stores.base import ENTRIES
from cachemgmt.models import Clock, FlushRecord

logger = logging.getLogger(__name__)
CHUNK = 100
TAG_KINDS = ("level", "collection", "intent", "doc", "customer", "entry")
LONGEST_MATCH = 300
"""As many characters as a record's `match` takes."""

UNSTORABLE = re.compile("[\0\ud800-\udfff]")


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """What is to be flushed: everything, a tag (level:…, collection:…, intent:…, doc:…, customer:…, entry:…),
    what was made before a Unix time, or a shell-style pattern over readable names
    (`level:collection:question`). Raises ValueError for one that cannot be written down."""

    kind: FlushKind
    match: str = ""

    def __post_init__(self) -> None:
        if (self.kind == "all") == bool(self.match):
            raise ValueError("everything is flushed without further words, all else by naming it")
        if len(self.match) > LONGEST_MATCH or UNSTORABLE.search(self.match):
            raise ValueError(f"{self.match[:40]!r}… is no text of at most {LONGEST_MATCH} characters")

    def __str__(self) -> str:
        if self.kind == "age":
            return f"what was made before {datetime.fromtimestamp(float(self.match), UTC):%F %T} UTC"
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


def pattern_target(pattern: str) -> Target:
    """Return the target for a pattern over readable names, in the characters that those are in."""
    return Target(kind="pattern", match=fold(pattern))


def age_target(older_than_s: float) -> Target:
    """Return the target for everything that was made more than so many seconds ago; raise ValueError for
    less than 0."""
    if not older_than_s >= 0:
        raise ValueError(f"{older_than_s:g} seconds is no age")
    return Target(kind="age", match=f"{max(0.0, time.time() - older_than_s):.3f}")


def entry_target(entry_id: str) -> Target:
    """Return the target for an entry and what was made of it; raise ValueError for what is no entry's id."""
    if not re.fullmatch(r"[0-9a-f]{16}", entry_id):
        raise ValueError(f"{entry_id!r} is no entry's id: 16 digits and letters from a to f")
    return Target(kind="tag", match=f"entry:{entry_id}")


def entry_targets(entry_id: str) -> list[Target]:
    """Return the targets for an entry, what it was made from, and what was made of either.

    Answers are reported by their replies' ids, and only the complete answer tells which reading of the
    message a reply was written for: so what was made of the entry is asked, too. An entry that this process
    cannot see is flushed by its id alone. Reads every entry. Raises ValueError as `entry_target`.
    """
    own = entry_target(entry_id)
    related = {own.match: own}
    try:
        known = snapshot().known()
        for _, _, entry, collection in stored_entries():
            if own.match in entry.tags and not known.is_flushed(entry, collection):
                tags = (tag for tag in entry.tags if tag.startswith("entry:"))
                related |= {tag: Target(kind="tag", match=tag) for tag in tags}
    except StoreError:
        logger.warning("What an entry was made from cannot be read", extra={"action": "flush"})
    return list(related.values())


def tag_target(tag: str) -> Target:
    """Return the target for a tag, `kind:value`; raise ValueError naming what is wrong with it."""
    kind, _, value = tag.partition(":")
    if kind not in TAG_KINDS or not value.strip():
        raise ValueError(f"{tag!r} is no tag, kind:value, where a kind is {', '.join(TAG_KINDS)}")
    checked = {"level": level_target, "entry": entry_target}.get(kind)
    return checked(value) if checked else Target(kind="tag", match=tag)


@dataclass(frozen=True, kw_only=True, slots=True)
class Counted:
    """How many stored entries targets match: at least one of them, and each of them in turn."""

    total: int
    each: tuple[int, ...]


def can_see_entries() -> bool:
    """Whether this process sees the entries that the server answers from. Without Redis, or while it cannot
    be reached, they are in the server's memory: only the server itself does."""
    return settings.IS_SERVER or cache_engine().store.health_check()["store"] == "redis"


def stored_entries(at_once: int = CHUNK) -> Iterator[tuple[str, bytes, Entry, str]]:
    """Yield each stored entry's name, bytes, self and collection, reading so many at once."""
    store = cache_engine().store
    names = store.names(ENTRIES)
    while chunk := list(islice(names, at_once)):
        for name, raw in zip(chunk, store.get_many(chunk), strict=True):
            entry = decode_stored(raw)
            if raw and entry:
                yield name, raw, entry, name.split(":")[1]


def count_all(targets: Sequence[Target]) -> Counted | None:
    """Return how many stored entries the targets match now, None where this process cannot see them.

    Reads every entry, in chunks: seconds for hundreds of thousands.
    """
    if not can_see_entries():
        return None
    total, each = 0, [0] * len(targets)
    try:
        clock = snapshot().catch_up() + 1
        known = snapshot().known()
        probes = [Flushes([Flush(clock=clock, kind=one.kind, match=one.match)]) for one in targets]
        for _, _, entry, collection in stored_entries():
            if known.is_flushed(entry, collection):
                continue  # dead already, and waiting for its removal
            matched = [probe.concern(entry, collection) for probe in probes]
            each = [count + is_hit for count, is_hit in zip(each, matched, strict=True)]
            total += any(matched)
    except (StoreError, SourceUnavailable):
        return None
    return Counted(total=total, each=tuple(each))


def flush(target: Target, *, actor: str, reason: str = "", matched_count: int | None = None) -> FlushRecord:
    """Flush one target; see `flush_all`."""
    counted = None if matched_count is None else Counted(total=matched_count, each=(matched_count,))
    return flush_all([target], actor=actor, reason=reason, counted=counted)[0]


def flush_all(
    targets: Sequence[Target], *, actor: str, reason: str = "", counted: Counted | None = None
) -> list[FlushRecord]:
    """Remove what the targets match, together; return a record for each, at least one.

    One small transaction, however many entries there are: from its commit on nothing that matches is
    reused, at other processes' next look-up over Redis, and within a second without it. The dead entries'
    room is given back afterwards, by `removal`. `counted` is what they matched beforehand, for the
    record. Raises DatabaseError; then nothing was flushed.
    """
    counts: Sequence[int | None] = counted.each if counted else [None] * len(targets)
    with transaction.atomic():
        records = [
            FlushRecord.objects.create(
                clock=Clock.objects.advance(),
                kind=target.kind,
                match=target.match,
                actor=actor,
                reason=reason,
                matched_count=count,
            )
            for target, count in zip(targets, counts, strict=True)
        ]
    for target in targets:
        logger.info("Flushed %s", target.kind, extra={"action": "flush", "outcome": "done"})
    snapshot().known(at_least=records[-1].clock)
    return records


def switch_cache(*, is_on: bool) -> bool:
    """Switch the whole cache on or off, in all processes; return whether that changed anything."""
    with transaction.atomic():
        Clock.objects.get_or_create(pk=1)
        changed = Clock.objects.filter(pk=1).exclude(is_cache_on=is_on).update(is_cache_on=is_on)
        number = Clock.objects.advance() if changed else 0
    snapshot().known(at_least=number)
    return bool(changed)
