"""Which pages of the web may ask. A collection lists its origins; django-cors-headers speaks the protocol."""

import re
from collections.abc import Mapping
from typing import Any

from corsheaders.signals import check_request_enabled
from django.conf import settings
from django.http import HttpRequest

from cachemgmt.api import known

ORIGINS = "origins"
"""The name of the collections' lists among the decisions: {collection: frozenset of origins}."""


def origins_by_collection() -> Mapping[str, frozenset[str]]:
    """Return the origins that may ask, by collection, as this process knows them. No query."""
    found: Mapping[str, frozenset[str]] = known().others.get(ORIGINS, {})
    return found


def foreign_origin(request: HttpRequest) -> str | None:
    """Return the origin of the page that asks, None where it is ours or no page asks."""
    origin = request.META.get("HTTP_ORIGIN")
    return None if origin is None or origin == f"{request.scheme}://{request.get_host()}" else str(origin)


def may_any_ask(sender: object, request: HttpRequest, **_: Any) -> bool:
    """Whether some collection lists the page's origin. Of which collection it asks is only known later: a
    browser's preflight does not tell. The signal is sent for every address, so ours are singled out."""
    origin = request.META.get("HTTP_ORIGIN")
    if not origin or not re.match(settings.CORS_URLS_REGEX, request.path_info):
        return False
    return any(origin in allowed for allowed in origins_by_collection().values())


def connect() -> None:
    """Have CORS headers follow the lists."""
    check_request_enabled.connect(may_any_ask, dispatch_uid="access.origins")
