"""PostgreSQL hangs: it accepts all that it is sent, and answers nothing, while two servers answer."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from psycopg import OperationalError
from pytest_django import Settings

from deploy.local_servers import Servers
from tests.e2e.fleet import Asking, Fleet, running_fleet, send_at_once, wait_for_replies
from tests.e2e.grounds import LayGround
from tests.e2e.hot_traffic import assert_old_hits, hot_traffic, states, wait_until_well
from tests.e2e.traffic import Traffic
from tests.fakes.llm_server import LlmServer
from tests.fakes.redis_server import RedisServer
from tria_site.postgresql import connection
from tria_site.postgresql.connection import ANSWER_S, ImpatientConnection

QUESTIONS = 60
"""Several times as many as the pools of both servers have connections."""


@pytest.fixture(scope="module")
def fleet(lay_full: LayGround, llm: LlmServer, redis: RedisServer) -> Iterator[Fleet]:
    with running_fleet(lay_full(), llm=llm, redis={"REDIS_URL": redis.url}, own=[{}, {}]) as running:
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
    os.kill(postmaster, signal.SIGSTOP)  # it first: no others are made then
    children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
    for child in children:
        os.kill(int(child), signal.SIGSTOP)
    try:
        yield
    finally:
        for process in (postmaster, *map(int, children)):
            os.kill(process, signal.SIGCONT)


def test_hits_flow_and_questions_are_answered_while_the_database_hangs(
    fleet: Fleet, traffic: Traffic, servers: Servers
) -> None:
    with hanging(servers):
        started = time.monotonic()
        asked = send_at_once(
            Asking(fleet.products[number % 2], f"Can I pay in {number} instalments?")
            for number in range(QUESTIONS)
        )
        traffic.next(50)
        wait_for_replies(asked, QUESTIONS)
        assert time.monotonic() - started < 2 * ANSWER_S
        assert {asking.reply().status for asking in asked} == {200}
        assert {status for status, _ in states(fleet)} == {"down"}
        traffic.next(50)
    wait_until_well(fleet)
    traffic.next(50)
    assert_old_hits(traffic.noted)


@pytest.fixture
def impatient(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> Iterator[ImpatientConnection]:
    """A connection that waits a tenth of a second for what takes a half."""
    monkeypatch.setattr(connection, "ANSWER_S", 0.1)
    with ImpatientConnection.connect(servers.postgres.url("postgres")) as made:
        yield made


def test_a_server_ends_a_connection_that_does_not_answer(
    impatient: ImpatientConnection, settings: Settings
) -> None:
    settings.IS_SERVER = True
    with pytest.raises(OperationalError):
        impatient.execute("SELECT pg_sleep(0.5)")
    assert impatient.closed


def test_a_command_waits(impatient: ImpatientConnection, settings: Settings) -> None:
    settings.IS_SERVER = False
    assert impatient.execute("SELECT 1 FROM pg_sleep(0.5)").fetchone() == (1,)
