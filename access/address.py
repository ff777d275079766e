"""Where a request comes from."""

from django.conf import settings
from django.http import HttpRequest


def client_address(request: HttpRequest) -> str:
    """Return the client's address: what the outermost of our own proxies saw.

    With TRUSTED_PROXIES=n, the n-th from the right of X-Forwarded-For: what stands further left, the client
    may have written himself. A list that is shorter did not come through all of them, and is not believed.
    """
    peer = str(request.META.get("REMOTE_ADDR", ""))
    if not settings.TRUSTED_PROXIES:
        return peer
    told = [part.strip() for part in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",") if part.strip()]
    return told[-settings.TRUSTED_PROXIES] if len(told) >= settings.TRUSTED_PROXIES else peer
