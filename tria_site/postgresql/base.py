"""Django's PostgreSQL with its pool, for a server that must not be held up by a database that is out."""

import time
from typing import Any

from django.conf import settings
from django.db.backends.postgresql import base
from psycopg_pool import PoolTimeout

from tria_site.postgresql.pool import BUSY_S, is_refused


class DatabaseWrapper(base.DatabaseWrapper):
    """Waits for a connection of a busy pool, and hardly for one that PostgreSQL refuses. In a server it has
    PostgreSQL end what takes longer than `DATABASE_TIMEOUT_S`."""

    def get_connection_params(self) -> dict[str, Any]:
        params: dict[str, Any] = super().get_connection_params()
        if settings.IS_SERVER:
            limit = f"-c statement_timeout={settings.DATABASE_TIMEOUT_S * 1000:.0f}"
            params["options"] = f"{params.get('options', '')} {limit}".strip()
        return params

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        deadline = time.monotonic() + BUSY_S
        while True:
            try:
                connection = super().get_new_connection(conn_params)
            except PoolTimeout:
                if is_refused.is_set() or time.monotonic() >= deadline:
                    raise
            else:
                is_refused.clear()
                return connection
