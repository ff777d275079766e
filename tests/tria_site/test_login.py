"""Log-ins to the admin are throttled by address, with and without Redis."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache, caches
from django.core.management import call_command
from django.test import Client, override_settings
from redis import Redis

from cachemgmt import assembly
from cachemgmt.django_cache import failover_cache
from cachemgmt.engine.stores.breaker import Breaker
from tests.cachemgmt.django_cache.test_uses import caches_over
from tests.cachemgmt.engine.fakes import FakeTime
from tests.fakes.redis_proxy import RedisProxy
from tria_site.login import FailureCounter

LIMIT = 10
PASSWORD = "correct horse battery"
WRONG = "battery horse correct"
LOGIN = "/admin/login/"

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def lena(settings: Any) -> Iterator[User]:
    """Somebody who may log in, and no failures so far."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # fast
    cache.clear()
    yield User.objects.create_user("lena", password=PASSWORD, is_staff=True)
    cache.clear()


def attempt(address: str = "10.0.0.1", password: str = WRONG, name: str = "lena", **headers: str) -> Any:
    return Client().post(
        LOGIN, {"username": name, "password": password}, REMOTE_ADDR=address, headers=headers
    )


def lock_out(address: str = "10.0.0.1") -> Any:
    """Fail as often as it takes; return the last response."""
    for _ in range(LIMIT - 1):
        assert attempt(address).status_code == 200
    return attempt(address)


def test_the_tenth_failure_shuts_the_address_out_and_says_for_how_long() -> None:
    response = lock_out()
    assert response.status_code == 429
    assert response["Retry-After"] == "900"
    page = response.content.decode()
    assert "Too many log-ins from your network address have failed." in page
    assert "For 15 minutes" in page
    assert response["Content-Security-Policy"]
    assert attempt(password=PASSWORD).status_code == 429  # the right one, too: else they could be tried on


def test_other_addresses_and_who_is_logged_in_are_not_concerned() -> None:
    client = Client()
    data = {"username": "lena", "password": PASSWORD}
    assert client.post(LOGIN, data, REMOTE_ADDR="10.0.0.1").status_code == 302
    lock_out("10.0.0.1")
    assert client.get("/admin/", REMOTE_ADDR="10.0.0.1").status_code == 200
    assert attempt("10.0.0.2", PASSWORD).status_code == 302
    assert Client().get(LOGIN, REMOTE_ADDR="10.0.0.1").status_code == 200
    assert Client().get("/api/health", REMOTE_ADDR="10.0.0.1").status_code == 200


def test_another_name_does_not_begin_the_count_anew() -> None:
    statuses = [attempt(name=f"user-{n}").status_code for n in range(LIMIT)]
    assert statuses == [200] * (LIMIT - 1) + [429]


def test_a_header_does_not_make_another_address() -> None:
    for n in range(LIMIT):
        response = attempt("10.0.0.1", **{"X-Forwarded-For": f"10.9.9.{n}", "User-Agent": f"Agent {n}"})
    assert response.status_code == 429


def test_log_ins_that_succeed_in_between_do_not_begin_the_count_anew() -> None:
    for _ in range(LIMIT - 1):
        attempt()
    assert attempt(password=PASSWORD).status_code == 302
    assert attempt().status_code == 429


def test_the_cool_off_ends_and_attempts_during_it_do_not_prolong_it(monkeypatch: pytest.MonkeyPatch) -> None:
    lock_out()

    def prolong(*args: Any, **kwargs: Any) -> bool:
        raise AssertionError

    with monkeypatch.context() as watched:
        for change in ("touch", "incr", "set"):
            watched.setattr(type(caches["default"]), change, prolong)
        assert attempt().status_code == 429
    cache.clear()  # as when the time is over
    assert attempt(password=PASSWORD).status_code == 302


def test_an_operator_can_end_it_early(capsys: pytest.CaptureFixture[str]) -> None:
    lock_out()
    call_command("axes_reset_ip", "10.0.0.1")
    assert "1 attempts removed" in capsys.readouterr().out
    assert attempt(password=PASSWORD).status_code == 302


def test_neither_passwords_nor_names_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    lock_out()
    attempt(name=WRONG, password="lena")  # in the wrong fields, as people do
    logged = " ".join(str(record.__dict__) + record.getMessage() for record in caplog.records)
    ours = " ".join(record.getMessage() for record in caplog.records if record.name.startswith("axes"))
    assert WRONG not in logged
    assert "10.0.0.1" in ours
    assert "lena" not in ours


def test_a_count_that_ends_between_two_steps_of_counting_fails_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    attempt()
    backend = type(caches["default"])
    incr = backend.incr

    def gone(self: Any, key: str, *args: Any, **kwargs: Any) -> int:
        monkeypatch.setattr(backend, "incr", incr)
        self.delete(key)
        return incr(self, key, *args, **kwargs)

    monkeypatch.setattr(backend, "incr", gone)
    assert attempt().status_code == 200


# Redis --------------------------------------------------------------------------------------------------


@pytest.fixture
def redis(redis_client: Redis, redis_proxy: RedisProxy, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An empty Redis behind Django's cache, which the test may take away."""
    breaker = Breaker(now=FakeTime())
    monkeypatch.setattr(assembly, "breaker", lambda: breaker)
    monkeypatch.setattr(failover_cache, "_spares", {})
    with override_settings(CACHES=caches_over(redis_proxy.url)):
        yield redis_proxy
        caches["tria"].client.get_client().connection_pool.disconnect()  # type: ignore[attr-defined]


def test_failures_are_counted_in_redis_for_all_processes(redis: RedisProxy, redis_client: Redis) -> None:
    lock_out()
    assert redis_client.keys("*axes-*")
    failover_cache._spares.clear()  # another process
    assert attempt(password=PASSWORD).status_code == 429


def test_attempts_are_throttled_while_redis_is_out(redis: RedisProxy) -> None:
    redis.refuse()
    assert lock_out().status_code == 429
    assert attempt(password=PASSWORD).status_code == 429
    assert attempt("10.0.0.2", PASSWORD).status_code == 302


def test_redis_may_go_in_the_middle_of_counting(redis: RedisProxy) -> None:
    for _ in range(5):
        attempt()
    redis.refuse()
    statuses = [attempt().status_code for _ in range(LIMIT)]
    assert statuses[-1] == 429
    assert set(statuses) <= {200, 429}


def test_the_address_is_what_our_proxy_saw(settings: Any) -> None:
    settings.TRUSTED_PROXIES = 1
    for _ in range(LIMIT):
        attempt("10.0.0.1", x_forwarded_for="1.2.3.4")
    assert attempt("10.0.0.2", x_forwarded_for="6.6.6.6, 1.2.3.4").status_code == 429
    assert attempt("10.0.0.1", x_forwarded_for="1.2.3.5").status_code == 200
    assert isinstance(FailureCounter().cache, type(caches["default"]))
