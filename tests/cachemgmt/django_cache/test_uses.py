"""What stands on Django's cache works on while Redis is out: throttles and sessions."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.sessions.backends.cached_db import SessionStore
from django.core.cache import cache, caches
from django.test import override_settings
from pytest_django import DjangoAssertNumQueries
from redis import Redis
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory
from rest_framework.throttling import SimpleRateThrottle
from rest_framework.views import APIView

from cachemgmt import assembly
from cachemgmt.django_cache import failover_cache
from cachemgmt.engine.stores.breaker import Breaker
from tests.cachemgmt.engine.fakes import WITHIN_S, FakeTime
from tests.fakes.redis_proxy import RedisProxy

TIMEOUT_S = 0.15


def caches_over(url: str) -> dict[str, dict[str, Any]]:
    return {
        "default": {"BACKEND": "cachemgmt.django_cache.failover_cache.FailoverCache", "LOCATION": "tria"},
        "tria": {
            "BACKEND": "django_redis.cache.RedisCache",
            "LOCATION": url,
            "OPTIONS": {
                "SOCKET_CONNECT_TIMEOUT": 0.1,
                "SOCKET_TIMEOUT": TIMEOUT_S,
                "CONNECTION_POOL_CLASS": "redis.connection.BlockingConnectionPool",
                "CONNECTION_POOL_KWARGS": {"max_connections": 50, "timeout": TIMEOUT_S, "retry": None},
            },
        },
    }


@pytest.fixture
def watch() -> FakeTime:
    return FakeTime()


@pytest.fixture
def breaker(watch: FakeTime, monkeypatch: pytest.MonkeyPatch) -> Breaker:
    """This process's breaker, on a time that the test moves."""
    breaker = Breaker(now=watch)
    monkeypatch.setattr(assembly, "breaker", lambda: breaker)
    return breaker


@pytest.fixture(autouse=True)
def redis(
    redis_client: Redis, redis_proxy: RedisProxy, breaker: Breaker, monkeypatch: pytest.MonkeyPatch
) -> Iterator[RedisProxy]:
    """An empty Redis behind Django's cache, which the test may take away."""
    monkeypatch.setattr(failover_cache, "_spares", {})
    with override_settings(CACHES=caches_over(redis_proxy.url)):
        yield redis_proxy
        caches["tria"].client.get_client().connection_pool.disconnect()  # type: ignore[attr-defined]


def bring_back(redis: RedisProxy, breaker: Breaker, watch: FakeTime) -> None:
    redis.accept()
    watch.advance(breaker.retry_in_s)


# Throttles ----------------------------------------------------------------------------------------------


class Twice(SimpleRateThrottle):
    rate = "2/min"

    def get_cache_key(self, request: Request, view: APIView) -> str:
        return self.cache_format % {"scope": "test", "ident": self.get_ident(request)}


class Throttled(APIView):
    authentication_classes: list[type] = []
    right = None
    throttle_classes = [Twice]

    def get(self, request: Request) -> Response:
        return Response()


def ask(times: int, address: str = "10.0.0.1") -> list[int]:
    """Return the status of so many requests."""
    view, requests = Throttled.as_view(), APIRequestFactory()
    return [view(requests.get("/", REMOTE_ADDR=address)).status_code for _ in range(times)]


def test_a_throttle_goes_on_throttling_while_redis_is_out(
    redis: RedisProxy, breaker: Breaker, watch: FakeTime
) -> None:
    assert ask(3) == [200, 200, 429]
    redis.refuse()
    assert ask(4) == [200, 200, 429, 429]
    assert not breaker.allows()
    bring_back(redis, breaker, watch)
    assert ask(3) == [200, 200, 429]
    assert breaker.state == "closed"


def test_a_throttle_that_was_not_asked_during_an_outage_remembers(
    redis: RedisProxy, breaker: Breaker, watch: FakeTime
) -> None:
    assert ask(2, "10.0.0.2") == [200, 200]
    redis.refuse()
    assert ask(2, "10.0.0.3") == [200, 200]
    bring_back(redis, breaker, watch)
    assert ask(1, "10.0.0.2") == [429]


def test_threads_share_one_memory_while_redis_is_out(redis: RedisProxy) -> None:
    redis.refuse()
    assert ask(1) == [200]
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.extend(ask(2)))  # with a cache object of its own
    thread.start()
    thread.join(WITHIN_S)
    assert found == [200, 429]


# Sessions -----------------------------------------------------------------------------------------------


def start_session(**data: Any) -> str:
    session = SessionStore()
    session.update(data)
    session.save()
    assert session.session_key
    return session.session_key


@pytest.mark.django_db
def test_a_session_is_read_from_redis_without_a_query(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    key = start_session(user="a", plan={"price": 1, "names": ["x"]})
    with django_assert_num_queries(0):
        session = SessionStore(key)
        assert dict(session.items()) == {"user": "a", "plan": {"price": 1, "names": ["x"]}}


@pytest.mark.django_db
def test_a_session_outlives_redis(redis: RedisProxy, breaker: Breaker, watch: FakeTime) -> None:
    key = start_session(user="a")
    redis.refuse()
    session = SessionStore(key)
    assert session["user"] == "a"
    session["user"] = "b"
    session.save()
    assert SessionStore(key)["user"] == "b"
    during = start_session(user="c")
    assert SessionStore(during)["user"] == "c"
    assert SessionStore().exists(during)
    bring_back(redis, breaker, watch)
    assert SessionStore(key)["user"] == "b"
    assert SessionStore(during)["user"] == "c"


@pytest.mark.django_db
def test_a_logout_while_redis_is_out_is_not_undone_when_it_is_back(
    redis: RedisProxy, breaker: Breaker, watch: FakeTime
) -> None:
    key = start_session(user="a")
    redis.refuse()
    SessionStore(key).flush()
    assert "user" not in SessionStore(key)
    bring_back(redis, breaker, watch)
    assert "user" not in SessionStore(key)
    assert breaker.state == "closed"


@pytest.mark.django_db
def test_what_a_session_cannot_cache_is_still_saved(caplog: pytest.LogCaptureFixture) -> None:
    """A dict with other keys is JSON to the database's codec, which turns them into str."""
    key = start_session(counts={1: 2})
    assert SessionStore(key)["counts"] == {"1": 2}
    assert {record.message[:21] for record in caplog.records} == {"Error saving to cache"}


# The settings -------------------------------------------------------------------------------------------


def test_memory_goes_its_own_way_only_briefly(redis: RedisProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    redis.refuse()
    cache.set("k", "v", None)
    assert cache.get("k") == "v"
    monkeypatch.setattr(failover_cache, "_spares", {})
    monkeypatch.setattr(failover_cache, "LONGEST_ALONE_S", 1e-9)
    caches.close_all()
    del caches["default"]
    cache.set("k", "v", None)
    assert cache.get("k") is None


def test_without_redis_memory_is_the_cache() -> None:
    backend = "cachemgmt.django_cache.failover_cache.FailoverCache"
    with override_settings(CACHES={"default": {"BACKEND": backend, "OPTIONS": {"MAX_ENTRIES": 10}}}):
        assert ask(3) == [200, 200, 429]
        cache.set("k", None)
        assert cache.get("k", "absent") is None
        cache.clear()
        assert cache.get("k", "absent") == "absent"
        for number in range(50):
            cache.set(str(number), number)
        assert 5 <= len(cache.get_many(map(str, range(50)))) <= 10
