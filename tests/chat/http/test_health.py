"""What the health check says of the parts."""

from collections.abc import Iterator
from typing import NoReturn

import pytest

from cachemgmt.decisions.database import Decisions, snapshot
from cachemgmt.engine.errors import SourceUnavailable
from chat.http.health import health

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    snapshot().forget()
    yield
    snapshot().forget()


def learn() -> None:
    snapshot().catch_up()


def test_the_database_is_healthy_again_once_what_is_decided_was_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_self: Decisions) -> NoReturn:
        raise SourceUnavailable

    learn()
    assert health()["status"] == "ok"
    with monkeypatch.context() as patched:
        patched.setattr(Decisions, "clock", fail)
        with pytest.raises(SourceUnavailable):
            learn()
    assert (health()["status"], health()["database"]["is_healthy"]) == ("down", False)
    learn()
    assert (health()["status"], health()["database"]["is_healthy"]) == ("ok", True)
