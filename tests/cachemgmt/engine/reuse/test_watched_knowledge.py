"""What a process knows of the database's decisions: loaded once, confirmed each second, never guessed."""

import logging

import pytest

from cachemgmt.engine.errors import SourceUnavailable
from cachemgmt.engine.reuse.watched_knowledge import CONFIRMED_S, RETRY_AFTER_S, WatchedKnowledge
from tests.cachemgmt.engine.database import FakeDatabase
from tests.cachemgmt.engine.fakes import FakeTime, Threads


@pytest.fixture
def database() -> FakeDatabase:
    return FakeDatabase()


@pytest.fixture
def snapshot(database: FakeDatabase, now: FakeTime) -> WatchedKnowledge:
    return WatchedKnowledge(database, monotonic=now)


# In commands: whoever needs to know asks ----------------------------------------------------------------


def test_nothing_is_asked_before_somebody_needs_to_know(database: FakeDatabase, now: FakeTime) -> None:
    WatchedKnowledge(database, monotonic=now)
    assert database.asked == 0


def test_many_who_ask_first_have_it_loaded_once(snapshot: WatchedKnowledge, database: FakeDatabase) -> None:
    with Threads() as threads:
        calls = threads.start_together(50, snapshot.known)
    assert {call.result().clock for call in calls} == {5}
    assert (database.asked, database.loaded) == (1, 1)


def test_many_who_hear_of_news_have_it_loaded_once(
    snapshot: WatchedKnowledge, database: FakeDatabase
) -> None:
    snapshot.known()
    database.number = 6
    with Threads() as threads:
        calls = threads.start_together(50, lambda: snapshot.known(at_least=6))
    assert {call.result().clock for call in calls} == {6}
    assert (database.asked, database.loaded) == (2, 2)


@pytest.mark.parametrize("at_least", [None, 0, 4, 5])
def test_what_is_known_costs_no_question(
    snapshot: WatchedKnowledge, database: FakeDatabase, now: FakeTime, at_least: int | None
) -> None:
    snapshot.known()
    now.advance(1000)
    assert snapshot.known(at_least).clock == 5
    assert database.asked == 1


def test_everything_is_loaded_only_where_the_clock_has_changed(
    snapshot: WatchedKnowledge, database: FakeDatabase
) -> None:
    for number, loaded in ((5, 1), (5, 1), (6, 2), (6, 2)):
        database.number = number
        assert snapshot.catch_up() == number
        assert database.loaded == loaded


def test_a_clock_that_went_back_is_believed(snapshot: WatchedKnowledge, database: FakeDatabase) -> None:
    snapshot.known()
    database.number = 2
    assert snapshot.catch_up() == 2
    assert snapshot.known().clock == 2


def test_another_history_with_the_same_number_is_loaded(
    snapshot: WatchedKnowledge, database: FakeDatabase
) -> None:
    """Restored, and raised again meanwhile."""
    snapshot.known()
    database.mark = "other"
    assert snapshot.catch_up() == 5
    assert (database.loaded, snapshot.known().mark) == (2, "other")


# A database restored, as the watcher finds it -----------------------------------------------------------


@pytest.mark.parametrize("told", [0, 4, 5])
def test_what_the_database_has_reached_is_its_own_history(
    snapshot: WatchedKnowledge, database: FakeDatabase, told: int
) -> None:
    assert snapshot.catch_up(told=told) == 5
    assert database.outran == []


def test_a_clock_below_what_the_store_told_is_raised_above_it(
    snapshot: WatchedKnowledge, database: FakeDatabase
) -> None:
    assert snapshot.catch_up(told=8) == 9
    assert database.outran == [8]
    assert snapshot.known().clock == 9
    assert snapshot.catch_up(told=8) == 9
    assert database.outran == [8]


def test_a_clock_below_what_was_known_is_raised_above_it(
    snapshot: WatchedKnowledge, database: FakeDatabase
) -> None:
    """The store may be out, or have lost its number; this process's memory has not lost its entries."""
    snapshot.catch_up(told=0)
    database.number = 2
    assert snapshot.catch_up(told=0) == 6
    assert database.outran == [5]


def test_what_could_not_be_raised_is_raised_as_soon_as_it_can_be(
    snapshot: WatchedKnowledge, database: FakeDatabase
) -> None:
    snapshot.catch_up(told=0)
    database.number = 2
    snapshot.catch_up()  # it is a command's question: the watcher comes later
    assert snapshot.known().clock == 2
    assert snapshot.catch_up(told=0) == 6


# Is that all ---------------------------------------------------------------------------------------------


def test_what_the_store_says_needs_no_question(
    snapshot: WatchedKnowledge, database: FakeDatabase, now: FakeTime
) -> None:
    snapshot.known()
    database.is_out = True
    now.advance(1000)
    assert snapshot.is_current(5)
    assert database.asked == 1


@pytest.mark.parametrize("told", [None, 0, 4])
def test_without_the_stores_word_the_database_is_asked_once_a_second(
    snapshot: WatchedKnowledge, database: FakeDatabase, now: FakeTime, told: int | None
) -> None:
    snapshot.known()
    for _ in range(5):
        assert snapshot.is_current(told)
    now.advance(CONFIRMED_S)
    assert snapshot.is_current(told)
    assert database.asked == 1
    now.advance(0.001)
    for _ in range(5):
        assert snapshot.is_current(told)
    assert database.asked == 2


