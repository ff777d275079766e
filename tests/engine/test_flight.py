"""One leader per key, and everybody else learns how it ended."""

import pytest

from cachemgmt.engine.flight import Flights
from tests.engine.fakes import WITHIN_S, Threads, WatchedFlights


@pytest.fixture
def flights() -> Flights[str]:
    return Flights()


def test_the_first_leads_and_the_others_wait(flights: Flights[str]) -> None:
    flight, is_leader = flights.join("a")
    assert is_leader
    assert flights.join("a") == (flight, False)
    assert not flight.wait(0)


def test_other_keys_have_flights_of_their_own(flights: Flights[str]) -> None:
    one, _ = flights.join("a")
    other, is_leader = flights.join("b")
    assert is_leader
    flights.land("a", "result")
    assert one.wait(0)
    assert not other.wait(0)


def test_a_landed_flight_gives_its_result_also_to_those_who_ask_late(flights: Flights[str]) -> None:
    flight, _ = flights.join("a")
    flights.land("a", "result")
    assert flight.wait(0)
    assert (flight.result, flight.error) == ("result", None)


def test_a_failed_flight_gives_its_error(flights: Flights[str]) -> None:
    flight, _ = flights.join("a")
    error = KeyError("x")
    flights.fail("a", error)
    assert flight.wait(0)
    assert (flight.result, flight.error) == (None, error)


@pytest.mark.parametrize("is_failing", [False, True])
def test_after_a_flight_the_next_one_leads_again(flights: Flights[str], is_failing: bool) -> None:
    first, _ = flights.join("a")
    if is_failing:
        flights.fail("a", KeyError("x"))
    else:
        flights.land("a", "result")
    second, is_leader = flights.join("a")
    assert is_leader
    assert second is not first
    assert not second.wait(0)


def test_every_end_is_counted(flights: Flights[str]) -> None:
    for key in ("a", "b"):
        flights.join(key)
    assert flights.landed_count == 0
    flights.land("a", "result")
    flights.fail("b", KeyError("x"))
    assert flights.landed_count == 2


def test_of_many_threads_one_leads_and_all_get_its_result() -> None:
    flights: WatchedFlights[str] = WatchedFlights()

    def take_part() -> str | None:
        flight, is_leader = flights.join("a")
        if is_leader:
            flights.await_joined(50)
            flights.land("a", "result")
        assert flight.wait(WITHIN_S)
        return flight.result

    with Threads() as threads:
        calls = threads.start_together(50, take_part)
    assert [call.result() for call in calls] == ["result"] * 50
    assert flights.landed_count == 1
