"""Where a request comes from."""

from functools import lru_cache
from ipaddress import ip_address, ip_network

from django.conf import settings
from django.http import HttpRequest


def client_address(request: HttpRequest) -> str:
    """Return the client's address: what the outermost of our own proxies saw.

    With TRUSTED_PROXIES=n, the n-th from the right of X-Forwarded-For: what stands further left, the client
    may have written himself. A list that is shorter did not come through all of them, and is not believed.
    """
    peer = network_of(str(request.META.get("REMOTE_ADDR", "")))
    if not settings.TRUSTED_PROXIES:
        return peer
    told = [part.strip() for part in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",") if part.strip()]
    return network_of(told[-settings.TRUSTED_PROXIES]) if len(told) >= settings.TRUSTED_PROXIES else peer


@lru_cache(maxsize=4096)  # a hit has no time to read the same address three times
def network_of(text: str) -> str:
    """Return what counts as one client: an IPv4 address; of IPv6 the first 64 bits, which one client has
    for himself; what is no address as it is, but for a port."""
    host = text[1:].partition("]")[0] if text.startswith("[") else text
    if host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        address = ip_address(host)
    except ValueError:
        return text[:64]
    if address.version == 4:
        return str(address)
    return str(address.ipv4_mapped or ip_network((address, 64), strict=False))