def test_the_question_that_confirms_also_loads_what_is_new(
    snapshot: WatchedKnowledge, database: FakeDatabase, now: FakeTime
) -> None:
    snapshot.known()
    database.number = 6
    now.advance(CONFIRMED_S + 0.001)
    assert snapshot.is_current(None)
    assert snapshot.known().clock == 6


def test_the_databases_word_counts_from_the_question(
    snapshot: WatchedKnowledge, database: FakeDatabase, now: FakeTime
) -> None:
    """What was decided while the answer was on its way is not in it."""
    database.during = lambda: now.advance(CONFIRMED_S + 0.1)
    snapshot.catch_up()
    database.is_out = True
    assert not snapshot.is_current(None)


def test_a_clock_that_cannot_be_loaded_makes_what_is_known_doubtful(
    snapshot: WatchedKnowledge, database: FakeDatabase
) -> None:
    snapshot.known()
    database.is_out = True
    assert snapshot.known(at_least=6).clock == 5
    assert not snapshot.is_current(6)


@pytest.mark.parametrize("told", [5, None])
def test_what_was_heard_of_counts_though_the_store_has_forgotten_it(
    snapshot: WatchedKnowledge, database: FakeDatabase, now: FakeTime, told: int | None
) -> None:
    """A store restored from an old file says again what it said before the news."""
    snapshot.known()
    database.is_out = True
    snapshot.known(at_least=6)
    assert not snapshot.is_current(told)
    database.is_out, database.number = False, 6
    now.advance(RETRY_AFTER_S)
    assert snapshot.is_current(told)  # it has been loaded meanwhile
    assert snapshot.known().clock == 6


def test_a_store_of_another_history_is_asked_about_once_and_then_not_believed(
    snapshot: WatchedKnowledge, database: FakeDatabase, now: FakeTime
) -> None:
    """It is ahead of the database, which was restored: then the database's word alone counts."""
    snapshot.known()
    for _ in range(5):
        assert snapshot.known(at_least=90).clock == 5
        assert snapshot.is_current(90)
        assert snapshot.known(at_least=70).clock == 5
    assert database.asked == 2
    database.is_out = True
    now.advance(CONFIRMED_S + 0.001)
    assert not snapshot.is_current(90)


# The database is out ------------------------------------------------------------------------------------


def test_before_anything_could_be_loaded_nothing_is_complete(
    snapshot: WatchedKnowledge, database: FakeDatabase
) -> None:
    database.is_out = True
    known = snapshot.known()
    assert (known.clock, known.is_complete) == (0, False)
    assert not snapshot.is_current(None)
    assert not snapshot.is_current(0)


def test_what_is_known_stays_and_is_doubtful_after_a_second(
    snapshot: WatchedKnowledge, database: FakeDatabase, now: FakeTime
) -> None:
    snapshot.known()
    database.is_out = True
    now.advance(CONFIRMED_S)
    assert snapshot.is_current(None)
    now.advance(0.001)
    assert not snapshot.is_current(None)
    assert snapshot.known().clock == 5


def test_a_database_that_failed_is_left_alone_for_a_second(
    snapshot: WatchedKnowledge, database: FakeDatabase, now: FakeTime
) -> None:
    snapshot.known()
    database.is_out = True
    now.advance(CONFIRMED_S + 0.001)
    for _ in range(5):
        assert not snapshot.is_current(None)
        assert snapshot.known(at_least=6).clock == 5
    assert database.asked == 2
    now.advance(RETRY_AFTER_S)
    assert not snapshot.is_current(None)
    assert database.asked == 3


def test_a_database_that_is_back_is_believed_at_once_after_that_second(
    snapshot: WatchedKnowledge, database: FakeDatabase, now: FakeTime
) -> None:
    snapshot.known()
    database.is_out = True
    assert snapshot.known(at_least=6).clock == 5
    database.is_out, database.number = False, 7
    now.advance(RETRY_AFTER_S)
    assert snapshot.known(at_least=6).clock == 7
    assert snapshot.is_current(6)


def test_who_waited_for_a_question_that_failed_does_not_ask_again(
    snapshot: WatchedKnowledge, database: FakeDatabase
) -> None:
    database.is_out = True
    with Threads() as threads:
        calls = threads.start_together(50, snapshot.known)
    assert not any(call.result().is_complete for call in calls)
    assert database.asked == 1


def test_each_change_is_told_once(
    snapshot: WatchedKnowledge, database: FakeDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    for is_out in (False, True, True, True, False, False):
        database.is_out = is_out
        if is_out:
            with pytest.raises(SourceUnavailable):
                snapshot.catch_up()
        else:
            snapshot.catch_up()
    told = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert [message.partition("cache's rules ")[2] for message in told] == [
        "cannot be read: nothing new is known",
        "can be read again",
    ]


def test_what_is_forgotten_is_loaded_anew(snapshot: WatchedKnowledge, database: FakeDatabase) -> None:
    snapshot.known(at_least=90)
    snapshot.watch()
    snapshot.forget()
    database.number = 1
    assert snapshot.known().clock == 1
    assert database.loaded == 2
