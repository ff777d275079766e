"""What other packages may use of the cache: one function or type for each thing they can want."""

from cachemgmt.assembly import bulkhead, cache_engine, filler, register_failures
from cachemgmt.books.calls import BookCall, ProviderCall
from cachemgmt.books.ledger import Bill, count, write_counts
from cachemgmt.books.metrics import metrics
from cachemgmt.books.pricing import has_price
from cachemgmt.connections import release_connection
from cachemgmt.decision import Decision
from cachemgmt.decisions.database import (
    Load,
    LoadRevisions,
    decisions,
    learn_from_database,
    snapshot,
)
from cachemgmt.engine.entry import Entry
from cachemgmt.engine.errors import NotFilled, NotStored, Overloaded
from cachemgmt.engine.filling.bulkhead import Bulkhead
from cachemgmt.engine.filling.cache import Cache
from cachemgmt.engine.filling.filling import Filler
from cachemgmt.engine.filling.results import CacheRequest, FillOutcome, FillResult, Lookup, Status
from cachemgmt.engine.keys import Key, fingerprint, normalise_message
from cachemgmt.engine.reasons import REASONS, Failed, HandedOff, Reason
from cachemgmt.engine.reuse.freshness import Directives
from cachemgmt.engine.reuse.knowledge import Knowledge
from cachemgmt.models import WarmingList
from cachemgmt.names import register_names
from cachemgmt.server.threads import let_servers_learn, register_work
from cachemgmt.warming.runs import Warmed, register_warmer, request_run

__all__ = [
    "REASONS",
    "Bill",
    "BookCall",
    "Bulkhead",
    "Cache",
    "CacheRequest",
    "Decision",
    "Directives",
    "Entry",
    "Failed",
    "FillOutcome",
    "FillResult",
    "Filler",
    "HandedOff",
    "Key",
    "Knowledge",
    "Lookup",
    "NotFilled",
    "NotStored",
    "Overloaded",
    "ProviderCall",
    "Reason",
    "Status",
    "Warmed",
    "WarmingList",
    "bulkhead",
    "cache_engine",
    "count",
    "filler",
    "fingerprint",
    "has_price",
    "is_informed",
    "known",
    "learn",
    "learn_from_database",
    "let_servers_learn",
    "metrics",
    "normalise_message",
    "register_decisions",
    "register_failures",
    "register_names",
    "register_revisions",
    "register_warmer",
    "register_work",
    "release_connection",
    "request_run",
    "write_counts",
]


def known() -> Knowledge:
    """Return what this process knows of rules, flushes and published revisions. No query."""
    return snapshot().known()


def is_informed() -> bool:
    """Return whether the database could be read when this process last asked it for those. No query."""
    return snapshot().is_readable


def register_revisions(load: LoadRevisions) -> None:
    """Say how to load the published revision of each collection ("" for one without any)."""
    decisions().load_revisions = load


def register_decisions(name: str, load: Load) -> None:
    """Say how to load what others decide in the database. It stands in `known().others` under that name, and
    is loaded anew when a `Decision` was changed. What `load` returns is shared by threads: it must not be
    changed."""
    decisions().load_others[name] = load


def learn() -> None:
    """Hear of changes that this process does not know of yet: from the store, else from the database.

    One round trip. What cannot be read leaves things as they are.
    """
    cache_engine().reread_clock(CacheRequest(Directives()))
