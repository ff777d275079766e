"""Limits: per key, per address, and of calls to the language model; counted together by all processes."""

from typing import Any

import pytest
from django.core.cache import caches
from django.test import RequestFactory
from redis import Redis

from access.address import client_address
from access.caller import Caller
from access.limits import CallAllowance
from access.rates import Rates
from cachemgmt.flushing.flush import EVERYTHING, flush
from cachemgmt.flushing.removal import remove_dead
from tests.access.conftest import MakeKey, ask, post, problem
from tests.chat.answering.test_hit_path import commands_run
from tests.fakes.clock import FakeClock
from tests.fakes.llm_server import LlmServer

MINUTE_S = 60.0


@pytest.fixture
def clock() -> FakeClock:
    """A clock at the beginning of a minute."""
    clock = FakeClock()
    clock.advance(MINUTE_S - clock() % MINUTE_S)
    return clock


def rates_of_a_process(clock: FakeClock) -> Rates:
    return Rates(caches["default"], now=clock)


def take_all(rates: Rates, limit: int, name: str = "k") -> int:
    """Take until nothing is left; return how many there were."""
    taken = 0
    while rates.take(name, limit=limit, window_s=MINUTE_S) is None:
        taken += 1
    return taken


def test_no_more_than_the_limit_in_any_minute(clock: FakeClock) -> None:
    rates = rates_of_a_process(clock)
    assert take_all(rates, 10) == 10
    clock.advance(30)
    assert take_all(rates, 10) == 0
    clock.advance(45)  # a quarter of the next window is over
    assert take_all(rates, 10) == 2
    clock.advance(120)
    assert take_all(rates, 10) == 10


def test_the_time_to_wait_is_as_long_as_it_takes(clock: FakeClock) -> None:
    rates = rates_of_a_process(clock)
    take_all(rates, 4)
    clock.advance(60)
    wait_s = rates.take("k", limit=4, window_s=MINUTE_S)
    assert wait_s == pytest.approx(15)
    clock.advance(14)
    assert rates.take("k", limit=4, window_s=MINUTE_S) is not None
    clock.advance(1.01)
    assert rates.take("k", limit=4, window_s=MINUTE_S) is None


def test_names_do_not_count_for_each_other(clock: FakeClock) -> None:
    rates = rates_of_a_process(clock)
    assert take_all(rates, 3, "a") == 3
    assert take_all(rates, 3, "b") == 3


def test_processes_count_together(clock: FakeClock) -> None:
    caches["default"].clear()
    one, two = rates_of_a_process(clock), rates_of_a_process(clock)
    for _ in range(20):
        one.take("k", limit=40, window_s=MINUTE_S)
    for _ in range(10):
        two.take("k", limit=40, window_s=MINUTE_S)
    for rates in (one, two, one):
        rates.share()
    assert take_all(one, 40) == 10
    one.share()
    two.share()
    assert take_all(two, 40) == 0


def test_a_shared_count_that_is_lost_is_made_good(clock: FakeClock) -> None:
    caches["default"].clear()
    one, two = rates_of_a_process(clock), rates_of_a_process(clock)
    for rates in (one, two):
        for _ in range(40):
            rates.take("k", limit=100, window_s=MINUTE_S)
    for rates in (one, two, one):
        rates.share()
    caches["default"].clear()
    for rates in (one, two, one, two):
        rates.share()
    assert take_all(one, 100) == 20
    one.share()
    two.share()
    assert take_all(two, 100) == 0


def test_what_is_given_back_in_the_next_window_opens_no_more_than_the_limit(clock: FakeClock) -> None:
    rates = rates_of_a_process(clock)
    take_all(rates, 10)
    clock.advance(MINUTE_S)
    for _ in range(10):
        rates.add("k", -1, limit=10, window_s=MINUTE_S)
    clock.advance(2 * MINUTE_S)
    assert take_all(rates, 10) == 10


def test_what_was_shared_twice_counts_once(clock: FakeClock) -> None:
    caches["default"].clear()
    rates = rates_of_a_process(clock)
    for _ in range(5):
        rates.take("k", limit=10, window_s=MINUTE_S)
        rates.share()
        rates.share()
    assert take_all(rates, 10) == 5


