"""A pool of connections to whichever Redis its Sentinels call the master."""

from typing import Any

from redis.connection import BlockingConnectionPool
from redis.sentinel import SentinelConnectionPool


class SentinelPool(SentinelConnectionPool, BlockingConnectionPool):
    """Waits for a free connection, as the pool of a single Redis does. When a connection is made it asks the
    Sentinels for the master's address: milliseconds, and up to two time-outs more for each that is out.

    Made by `django_redis.pool.SentinelConnectionFactory`.
    """

    def owns_connection(self, connection: Any) -> bool:
        """Return whether it was made in this process: also one to a former master is taken back, closed."""
        return bool(connection.pid == self.pid)

    def release(self, connection: Any) -> None:
        if (connection.host, connection.port) != self.master_address:
            connection.disconnect()
        super().release(connection)  # type: ignore[no-untyped-call]
