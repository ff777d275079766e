"""Why somebody may not ask. DRF's exceptions: the problem documents are made of them."""

from rest_framework import exceptions


class NotAuthenticated(exceptions.AuthenticationFailed):
    """No key or session that is in force: 401."""


class Refused(exceptions.PermissionDenied):
    """He is known, and may not do this: 403. `field` names what he sent."""

    def __init__(self, detail: str, code: str, *, field: str | None = None) -> None:
        super().__init__(detail, code)
        self.field = field


class KeysUnreadable(exceptions.APIException):
    """This process has not been able to read the keys yet: 503."""

    status_code = 503
    default_code = "keys-unreadable"
    default_detail = "The API keys cannot be read right now"
    wait = 5


class TooMany(exceptions.APIException):
    """A limit is reached: 429. `wait` in seconds."""

    status_code = 429

    def __init__(self, detail: str, code: str, *, wait_s: float) -> None:
        super().__init__(detail, code)
        self.wait = wait_s


KINDS = {
    "key-missing": 401,
    "key-malformed": 401,
    "key-unknown": 401,
    "key-expired": 401,
    "session-over": 401,
    "not-allowed": 403,
    "customer-not-vouched-for": 403,
    "origin-not-allowed": 403,
    "key-in-browser": 403,
    "too-many-questions": 429,
    "too-many-wrong-keys": 429,
    "keys-unreadable": 503,
}
"""The codes of all these, each with its status."""
