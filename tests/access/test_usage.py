"""When each key was last used: written once in a while, however busy it is; a failed write loses nothing."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from access import usage
from access.models import ApiKey
from access.usage import note_use, write_usage
from cachemgmt.models import Clock
from tests.fakes.process import fresh_process

__all__ = ["fresh_process"]

pytestmark = pytest.mark.django_db(transaction=True)
NAMES = ["one", "two", "three"]


@pytest.fixture(autouse=True)
def keys() -> None:
    """Three keys that were never used."""
    for name in NAMES:
        ApiKey.objects.create(name=name, key_id=name, digest=name)


class Statements:
    """The statements that a round sends; before each, `meanwhile` happens."""

    def __init__(self, meanwhile: Callable[[int], None]) -> None:
        self.count = 0
        self._meanwhile = meanwhile

    def __call__(self, execute: Any, *sent: Any) -> Any:
        self.count += 1
        assert self.count <= 10, "a round that comes to no end"
        self._meanwhile(self.count)
        return execute(*sent)


def used_at(name: str) -> datetime | None:
    return ApiKey.objects.get(key_id=name).last_used_at


def test_a_round_ends_however_often_keys_are_used_meanwhile() -> None:
    for name in NAMES:
        note_use(name)

    def use_all(_count: int) -> None:
        for name in NAMES:
            note_use(name)

    statements = Statements(use_all)
    with connection.execute_wrapper(statements):
        write_usage()
    assert statements.count == len(NAMES)
    first = used_at("one")
    assert first is not None
    write_usage()  # what was noted meanwhile
    second = used_at("one")
    assert second is not None
    assert second > first


def test_an_idle_round_asks_nothing(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        write_usage()


def test_writing_usage_does_not_raise_the_clock() -> None:
    before = Clock.objects.get().number
    note_use("one")
    write_usage()
    assert used_at("one") is not None
    assert Clock.objects.get().number == before


def test_what_a_failing_database_refused_is_written_by_the_next_round() -> None:
    for name in NAMES:
        note_use(name)
    newer = timezone.now() + timedelta(minutes=1)

    def fail_at_the_second(count: int) -> None:
        if count == 2:
            usage._used["three"] = newer
            raise OperationalError("database is locked")

    with connection.execute_wrapper(Statements(fail_at_the_second)), pytest.raises(OperationalError):
        write_usage()
    assert (used_at("two"), used_at("three")) == (None, None)
    write_usage()
    assert used_at("two") is not None
    assert used_at("three") == newer


def test_another_processes_later_use_stays() -> None:
    later = timezone.now() + timedelta(minutes=1)
    ApiKey.objects.unannounced().filter(key_id="one").update(last_used_at=later)
    note_use("one")
    write_usage()
    assert used_at("one") == later
