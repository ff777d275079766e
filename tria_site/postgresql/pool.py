"""How long a thread waits for a connection out of PostgreSQL's pool."""

from threading import Event

from tria_site.postgresql.connection import ImpatientConnection

BUSY_S = 2.0
"""While all connections of the pool are in use."""

REFUSED_S = 0.1
"""Where PostgreSQL is known to be out: a connection is tried meanwhile."""

is_refused = Event()
"""Set when no connection could be made, until one is had."""


def note_refusal(_pool: object) -> None:
    """Remember that no connection could be made: the pool calls it."""
    is_refused.set()


# By itself a pool lets all who ask wait for the whole time-out, and pauses for minutes between its attempts.
POOL = {
    "min_size": 1,
    "max_size": 10,
    "timeout": REFUSED_S,
    "reconnect_timeout": 0.0,
    "reconnect_failed": note_refusal,
    "connection_class": ImpatientConnection,
}
