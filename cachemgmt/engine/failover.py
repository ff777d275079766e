"""Redis while it can be reached, this process's memory while it cannot."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from threading import Lock
from typing import TypeVar

from cachemgmt.engine.errors import StoreRefused, StoreUnavailable
from cachemgmt.engine.store import Store

logger = logging.getLogger(__name__)
T = TypeVar("T")

RETRY_AFTER_S = 1.0
"""For how long the first store is left alone after it could not be reached."""


class FailoverStore:
    """A store over two: `first` is used until it is unavailable, then `second` for `RETRY_AFTER_S`, again
    and again until `first` answers. A store error never leaves it, and each change is logged once.

    A refusal (full, read-only, all connections in use) sends only that one call to `second`. What is removed
    goes from both, so that an outage does not bring it back.
    """

    kind = "failover"

    def __init__(self, first: Store, second: Store, *, now: Callable[[], float] = time.monotonic) -> None:
        self._first = first
        self._second = second
        self._now = now
        self._is_out = False
        self._retry_at = 0.0
        self._lock = Lock()

    def _run(self, on: Callable[[Store], T]) -> T:
        if self._may_use_first():
            try:
                result = on(self._first)
            except StoreUnavailable as error:
                self._note_out(error)
            except StoreRefused as error:
                logger.debug("The cache store refused a call: %s", error)
            else:
                self._note_back()
                return result
        return on(self._second)

    def _may_use_first(self) -> bool:
        if not self._is_out:
            return True
        with self._lock:
            if self._now() < self._retry_at:
                return False
            self._retry_at = self._now() + RETRY_AFTER_S  # one caller tries, the others stay with `second`
            return True

    def _note_out(self, error: StoreUnavailable) -> None:
        with self._lock:
            was_out, self._is_out = self._is_out, True
            self._retry_at = self._now() + RETRY_AFTER_S
        if not was_out:
            logger.warning(
                "The cache store is out, memory serves instead: %s", error, extra={"action": "failover"}
            )

    def _note_back(self) -> None:
        if not self._is_out:
            return
        with self._lock:
            was_out, self._is_out = self._is_out, False
        if was_out:
            logger.warning("The cache store is back", extra={"action": "recover"})

    def get(self, name: str) -> bytes | None:
        return self._run(lambda store: store.get(name))

    def get_many(self, names: Sequence[str]) -> list[bytes | None]:
        return self._run(lambda store: store.get_many(names))

    def set(self, name: str, value: bytes, ttl_s: float) -> None:
        self._run(lambda store: store.set(name, value, ttl_s))

    def exists(self, name: str) -> bool:
        return self._run(lambda store: store.exists(name))

    def delete(self, names: Sequence[str]) -> int:
        return max(self._run(lambda store: store.delete(names)), self._second.delete(names))

    def names(self, pattern: str = "*") -> Iterator[str]:
        return iter(self._run(lambda store: list(store.names(pattern))))

    def clear_all(self, pattern: str = "*") -> int:
        return max(self._run(lambda store: store.clear_all(pattern)), self._second.clear_all(pattern))

    def raise_number(self, name: str, number: int) -> None:
        self._run(lambda store: store.raise_number(name, number))

    def get_info(self) -> Mapping[str, object]:
        info = self._run(lambda store: store.get_info())
        return {**info, "is_out": self._is_out}

    def health_check(self) -> Mapping[str, object]:
        first = self._first.health_check()
        if first["is_healthy"]:
            self._note_back()
            return first
        return {**first, "store": self._second.kind, "instead_of": self._first.kind}
