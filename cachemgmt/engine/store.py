"""What a store must do: keep bytes under names for a while."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol


class Store(Protocol):
    """Keeps bytes under names. Thread-safe.

    Every method may raise a `StoreError`. Names are text without white space. Patterns know `*` and `?`; what
    else a shell understands, stores read differently.
    """

    kind: str
    """"memory", "redis" or "failover"."""

    def get(self, name: str) -> bytes | None:
        """Return what is kept under the name, None if nothing is."""
        ...

    def get_many(self, names: Sequence[str]) -> list[bytes | None]:
        """Return what is kept under each name, in one round trip."""
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

    def names(self, pattern: str = "*") -> Iterator[str]:
        """Yield the names that fit the shell-style pattern. What comes or goes meanwhile may be missed."""
        ...

    def clear_all(self, pattern: str = "*") -> int:
        """Remove everything whose name fits the shell-style pattern; return how many there were."""
        ...

    def raise_number(self, name: str, number: int) -> None:
        """Keep the number under the name without end, unless a higher one stands there: never lowers."""
        ...

    def get_info(self) -> Mapping[str, object]:
        """Return size and server facts for people, as plain JSON values, and never a secret."""
        ...

    def health_check(self) -> Mapping[str, object]:
        """Return {"store", "is_healthy", ...}. Raises nothing."""
        ...
