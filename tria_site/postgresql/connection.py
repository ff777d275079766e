"""A connection to PostgreSQL on which a server waits no longer than its customers do."""

import time
from typing import Any

from django.conf import settings
from psycopg import Connection, OperationalError

GRACE_S = 2.0
"""So much longer than PostgreSQL itself allows: where it works, it is the one that ends a statement."""


class ImpatientConnection(Connection[Any]):
    """Closes itself where a statement is not answered in time; in commands, which may migrate, it waits.

    A PostgreSQL that hangs still accepts what it is sent, so that neither the kernel nor a limit on its side
    would ever end the wait; and each question that reached it would hold a thread of the server for good.
    """

    def wait(self, gen: Any, *args: Any, **limits: Any) -> Any:
        """Return what psycopg's own returns; raise OperationalError, and be closed, where that takes longer
        than `DATABASE_TIMEOUT_S` and `GRACE_S`. What was sent may still be carried out once PostgreSQL goes
        on."""
        if args or limits or not settings.IS_SERVER:
            return super().wait(gen, *args, **limits)
        started, patience_s = time.monotonic(), settings.DATABASE_TIMEOUT_S + GRACE_S
        try:
            return super().wait(gen, timeout=patience_s)
        except OperationalError:
            if time.monotonic() - started >= patience_s:
                self.close()  # what it would answer now is no longer wanted
            raise
