"""Puts a process's cache together from the settings, once."""

from collections.abc import Callable
from functools import cache
from threading import Thread
from typing import cast

from django.conf import settings
from django.db import close_old_connections

from cachemgmt.decisions.database import snapshot
from cachemgmt.engine.filling.bulkhead import Bulkhead
from cachemgmt.engine.filling.cache import Cache
from cachemgmt.engine.filling.failures import Failures, NoFailures
from cachemgmt.engine.filling.filling import Filler
from cachemgmt.engine.filling.refreshing import Refreshes
from cachemgmt.engine.stores.base import Store
from cachemgmt.engine.stores.breaker import Breaker
from cachemgmt.engine.stores.failover import FailoverStore
from cachemgmt.engine.stores.memory import MemoryStore
from cachemgmt.engine.stores.redis import RedisStore

_failures: list[Failures] = [NoFailures()]


def register_failures(failures: Failures) -> None:
    """Say which errors are the provider's: the owner of the pipeline does, when Django starts."""
    _failures[:] = [failures]


@cache
def breaker() -> Breaker:
    """Return what keeps this process from asking a Redis that is out: one for all that use it."""
    return Breaker()


@cache
def bulkhead() -> Bulkhead:
    """Return what bounds this process's provider calls, and how many requests may wait for them."""
    return Bulkhead(
        slots=settings.LLM_SLOTS,
        most_admitted=settings.WEB_THREADS * 3 // 4,
        warming_slots=max(1, settings.LLM_SLOTS // 4),
        queue_s=settings.OPENAI["timeout_s"],
    )


@cache
def cache_engine() -> Cache:
    """Return this process's cache: Redis with memory behind it where Redis is configured, else memory."""
    return Cache(store=_configured_store(), source=snapshot(), is_enabled=settings.CACHE_ENABLED)


@cache
def filler() -> Filler:
    """Return what fills this process's cache."""
    return Filler(
        cache_engine(),
        failures=_failures[0],
        fill_s=settings.FILL_TIMEOUT_S,
        refreshes=Refreshes(in_background),
    )


def _configured_store() -> Store:
    memory = MemoryStore()
    if not settings.REDIS_URL:
        return memory
    from django_redis import get_redis_connection
    from redis import Redis

    @cache
    def client() -> Redis:
        return cast("Redis", get_redis_connection("tria"))

    return FailoverStore(RedisStore(client), memory, breaker())


def in_background(work: Callable[[], None]) -> None:
    """Do the work in a thread of its own, in warming's share of the provider's slots."""

    def run() -> None:
        try:
            with bulkhead().warming():
                work()
        finally:
            close_old_connections()

    Thread(target=run, name="tria-refresh", daemon=True).start()
