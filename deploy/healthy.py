"""healthy.py URL [HOST]: exits with 0 iff the URL answers with 2xx. For images without curl."""

import sys
import urllib.error
import urllib.request

TIMEOUT_S = 4.0


def is_healthy(url: str, host: str | None = None) -> bool:
    """Return whether the URL answers as it should, asked under the name `host`."""
    request = urllib.request.Request(url, headers={"Host": host} if host else {})  # noqa: S310, compose's own
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:  # noqa: S310
            return bool(response.status < 300)
    except (OSError, urllib.error.URLError):
        return False


if __name__ == "__main__":
    sys.exit(not is_healthy(*sys.argv[1:]))
