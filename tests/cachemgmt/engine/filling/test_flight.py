"""One leader per key, and everybody else learns how it ended."""

import pytest

from cachemgmt.engine.filling.flight import Flights
from tests.cachemgmt.engine.fakes import WITHIN_S, FakeTime, Threads, WatchedFlights

LONG_S = 60.0
SOON_S = 0.01


@pytest.fixture
def flights(now: FakeTime) -> Flights[str]:
    return Flights(now)


@pytest.fixture
def deadline(now: FakeTime) -> float:
    return now() + LONG_S


def test_the_first_leads_and_the_others_wait(flights: Flights[str], deadline: float) -> None:
    flight, is_leader = flights.join("a", deadline)
    assert is_leader
    assert flights.join("a", deadline + 1) == (flight, False)
    assert flight.deadline == deadline
    assert not flight.ended.is_set()


def test_other_keys_have_flights_of_their_own(flights: Flights[str], deadline: float) -> None:
    one, _ = flights.join("a", deadline)
    other, is_leader = flights.join("b", deadline)
    assert is_leader
    flights.land("a", one, "result")
    assert flights.wait(one)
    assert not other.ended.is_set()


def test_a_landed_flight_gives_its_result_also_to_those_who_ask_late(
    flights: Flights[str], deadline: float, now: FakeTime
) -> None:
    flight, _ = flights.join("a", deadline)
    flights.land("a", flight, "result")
    assert flights.wait(flight)
    now.advance(LONG_S)
    assert flights.wait(flight)
    assert (flight.result, flight.error) == ("result", None)


def test_a_failed_flight_gives_its_error(flights: Flights[str], deadline: float) -> None:
    flight, _ = flights.join("a", deadline)
    error = KeyError("x")
    flights.fail("a", flight, error)
    assert flights.wait(flight)
    assert (flight.result, flight.error) == (None, error)


class Odd(LookupError):
    """Made from other things than it keeps as its arguments."""

    def __init__(self, *, code: int) -> None:
        super().__init__(f"code {code}")
        self.code = code


@pytest.mark.parametrize("error", [KeyError("x"), OSError(2, "gone"), Odd(code=3)])
def test_everybody_who_waits_gets_the_error_as_one_of_his_own(
    flights: Flights[str], deadline: float, error: Exception
) -> None:
    flight, _ = flights.join("a", deadline)
    assert flight.own_error() is None
    flights.fail("a", flight, error)
    one, other = flight.own_error(), flight.own_error()
    assert one is not None
    assert one is not error
    assert one is not other
    assert (type(one), str(one), vars(one)) == (type(error), str(error), vars(error))


def test_an_error_that_cannot_be_made_again_is_given_as_it_is(flights: Flights[str], deadline: float) -> None:
    class Single(Exception):
        is_made = False

        def __new__(cls, *_: object) -> "Single":
            if cls.is_made:
                raise TypeError("no constructor defined")
            cls.is_made = True
            return super().__new__(cls)

    error = Single()
    flight, _ = flights.join("a", deadline)
    flights.fail("a", flight, error)
    assert flight.own_error() is error


@pytest.mark.parametrize("is_failing", [False, True])
def test_after_a_flight_the_next_one_leads_again(
    flights: Flights[str], deadline: float, is_failing: bool
) -> None:
    first, _ = flights.join("a", deadline)
    if is_failing:
        flights.fail("a", first, KeyError("x"))
    else:
        flights.land("a", first, "result")
    second, is_leader = flights.join("a", deadline)
    assert is_leader
    assert second is not first
    assert not second.ended.is_set()


def test_of_many_threads_one_leads_and_all_get_its_result(now: FakeTime, deadline: float) -> None:
    flights: WatchedFlights[str] = WatchedFlights(now)

    def take_part() -> str | None:
        flight, is_leader = flights.join("a", deadline)
        if is_leader:
            flights.await_joined(50)
            flights.land("a", flight, "result")
        assert flights.wait(flight)
        return flight.result

    with Threads() as threads:
        calls = threads.start_together(50, take_part)
    assert [call.result() for call in calls] == ["result"] * 50


# Past the deadline --------------------------------------------------------------------------------------


def test_nobody_waits_past_the_deadline(flights: Flights[str], now: FakeTime) -> None:
    flight, _ = flights.join("a", now() + SOON_S)
    with Threads() as threads:
        waiter = threads.start(lambda: flights.wait(flight))
        now.advance(SOON_S)
        assert waiter.result(WITHIN_S) is False


def test_who_waits_learns_of_a_deadline_that_was_put_off(flights: Flights[str], now: FakeTime) -> None:
    """The leader's time counts from when he may begin, which may be after another process."""
    flight, _ = flights.join("a", now() + SOON_S)
    with Threads() as threads:
        waiter = threads.start(lambda: flights.wait(flight))
        flight.deadline += LONG_S
        now.advance(SOON_S)
        flights.land("a", flight, "result")
        assert waiter.result(WITHIN_S) is True


def test_of_many_who_waited_in_vain_one_leads_the_next_flight(now: FakeTime) -> None:
    flights: WatchedFlights[str] = WatchedFlights(now)
    hung, _ = flights.join("a", now() + SOON_S)

    def take_over() -> bool:
        assert not flights.wait(hung)
        flight, is_leader = flights.join("a", now() + LONG_S)
        if is_leader:
            flights.await_joined(20 + 1)
            flights.land("a", flight, "result")
        return is_leader

    with Threads() as threads:
        calls = threads.start_together(20, take_over)
        now.advance(SOON_S)
    assert sum(call.result() for call in calls) == 1


def test_a_flight_left_to_itself_ends_without_touching_the_next(flights: Flights[str], now: FakeTime) -> None:
    hung, _ = flights.join("a", now() + SOON_S)
    now.advance(SOON_S)
    successor, is_leader = flights.join("a", now() + LONG_S)
    assert is_leader
    flights.land("a", hung, "late")
    assert not successor.ended.is_set()
    assert flights.join("a", now() + LONG_S) == (successor, False)
    assert (flights.wait(hung), hung.result) == (True, "late")
