"""Fixtures of the cache's tests: a fresh engine and snapshot for each."""

import pytest

from cachemgmt.api import Cache, Visit, cache_engine
from cachemgmt.engine.freshness import Directives
from cachemgmt.engine.key import Key
from tests.fakes.process import fresh_process

__all__ = ["fresh_process"]
from cachemgmt.engine.results import Made


class Shelf:
    """Puts entries into this process's cache and looks them up again."""

    @property
    def engine(self) -> Cache:
        return cache_engine()

    def key(self, question: str, *, level: str = "response", collection: str = "shop") -> Key:
        return Key(level, collection, {"message": question}, "v1")

    def put(
        self, question: str, *, level: str = "response", collection: str = "shop", tags: tuple[str, ...] = ()
    ) -> Key:
        """Store an answer to the question; return its key."""
        key = self.key(question, level=level, collection=collection)
        made = Made(value={"text": "yes"}, cost_usd=None, question=question, keep_under=key, tags=tags)
        self.engine.keep(key, made, Visit(Directives()))
        return key

    def has(self, key: Key) -> bool:
        """Whether the entry would be reused."""
        return bool(self.engine.lookup([key], Visit(Directives())))


@pytest.fixture
def shelf() -> Shelf:
    """A shelf over this process's cache."""
    return Shelf()
