"""What a store must do: keep bytes under names for a while, and lend the right to fill."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, Self


@dataclass(frozen=True, slots=True)
class Page:
    """Some of a store's names. `cursor` leads on to the next ones, "" where there are no more."""

    names: tuple[str, ...]
    cursor: str


ENTRIES = "*:*:*"
"""The pattern that entries' names fit, and nothing else's: no lease's, not the clock's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Renewal:
    """A lease to be kept `ttl_s` seconds from now. `or_take`: it is taken again where nobody has it."""

    lease: str
    token: bytes
    ttl_s: float
    or_take: bool = False


class Store(Protocol):
    """Keeps bytes under names. Thread-safe.

    Every method may raise a `StoreError`. Names are text without white space. Patterns know `*` and `?`; what
    else a shell understands, stores read differently.
    """

    kind: str
    """"memory", "redis" or "failover"."""

    is_shared: bool
    """Whether other processes use the same entries, and so can tell this one the clock through it."""

    def session(self) -> Self:
        """Return the store as one request sees it: what fails or is slow holds the request up once only.
        For one thread at a time."""
        ...

    def get(self, name: str) -> bytes | None:
        """Return what is kept under the name, None if nothing is."""
        ...

    def get_many(self, names: Sequence[str]) -> list[bytes | None]:
        """Return what is kept under each name, in one round trip."""
        ...

    def spare(self, name: str) -> bytes | None:
        """Return this process's own copy of what it last read or wrote under the name, None if it has none,
        or if the store is no other than its memory. Costs no round trip and raises nothing."""
        ...

    def note(self, name: str, value: bytes) -> None:
        """Keep a copy of what was read for `spare`, where a copy is of use. Costs no round trip."""
        ...

    def set(self, name: str, value: bytes, ttl_s: float) -> None:
        """Keep the value for `ttl_s` seconds (above 0), replacing any other."""
        ...

    def exists(self, name: str) -> bool:
        """Return whether something is kept under the name."""
        ...

    def delete(self, names: Sequence[str]) -> int:
        """Remove what is kept under the names; return how many there were."""
        ...

    def remove(self, read: Mapping[str, bytes]) -> int:
        """Remove the names under which still stands what was read; return how many those were."""
        ...

    def names(self, pattern: str = "*") -> Iterator[str]:
        """Yield the names that fit the shell-style pattern. What comes or goes meanwhile may be missed."""
        ...

    def clear_all(self, pattern: str = "*") -> int:
        """Remove everything whose name fits the shell-style pattern; return how many there were."""
        ...

    def scan(self, cursor: str = "", pattern: str = "*", count: int = 100) -> Page:
        """Return about `count` names that fit the pattern, from where `cursor` ("" at first) left off. A
        page may be empty and not the last. Raises ValueError for a cursor that `scan` did not give."""
        ...

    def take_lease(
        self, lease: str, token: bytes, ttl_s: float, *, reading: Sequence[str]
    ) -> tuple[bytes | None, list[bytes | None]]:
        """Take the lease if nobody has it, then read the names, in one round trip.

        Returns whose it is (None: it is now the caller's, by `token`), and what is kept under each name.
        """
        ...

    def renew_leases(self, renewals: Sequence[Renewal]) -> list[bool]:
        """Renew each lease that its token still holds, all in one round trip; return which are held."""
        ...

    def end_lease(self, lease: str, token: bytes, *, note: bytes = b"", note_ttl_s: float = 0.0) -> None:
        """Give the lease back if the token still holds it, leaving a note in its place where one is given."""
        ...

    def set_leased(self, name: str, value: bytes, ttl_s: float, *, lease: str, token: bytes) -> bool:
        """Keep the value and give the lease back, both only if the token still holds it; return whether."""
        ...

    def raise_number(self, name: str, number: int) -> None:
        """Keep the number under the name without end, unless a higher one stands there: never lowers."""
        ...

    def get_info(self) -> Mapping[str, object]:
        """Return size and server facts for people, as plain JSON values, and never a secret. For probes, too:
        it reads through no names."""
        ...

    def health_check(self) -> Mapping[str, object]:
        """Return {"store", "is_healthy", ...}. Raises nothing."""
        ...


def count_entries(store: Store) -> int:
    """Return how many entries the store holds. Reads through all its names: seconds for a million."""
    return sum(1 for _ in store.names(ENTRIES))
