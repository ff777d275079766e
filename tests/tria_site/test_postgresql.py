"""PostgreSQL that is out, as a thread of the server meets it."""

import time
from collections.abc import Iterator
from typing import cast

import dj_database_url
import pytest
from django.db import OperationalError
from django.db.backends.postgresql.base import DatabaseWrapper
from django.db.utils import ConnectionHandler
from pytest_django import DjangoDbBlocker

from deploy.parts import free_port
from tria_site.postgresql.pool import BUSY_S, POOL, is_refused


@pytest.fixture
def refusing(django_db_blocker: DjangoDbBlocker) -> Iterator[DatabaseWrapper]:
    """A database where nobody listens."""
    address = dj_database_url.parse(f"postgres://tria:secret@127.0.0.1:{free_port()}/tria")
    address |= {"ENGINE": "tria_site.postgresql", "OPTIONS": {"pool": POOL, "connect_timeout": 2}}
    databases = ConnectionHandler({"default": {}, "refusing": address})
    with django_db_blocker.unblock():
        database = cast("DatabaseWrapper", databases["refusing"])
        yield database
        database.close_pool()
    is_refused.clear()


def test_nobody_waits_for_a_database_that_refuses(refusing: DatabaseWrapper) -> None:
    for _ in range(3):
        asked_at = time.monotonic()
        with pytest.raises(OperationalError):
            refusing.ensure_connection()
        assert time.monotonic() - asked_at < BUSY_S / 2
    assert is_refused.is_set()
