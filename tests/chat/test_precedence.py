"""Customers first: warming waits while anybody is being answered."""

from threading import Event, Thread

import pytest

from chat.precedence import Precedence


def test_warming_goes_on_at_once_where_nobody_is_being_answered() -> None:
    assert Precedence().give_way(patience_s=0)


def test_warming_waits_for_the_last_customer() -> None:
    precedence, warmed = Precedence(), Event()

    def warm() -> None:
        assert precedence.give_way(patience_s=30)
        warmed.set()

    with precedence.customer():
        with precedence.customer():
            waiting = Thread(target=warm)
            waiting.start()
        assert not warmed.is_set()
    assert warmed.wait(30)
    waiting.join()


def test_warming_loses_patience() -> None:
    precedence = Precedence()
    with precedence.customer():
        assert not precedence.give_way(patience_s=0)


def test_a_failed_answer_holds_up_nobody() -> None:
    precedence = Precedence()

    def fail() -> None:
        with precedence.customer():
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert precedence.give_way(patience_s=0)
