"""Which errors of a fill are the provider's, and how other processes are told of them."""

from typing import Protocol


class Failures(Protocol):
    """Tells the provider's failures from other errors: they are not tried again by each who waits, and while
    they last, a stale entry may serve."""

    def note(self, error: Exception) -> str | None:
        """Return the failure in a few words without any of a customer's, None where the error is none."""
        ...

    def error(self, note: str) -> Exception:
        """Return a failure that another process has noted, to be raised here."""
        ...

    def allows_stale(self, error: Exception) -> bool:
        """Whether a stale entry may serve in its place."""
        ...


class NoFailures:
    """No error is the provider's."""

    def note(self, error: Exception) -> str | None:
        return None

    def error(self, note: str) -> Exception:
        raise ValueError(note)

    def allows_stale(self, error: Exception) -> bool:
        return False
