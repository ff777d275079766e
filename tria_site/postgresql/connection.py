"""A connection to PostgreSQL on which a server waits no longer than its customers do."""

import time
from typing import Any

from django.conf import settings
from psycopg import Connection, OperationalError

ANSWER_S = 10.0
"""For one statement: far longer than any here takes, unless PostgreSQL hangs."""


class ImpatientConnection(Connection[Any]):
    """Ends itself where a statement is not answered in time, but in commands, which may migrate for minutes.

    A PostgreSQL that hangs still accepts what it is sent, so that neither the kernel nor a limit on its side
    would ever end the wait; and each question that reached it would hold a thread of the server for good.
    """

    def wait(self, gen: Any, *args: Any, **limits: Any) -> Any:
        """Return what psycopg's own returns; raise OperationalError, and be closed, after `ANSWER_S`."""
        if args or limits or not settings.IS_SERVER:
            return super().wait(gen, *args, **limits)
        started = time.monotonic()
        try:
            return super().wait(gen, timeout=ANSWER_S)
        except OperationalError:
            if time.monotonic() - started >= ANSWER_S:
                self.close()  # what it would answer now is no longer wanted
            raise
