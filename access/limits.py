"""The limits: questions per key, questions per address, calls to the language model per key."""

from functools import cache

from django.conf import settings
from django.core.cache import caches

from access.caller import Caller
from access.errors import TooMany
from access.rates import Rates

MINUTE_S = 60.0
HOUR_S = 3600.0
SHARED_EVERY_S = 1.0

MOST_WRONG_PER_MINUTE = 30
"""Wrong keys that one address may try."""


@cache
def key_rates() -> Rates:
    """Return this process's counts by key."""
    return Rates(caches["default"])


@cache
def address_rates() -> Rates:
    """Return this process's counts by address: apart, as there may be very many."""
    return Rates(caches["default"])


@cache
def wrong_rates() -> Rates:
    """Return this process's counts of wrong keys by address. Shared with nobody: it would cost more than it
    is worth."""
    return Rates(None)


def share_counts() -> None:
    """Share what was counted with the other processes."""
    key_rates().share()
    address_rates().share()


def check_asks(caller: Caller, address: str) -> None:
    """Count a question; raise TooMany above the key's limit or, for a browser, the address's.

    A server with a key asks for all its customers from one address: only its key's limit counts.
    """
    per_address = settings.ASKS_PER_MINUTE_PER_ADDRESS
    if caller.is_session and per_address:  # before the key's: one visitor must not use up what is for all
        wait_s = address_rates().take(f"address:{address}", limit=per_address, window_s=MINUTE_S)
        if wait_s is not None:
            told = f"One address may ask {per_address} questions a minute"
            raise TooMany(told, "too-many-questions", wait_s=wait_s)
    if caller.key_id and caller.asks_per_minute:
        wait_s = key_rates().take(f"asks:{caller.key_id}", limit=caller.asks_per_minute, window_s=MINUTE_S)
        if wait_s is not None:
            told = f"This key may ask {caller.asks_per_minute} questions a minute"
            raise TooMany(told, "too-many-questions", wait_s=wait_s)


def check_wrong_key(address: str) -> None:
    """Count a wrong key; raise TooMany where the address has tried too many."""
    wait_s = wrong_rates().take(address, limit=MOST_WRONG_PER_MINUTE, window_s=MINUTE_S)
    if wait_s is not None:
        raise TooMany("Too many wrong keys from this address", "too-many-wrong-keys", wait_s=wait_s)


class CallAllowance:
    """A caller's share of calls to the language model, for one question."""

    def __init__(self, caller: Caller) -> None:
        self._name = f"calls:{caller.key_id}"
        self._limit = caller.calls_per_hour if caller.key_id else 0

    def begin(self) -> float | None:
        """Take one call ahead, and return None; or the seconds to wait where no more are allowed."""
        return key_rates().take(self._name, limit=self._limit, window_s=HOUR_S) if self._limit else None

    def end(self, n_calls: int) -> None:
        """Say how many it became in the end. Several questions at once may so overshoot the limit, each by
        the calls of one answer."""
        if self._limit:
            key_rates().add(self._name, n_calls - 1, limit=self._limit, window_s=HOUR_S)
