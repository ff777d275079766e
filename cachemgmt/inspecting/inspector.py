"""Looking into the cache: single entries, pages of them, their size, and how the store is.

For people and the admin, never for answering: nothing here counts as a look-up. Nothing raises because Redis
is out: what is returned says so in `problem`, in a sentence.
"""

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from cachemgmt.assembly import cache_engine
from cachemgmt.decisions.database import snapshot
from cachemgmt.engine.errors import SourceUnavailable, StoreError, StoreUnavailable
from cachemgmt.engine.reuse.knowledge import Knowledge
from cachemgmt.engine.stores.base import Page, Store, count_entries
from cachemgmt.inspecting.stored_entry import EntryFilter, StoredEntry, describe

NAME = re.compile(r"[a-z]+:[^:\s]*:\{[0-9a-f]{32}\}")
ENTRY_ID = re.compile(r"[0-9a-f]{16}")

MOST_ON_A_PAGE = 500
STEP = 500
"""How many names are looked through in one step at most."""

WITHIN_S = 1.0
"""How long a page is looked for: the cursor leads on from where that ended."""

SEARCH_S = 10.0
"""How long all entries are looked through, to find or to measure."""


@dataclass(frozen=True, kw_only=True, slots=True)
class InspectedEntry:
    """One entry with its value, or neither."""

    entry: StoredEntry | None = None
    value: Any = None
    problem: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class EntryPage:
    """Some of the wanted entries, in no order. `cursor` leads on to further ones, "" where there are none. A
    page may be empty and not the last. It may repeat what an earlier one held."""

    entries: tuple[StoredEntry, ...]
    cursor: str
    problem: str = ""

    @property
    def has_more(self) -> bool:
        """Whether not everything was looked through yet."""
        return bool(self.cursor)


@dataclass(frozen=True, kw_only=True, slots=True)
class Size:
    """How many entries there are, and how long they are together. Not `is_complete`: at least so many."""

    entries: int
    bytes: int
    is_complete: bool
    problem: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerInfo:
    """The store that serves, and its memory; None where it does not say. Of Redis, `used_bytes`, `max_bytes`
    and `evicted` are those of the whole server, other applications included. `entries` counts all that stands
    in memory; `spare_entries` what this process's memory holds besides Redis."""

    store: str
    is_healthy: bool
    version: str | None
    entries: int | None
    used_bytes: int | None
    max_bytes: int | None
    evicted: int | None
    clients: int | None
    breaker: str | None
    spare_entries: int | None
    problem: str = ""


