"""The database connections that threads hold."""

from django.db import connection


def release_connection() -> None:
    """Give this thread's PostgreSQL connection back before it waits on a provider: hundreds of waiting
    questions would exhaust the server. SQLite's are no server's, and a transaction keeps its own."""
    if connection.vendor == "postgresql" and not connection.in_atomic_block:
        connection.close()
