"""In a server one thread alone asks the database, and nobody else ever waits on it for long."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from time import monotonic

import pytest

from cachemgmt.engine.errors import SourceUnavailable
from cachemgmt.engine.reuse.watched_knowledge import CONFIRMED_S, NEWS_S, WatchedKnowledge
from tests.cachemgmt.engine.database import FakeDatabase
from tests.cachemgmt.engine.fakes import WITHIN_S, FakeTime, Threads


@pytest.fixture
def database() -> FakeDatabase:
    return FakeDatabase()


@pytest.fixture
def snapshot(database: FakeDatabase, now: FakeTime) -> WatchedKnowledge:
    return WatchedKnowledge(database, monotonic=now)


@contextmanager
def watching(snapshot: WatchedKnowledge) -> Iterator[None]:
    """Have a thread watch as the server's does, but for news alone."""
    is_over = False

    def watch() -> None:
        while not is_over:
            assert snapshot.news.wait(WITHIN_S)
            snapshot.news.clear()
            if not is_over:
                try:
                    snapshot.catch_up()
                except SourceUnavailable:
                    continue

    snapshot.watch()
    with Threads() as threads:
        watcher = threads.start(watch)
        yield
        is_over = True
        snapshot.news.set()
        watcher.result(WITHIN_S)


def test_watched_it_asks_the_database_nothing_itself(
    snapshot: WatchedKnowledge, database: FakeDatabase, now: FakeTime
) -> None:
    snapshot.catch_up()
    snapshot.watch()
    assert snapshot.known().clock == 5
    assert snapshot.is_current(None)
    now.advance(CONFIRMED_S + 0.001)
    assert not snapshot.is_current(None)
    snapshot.known(at_least=6)
    assert database.asked == 1
    assert snapshot.news.is_set()


def test_watched_what_is_known_waits_for_nobody(snapshot: WatchedKnowledge, now: FakeTime) -> None:
    snapshot.catch_up()
    snapshot.watch()
    with snapshot._asking:  # the watcher hangs in the database
        assert snapshot.known(at_least=5).clock == 5
        assert snapshot.is_current(5)
    assert not snapshot.news.is_set()


def test_watched_who_hears_of_news_is_woken_as_soon_as_it_is_loaded(
    snapshot: WatchedKnowledge, database: FakeDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cachemgmt.engine.reuse.watched_knowledge.NEWS_S", WITHIN_S)
    snapshot.catch_up()
    database.number = 6
    started = monotonic()
    with watching(snapshot), Threads() as threads:
        calls = threads.start_together(20, lambda: snapshot.known(at_least=6))
        assert {call.result(WITHIN_S).clock for call in calls} == {6}
    assert monotonic() - started < WITHIN_S / 2
    assert snapshot.is_current(6)
    assert database.loaded == 2


def test_watched_who_comes_first_is_woken_too(
    snapshot: WatchedKnowledge, database: FakeDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cachemgmt.engine.reuse.watched_knowledge.NEWS_S", WITHIN_S)
    with watching(snapshot):
        assert snapshot.known().clock == 5
    assert database.loaded == 1


def test_watched_a_store_ahead_of_the_database_is_asked_about_once(
    snapshot: WatchedKnowledge, database: FakeDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cachemgmt.engine.reuse.watched_knowledge.NEWS_S", WITHIN_S)
    snapshot.catch_up()
    with watching(snapshot):
        for _ in range(5):
            assert snapshot.known(at_least=90).clock == 5
            assert snapshot.is_current(90)
    assert database.asked == 2


def test_watched_nobody_waits_longer_than_he_may_on_a_database_that_hangs(
    snapshot: WatchedKnowledge, database: FakeDatabase
) -> None:
    snapshot.catch_up()
    has_begun, may_end = Event(), Event()

    def hang() -> None:
        has_begun.set()
        assert may_end.wait(WITHIN_S)

    database.during = hang
    with watching(snapshot):
        started = monotonic()
        assert snapshot.known(at_least=6).clock == 5
        waited_s = monotonic() - started
        assert has_begun.is_set()
        assert not snapshot.is_current(6)
        may_end.set()
    assert NEWS_S * 0.9 <= waited_s < NEWS_S + 1  # a busy machine may come late


def test_watched_nobody_waits_for_a_database_that_has_been_silent_for_a_second(
    snapshot: WatchedKnowledge, now: FakeTime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else each look-up of a request would wait again."""
    monkeypatch.setattr("cachemgmt.engine.reuse.watched_knowledge.NEWS_S", 2 * WITHIN_S)
    snapshot.catch_up()
    snapshot.watch()
    now.advance(CONFIRMED_S + 0.001)
    started = monotonic()
    assert snapshot.known(at_least=6).clock == 5
    assert not snapshot.is_current(6)
    assert monotonic() - started < WITHIN_S
    assert snapshot.news.is_set()
