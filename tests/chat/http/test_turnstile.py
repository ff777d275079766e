"""The turnstile lets few in at once, in the order they came, and nobody is lost."""

from threading import Barrier, Event, Lock, Thread

import pytest

from chat.http.turnstile import Turnstile

WITHIN_S = 10.0


def in_threads(count: int, work: object) -> list[Thread]:
    threads = [Thread(target=work, args=[number], daemon=True) for number in range(count)]  # type: ignore[arg-type]
    for thread in threads:
        thread.start()
    return threads


def waiting(turnstile: Turnstile) -> int:
    return len(turnstile._waiting)


def until(turnstile: Turnstile, count: int) -> None:
    """Return once so many wait: a thread that waits tells nobody."""
    pause = Event()
    for _ in range(int(WITHIN_S * 1000)):
        if waiting(turnstile) == count:
            return
        pause.wait(0.001)
    pytest.fail(f"{waiting(turnstile)} wait, not {count}")


def test_no_more_than_so_many_are_inside_at_once() -> None:
    turnstile, lock = Turnstile(3), Lock()
    inside = most = 0
    start = Barrier(20)

    def work(_: int) -> None:
        nonlocal inside, most
        start.wait(WITHIN_S)
        for _ in range(200):
            with turnstile:
                with lock:
                    inside += 1
                    most = max(most, inside)
                with lock:
                    inside -= 1

    for thread in in_threads(20, work):
        thread.join(WITHIN_S)
        assert not thread.is_alive()
    assert most <= 3
    assert (waiting(turnstile), turnstile._free) == (0, 3)


def test_who_came_first_goes_first() -> None:
    turnstile = Turnstile(1)
    order: list[int] = []

    def work(number: int) -> None:
        with turnstile:
            order.append(number)

    threads = []
    with turnstile:
        for number in range(10):
            threads += [Thread(target=work, args=[number], daemon=True)]
            threads[-1].start()
            until(turnstile, number + 1)
    for thread in threads:
        thread.join(WITHIN_S)
    assert order == list(range(10))


def test_an_error_inside_gives_the_turn_to_the_next() -> None:
    turnstile = Turnstile(1)
    with pytest.raises(KeyError), turnstile:
        raise KeyError
    with turnstile:
        pass