def test_who_is_far_from_the_limit_costs_no_round_trip(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates = rates_of_a_process(clock)
    rates.take("k", limit=100, window_s=MINUTE_S)
    monkeypatch.setattr(rates, "_cache", object())  # which can do nothing
    rates.share()


def test_old_windows_are_forgotten(clock: FakeClock) -> None:
    rates = rates_of_a_process(clock)
    rates.take("k", limit=10, window_s=MINUTE_S)
    clock.advance(3 * MINUTE_S)
    rates.share()
    assert not rates._counts


@pytest.mark.usefixtures("shop")
def test_a_key_asks_no_more_than_it_may(make_key: MakeKey) -> None:
    key, other = make_key("ask", asks_per_minute=3), make_key("ask")
    assert [ask(key).status_code for _ in range(5)] == [200, 200, 200, 429, 429]
    refused = ask(key)
    assert problem(refused) == (429, "too-many-questions", None)
    assert 1 <= int(refused["Retry-After"]) <= 120
    assert ask(other).status_code == 200


@pytest.mark.usefixtures("shop")
def test_an_address_asks_no_more_than_it_may_by_sessions(make_key: MakeKey, settings: Any) -> None:
    settings.ASKS_PER_MINUTE_PER_ADDRESS = 2
    key = make_key("ask")
    tokens = [post("/api/sessions", key, {}).json()["token"] for _ in range(2)]
    assert [ask(token).status_code for token in tokens * 2] == [200, 200, 429, 429]
    assert ask(key).status_code == 200  # a server asks for all its customers from one address


@pytest.mark.usefixtures("shop")
def test_one_visitor_does_not_use_up_what_is_for_all(make_key: MakeKey, settings: Any) -> None:
    settings.ASKS_PER_MINUTE_PER_ADDRESS = 2
    key = make_key("ask", asks_per_minute=10)
    token = post("/api/sessions", key, {}).json()["token"]
    assert [ask(token).status_code for _ in range(12)] == [200, 200] + [429] * 10
    assert ask(key).status_code == 200


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("shop")
def test_wrong_keys_beyond_the_limit_cost_no_round_trip(over_redis: Redis) -> None:
    wrong = f"tria_{'0' * 12}_{'A' * 43}"
    for _ in range(30):
        ask(wrong)
    over_redis.config_resetstat()
    assert ask(wrong).status_code == 429
    assert not commands_run(over_redis)


@pytest.mark.usefixtures("shop")
def test_wrong_keys_are_tried_only_so_often() -> None:
    statuses = [ask(f"tria_{number:012x}_{'A' * 43}").status_code for number in range(32)]
    assert statuses == [401] * 30 + [429] * 2


@pytest.mark.usefixtures("shop")
def test_a_key_that_used_up_its_calls_gets_what_is_stored(make_key: MakeKey, llm_server: LlmServer) -> None:
    rich, poor = make_key("ask", calls_per_hour=0), make_key("ask", calls_per_hour=3)
    ask(rich, "What is your refund policy?")
    assert ask(poor).json()["cache"]["status"] == "miss"  # three calls
    refused = ask(poor, "Which refund policy do you have?")
    assert problem(refused) == (429, "calls-used-up", None)
    assert int(refused["Retry-After"]) >= 1
    assert ask(poor, "What is your refund policy?").json()["cache"]["status"] == "hit"
    assert ask(rich, "Which refund policy do you have?").status_code == 200
    n_calls = len(llm_server.calls)
    # The answer after another history is put together from what is stored, for no call.
    again = ask(poor, "What is your refund policy?", history=[{"role": "user", "content": "Hello"}])
    assert again.json()["cache"]["level"] == "reply"
    assert len(llm_server.calls) == n_calls


def test_calls_that_were_not_made_are_given_back() -> None:
    allowance = CallAllowance(Caller(key_id="k", calls_per_hour=1))
    for _ in range(3):
        assert allowance.begin() is None
        allowance.end(0)
    assert allowance.begin() is None
    allowance.end(1)
    assert allowance.begin() is not None


@pytest.mark.usefixtures("shop")
def test_no_flush_resets_a_limit(make_key: MakeKey) -> None:
    key = make_key("ask", asks_per_minute=2)
    ask(key)
    ask(key)
    flush(EVERYTHING, actor="ada")
    remove_dead(rest=0)
    assert ask(key).status_code == 429


@pytest.mark.parametrize(
    ("n_proxies", "forwarded", "address"),
    [
        (0, "6.6.6.6", "10.0.0.9"),
        (1, "6.6.6.6, 1.2.3.4", "1.2.3.4"),
        (2, "6.6.6.6, 1.2.3.4, 10.0.0.1", "1.2.3.4"),
        (2, "1.2.3.4", "10.0.0.9"),
        (1, "", "10.0.0.9"),
        (1, "1.2.3.4:5678", "1.2.3.4"),
        (1, "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        (1, "[2001:db8:1:2::9]:443", "2001:db8:1:2::/64"),
        (1, "::ffff:1.2.3.4", "1.2.3.4"),
        (1, "x" * 100, "x" * 64),
    ],
)
def test_an_address_is_what_our_proxies_saw(
    settings: Any, n_proxies: int, forwarded: str, address: str
) -> None:
    settings.TRUSTED_PROXIES = n_proxies
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    request = RequestFactory().get("/", REMOTE_ADDR="10.0.0.9", headers=headers)
    assert client_address(request) == address
