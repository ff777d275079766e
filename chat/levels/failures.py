"""Which errors are the language model's, for the cache: what it tells other processes of them."""

from chat import errors

NOTED: dict[str, type[errors.ProviderError]] = {
    kind.__name__: kind
    for kind in (
        errors.ProviderMisconfigured,
        errors.ProviderBusy,
        errors.ProviderUnavailable,
        errors.ProviderTimedOut,
        errors.ProviderRefused,
        errors.ProviderUnreadable,
    )
}


class ProviderFailures:
    """`cachemgmt.api.Failures`. A note is the error's name and, where one was asked for, the time to wait:
    "ProviderBusy 5". The error's own text may quote a customer, and stays in its process."""

    def note(self, error: Exception) -> str | None:
        """Return the provider's failure in a few words, None for any other error."""
        if type(error).__name__ not in NOTED:
            return None
        retry_after_s = getattr(error, "retry_after_s", None)
        return type(error).__name__ if retry_after_s is None else f"{type(error).__name__} {retry_after_s:g}"

    def error(self, note: str) -> Exception:
        """Return the failure that was noted. What nobody here could have noted is an unavailable provider."""
        name, _, wait = note.partition(" ")
        kind = NOTED.get(name, errors.ProviderUnavailable)
        if kind is errors.ProviderBusy and wait.replace(".", "", 1).isdigit():
            return errors.ProviderBusy(retry_after_s=float(wait))
        return kind()

    def allows_stale(self, error: Exception) -> bool:
        """Whether a stale answer may serve. A refusal is an answer, too: it may not."""
        if isinstance(error, errors.CallsUsedUp):
            return True
        return self.note(error) is not None and not isinstance(error, errors.ProviderRefused)