class Inspector:
    """Looks into one store, by what is known of decisions at its making."""

    def __init__(
        self,
        store: Store,
        known: Knowledge,
        *,
        problem: str = "",
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`problem` is said with all that is returned."""
        self._store = store
        self._known = known
        self._told = problem
        self._now = now
        self._monotonic = monotonic

    def get(self, name_or_id: str) -> InspectedEntry:
        """Return the entry of that name or id. By an id, all names are looked through. Raises ValueError for
        what is neither."""
        try:
            for name, raw in self._meant(name_or_id):
                found = describe(name, raw, self._known, self._now())
                if found:
                    return InspectedEntry(entry=found[0], value=found[1], problem=self.problem())
        except StoreError as error:
            return InspectedEntry(problem=self.problem() or str(error))
        return InspectedEntry(problem=self.problem())

    def exists(self, name_or_id: str) -> bool | None:
        """Return whether that entry is stored, None where that cannot be said. Raises as `get`."""
        found = self.get(name_or_id)
        return bool(found.entry) if found.entry or not found.problem else None

    def page(self, wanted: EntryFilter | None = None, *, cursor: str = "", count: int = 50) -> EntryPage:
        """Return about `count` wanted entries (1 to 500) from where `cursor` left off. Searching ends after
        `WITHIN_S`, with as many as were found. Raises ValueError for a cursor or a count that is none."""
        wanted = wanted or EntryFilter()
        if not 1 <= count <= MOST_ON_A_PAGE:
            raise ValueError(f"count: {count} is not from 1 to {MOST_ON_A_PAGE}")
        _check_cursor(cursor, self._store.kind)
        found: dict[str, StoredEntry] = {}
        problem = ""
        try:
            for page in self._pages(wanted.pattern, cursor, count, WITHIN_S):
                found.update((entry.name, entry) for entry in self._wanted(wanted, page.names))
                cursor = page.cursor
                if len(found) >= count:
                    break
        except StoreError as error:
            problem = str(error)
        return EntryPage(entries=tuple(found.values()), cursor=cursor, problem=self.problem() or problem)

    def size(self, wanted: EntryFilter | None = None) -> Size:
        """Return how many wanted entries there are, and their length. Reads each, for `SEARCH_S` at most."""
        wanted = wanted or EntryFilter()
        sizes: dict[str, int] = {}
        cursor, problem = "", ""
        try:
            for page in self._pages(wanted.pattern, "", STEP, SEARCH_S):
                sizes.update((entry.name, entry.size_bytes) for entry in self._wanted(wanted, page.names))
                cursor = page.cursor
        except StoreError as error:
            problem = str(error)
        return Size(
            entries=len(sizes),
            bytes=sum(sizes.values()),
            is_complete=not (cursor or problem),
            problem=self.problem() or problem,
        )

    def server(self) -> ServerInfo:
        """Return what is known of the store that serves."""
        health, problem = self.health(), self.problem()
        info: Mapping[str, Any] = {}
        try:
            info = {**self._store.get_info(), "entries": count_entries(self._store)}
        except StoreError as error:
            problem = problem or str(error)
        return ServerInfo(
            store=str(info.get("store", health["store"])),
            is_healthy=bool(health["is_healthy"]),
            version=info.get("server_version"),
            entries=info.get("entries"),
            used_bytes=info.get("used_bytes"),
            max_bytes=info.get("max_bytes"),
            evicted=info.get("evicted"),
            clients=info.get("clients"),
            breaker=info.get("breaker"),
            spare_entries=info.get("spare_entries"),
            problem=problem,
        )

    def health(self) -> Mapping[str, object]:
        """Return {"store", "is_healthy", …}, as the store says it."""
        return self._store.health_check()

    def problem(self) -> str:
        """Return why what is seen is not all that there is, "" where it is."""
        health = self.health()
        if "instead_of" in health or health.get("breaker", "closed") != "closed":
            out = "Redis cannot be reached: this is what this process's own memory holds."
        elif not health["is_healthy"]:
            out = f"{health.get('detail') or 'The store does not work'}."
        else:
            out = ""
        return f"{self._told} {out}".strip()

    def _meant(self, name_or_id: str) -> Iterator[tuple[str, bytes]]:
        """Yield what may be meant, with its name."""
        if NAME.fullmatch(name_or_id):
            raw = self._store.get(name_or_id) or self._store.spare(name_or_id)
            if raw:
                yield name_or_id, raw
        elif ENTRY_ID.fullmatch(name_or_id):
            for page in self._pages(f"*:*:{{{name_or_id}*}}", "", STEP, SEARCH_S):
                yield from self._read(page.names)
            if page.cursor:
                raise StoreUnavailable("Not all names could be looked through in time.")
        else:
            raise ValueError(f"{name_or_id!r} is neither an entry's name nor its id, 16 digits from 0 to f")

    def _pages(self, pattern: str, cursor: str, step: int, within_s: float) -> Iterator[Page]:
        """Yield pages of names, until there are no more or the time is over."""
        deadline = self._monotonic() + within_s
        while True:
            try:
                page = self._store.scan(cursor, pattern, step)
            except ValueError:  # the cursor was memory's, and Redis is back
                page = self._store.scan("", pattern, step)
            yield page
            cursor, step = page.cursor, min(step * 2, STEP)
            if not cursor or self._monotonic() >= deadline:
                return

    def _wanted(self, wanted: EntryFilter, names: Sequence[str]) -> Iterator[StoredEntry]:
        for name, raw in self._read(names):
            found = describe(name, raw, self._known, self._now())
            if found and wanted.includes(found[0]):
                yield found[0]

    def _read(self, names: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        if names:
            found = self._store.get_many(names)
            yield from ((name, raw) for name, raw in zip(names, found, strict=True) if raw)


def inspector() -> Inspector:
    """Return an inspector of this process's cache, that knows what is decided now. One query."""
    problem = ""
    if not (settings.REDIS_URL or settings.IS_SERVER):
        problem = "Without Redis the entries are in the memory of the server, which this process cannot see."
    try:
        snapshot().catch_up()
    except SourceUnavailable:
        problem = f"{problem} The database cannot be read: what was decided lately is not known.".strip()
    return Inspector(cache_engine().store, snapshot().known(), problem=problem)


def _check_cursor(cursor: str, kind: str) -> None:
    """Raise ValueError for one that no page of such a store gave: Redis's are numbers, memory's names."""
    is_number = cursor.isascii() and cursor.isdigit() and len(cursor) <= 20 and int(cursor) < 2**64
    is_good = (is_number and kind != "memory") or (bool(NAME.fullmatch(cursor)) and kind != "redis")
    if cursor and not is_good:
        raise ValueError(f"cursor: {cursor!r} is none that a page gave")
