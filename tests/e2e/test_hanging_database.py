"""PostgreSQL hangs: it accepts all that it is sent, and answers nothing, while two servers answer."""

import os
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import dj_database_url
import psycopg
import pytest
from django.db import OperationalError
from django.db.utils import ConnectionHandler
from pytest_django import DjangoDbBlocker, Settings

from deploy.local_servers import Servers
from tests.e2e.fleet import Asking, Fleet, running_fleet, send_at_once, wait_for_replies
from tests.e2e.grounds import LayGround
from tests.e2e.hot_traffic import assert_old_hits, hot_traffic, states, wait_until_well
from tests.e2e.traffic import Traffic
from tests.fakes.llm_server import LlmServer
from tests.fakes.redis_server import RedisServer
from tria_site.postgresql import connection
from tria_site.postgresql.connection import ImpatientConnection

QUESTIONS = 30
"""More than the pools of both servers have connections. Many more would leave Redis no processor within its
150 ms, and with Redis and the database out at once nothing is reused."""


@pytest.fixture(scope="module")
def fleet(lay_full: LayGround, llm: LlmServer, redis: RedisServer) -> Iterator[Fleet]:
    own = {"DATABASE_TIMEOUT_S": "2"}
    with running_fleet(lay_full(), llm=llm, redis={"REDIS_URL": redis.url}, own=[own, own]) as running:
        yield running


@pytest.fixture
def traffic(fleet: Fleet, llm: LlmServer) -> Iterator[Traffic]:
    with hot_traffic(fleet, llm) as running:
        yield running


@contextmanager
def hanging(servers: Servers) -> Iterator[None]:
    """Let PostgreSQL hang meanwhile. Its processes have groups of their own."""
    assert servers.postgres.part.process
    postmaster = servers.postgres.part.process.pid
    processes = [postmaster]
    try:
        os.kill(postmaster, signal.SIGSTOP)  # it first: no others are made then
        processes += map(int, Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split())
        tell(signal.SIGSTOP, processes[1:])
        yield
    finally:
        tell(signal.SIGCONT, processes)


def tell(what: signal.Signals, processes: Iterable[int]) -> None:
    """Send the signal to each that has not ended."""
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, what)


def test_hits_flow_and_questions_are_answered_while_the_database_hangs(
    fleet: Fleet, traffic: Traffic, servers: Servers
) -> None:
    with hanging(servers):
        asked = send_at_once(
            Asking(fleet.products[number % 2], f"Can I pay in {number} instalments?")
            for number in range(QUESTIONS)
        )
        traffic.next(50)
        wait_for_replies(asked, QUESTIONS)
        assert {asking.reply().status for asking in asked} == {200}
        assert {status for status, _ in states(fleet)} == {"down"}
        traffic.next(50)
    wait_until_well(fleet)
    traffic.next(50)
    assert_old_hits(traffic.noted)


@pytest.fixture
def impatient(
    servers: Servers, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ImpatientConnection]:
    """A connection that waits a tenth of a second for what takes a half."""
    settings.DATABASE_TIMEOUT_S = 0.1
    monkeypatch.setattr(connection, "GRACE_S", 0.0)
    with ImpatientConnection.connect(servers.postgres.url("postgres")) as made:
        yield made


def test_a_server_ends_a_connection_that_does_not_answer(
    impatient: ImpatientConnection, settings: Settings
) -> None:
    settings.IS_SERVER = True
    with pytest.raises(psycopg.OperationalError):
        impatient.execute("SELECT pg_sleep(0.5)")
    assert impatient.closed


def test_what_takes_too_long_in_a_server_is_ended_by_the_database_itself(
    servers: Servers, settings: Settings, django_db_blocker: DjangoDbBlocker
) -> None:
    settings.IS_SERVER, settings.DATABASE_TIMEOUT_S = True, 0.1
    address = dj_database_url.parse(servers.postgres.url("postgres")) | {"ENGINE": "tria_site.postgresql"}
    with django_db_blocker.unblock():
        database = ConnectionHandler({"default": {}, "own": address})["own"]
        with pytest.raises(OperationalError, match="statement timeout"), database.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(5)")
        with database.cursor() as cursor:
            cursor.execute("SELECT 1")
        database.close()


def test_a_command_waits(impatient: ImpatientConnection, settings: Settings) -> None:
    settings.IS_SERVER = False
    assert impatient.execute("SELECT 1 FROM pg_sleep(0.5)").fetchone() == (1,)
