"""A stored entry as people see it: what it is, and what a look-up would make of it."""

import json
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal, get_args

from cachemgmt.engine.entry import Entry, decode
from cachemgmt.engine.errors import Undecodable, Unkeyable
from cachemgmt.engine.keys import Key, normalise_message
from cachemgmt.engine.reuse.freshness import Directives, age_s, ttl_left_s
from cachemgmt.engine.reuse.judging import judge
from cachemgmt.engine.reuse.knowledge import DEFAULT_TTL_S, Knowledge

State = Literal["fresh", "stale", "expired", "flushed", "barred"]
"""What a look-up would make of an entry now, apart from the switch of the whole cache. "stale": past its TTL,
but reused in a window that allows it. "flushed": still stored, never reused. "barred": not reused for another
reason (its level is off, its policies have changed, it is not what its name says)."""

GLOB = re.compile(r"[*?\[\]\\:\s]")


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredEntry:
    """A stored entry, as people see it. `made_at` is in Unix seconds; `ttl_left_s` is 0 or less once it is
    past its TTL; `why` is "" while it is fresh. `is_personal`: it is kept for one customer alone."""

    name: str
    entry_id: str
    level: str
    collection: str
    question: str
    intent: str | None
    is_personal: bool
    made_at: float
    age_s: float
    ttl_left_s: float
    state: State
    why: str
    cost_usd: Decimal | None
    tags: tuple[str, ...]
    size_bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class EntryFilter:
    """Which entries are wanted; "" means any. `question` is a part of it. Raises ValueError naming what makes
    no sense."""

    level: str = ""
    collection: str = ""
    intent: str = ""
    customer: str = ""
    document: str = ""
    question: str = ""
    state: str = ""

    def __post_init__(self) -> None:
        if self.level and self.level not in DEFAULT_TTL_S:
            raise ValueError(f"level: {self.level!r} is none of {', '.join(DEFAULT_TTL_S)}")
        if self.state and self.state not in get_args(State):
            raise ValueError(f"state: {self.state!r} is none of {', '.join(get_args(State))}")
        if GLOB.search(self.collection):
            raise ValueError(f"collection: {self.collection!r} is no collection's name")
        if self.question and not normalise_message(self.question):
            raise ValueError(f"question: {self.question!r} has no word to look for")

    @property
    def pattern(self) -> str:
        """The pattern that the names of wanted entries fit."""
        return f"{self.level or '*'}:{self.collection or '*'}:*"

    def includes(self, entry: StoredEntry) -> bool:
        """Whether it is one of them."""
        tags = {f"customer:{self.customer}": self.customer, f"doc:{self.document}": self.document}
        return (
            self.level in {"", entry.level}
            and self.collection in {"", entry.collection}
            and self.intent in {"", entry.intent}
            and self.state in {"", entry.state}
            and all(tag in entry.tags for tag, value in tags.items() if value)
            and normalise_message(self.question) in entry.question.casefold()
        )


def describe(name: str, raw: bytes, known: Knowledge, now: float) -> tuple[StoredEntry, Any] | None:
    """Return what is stored under the name, and its value; None where that is no entry of a known level."""
    try:
        entry = decode(raw)
    except Undecodable:
        return None
    if entry.level not in DEFAULT_TTL_S:
        return None
    state, why = judged(name, entry, known, now)
    level, collection, _ = name.split(":", 2)
    shown = StoredEntry(
        name=name,
        entry_id=entry.entry_id,
        level=level,
        collection=collection,
        question=entry.question,
        intent=entry.intent,
        is_personal=any(tag.startswith("customer:") for tag in entry.tags),
        made_at=entry.made_at,
        age_s=age_s(entry, now),
        ttl_left_s=ttl_left_s(entry, known.rule(entry.level, entry.intent), now),
        state=state,
        why=why,
        cost_usd=entry.cost_usd,
        tags=entry.tags,
        size_bytes=len(raw),
    )
    return shown, entry.value


def judged(name: str, entry: Entry, known: Knowledge, now: float) -> tuple[State, str]:
    """Return the state of the entry that stands under the name, and why it is not fresh."""
    key = _key_of(entry)
    if key is None or key.name != name:
        return "barred", "mixed-up"
    published = known.revisions.get(key.collection)
    use, why = judge(
        entry,
        key,
        known=known,
        now=now,
        directives=Directives(),
        accept=lambda entry, _: _revision(entry, key) in {None, published},
    )
    if use == "fresh":
        return "fresh", ""
    if use != "no":
        return "stale", "while-made-anew" if use == "stale" else "if-error"
    if why == "expired":
        return "expired", why
    return ("flushed" if why == "flushed" else "barred"), why or ""


def _key_of(entry: Entry) -> Key | None:
    """Return the key that the entry was made for, None where it tells none."""
    try:
        _, level, collection, inputs, version = json.loads(entry.key_parts)
        return Key(level, collection, inputs, version)
    except (ValueError, TypeError, RecursionError, Unkeyable):
        return None


def _revision(entry: Entry, key: Key) -> str | None:
    """Return the revision of the policies that the entry holds for, None where it holds for any: answers tell
    it, passages are kept by it."""
    told = {"response": entry.value, "policy": key.inputs}.get(key.level)
    return told.get("revision") if isinstance(told, dict) else None
