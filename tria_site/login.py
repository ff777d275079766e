"""What happens to somebody who fails to log in to the admin again and again (django-axes)."""

import math
from typing import Any

from axes.handlers.cache import AxesCacheHandler
from axes.helpers import get_cache, get_cool_off
from django.contrib import admin
from django.core.cache import BaseCache
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render


class FailureCounter(AxesCacheHandler):  # type: ignore[misc]
    """Counts failures by address in Django's cache, which serves from memory while Redis is out."""

    def __init__(self) -> None:
        """Keep no cache: Django has one for each thread."""

    @property
    def cache(self) -> BaseCache:
        cache: BaseCache = get_cache()
        return cache

    def user_login_failed(self, *args: Any, **kwargs: Any) -> None:
        """Count one failure, and lock the address out if that was one too many."""
        try:
            super().user_login_failed(*args, **kwargs)
        except ValueError:  # the count ran out, or Redis was gone, between looking for it and raising it
            super().user_login_failed(*args, **kwargs)


def locked_out(request: HttpRequest, *args: object) -> HttpResponse:
    """Return the page for an address that may not try for a while: 429, with Retry-After."""
    wait_s = get_cool_off(request).total_seconds()
    context = {
        **admin.site.each_context(request),
        "title": "Too many attempts",
        "wait_minutes": math.ceil(wait_s / 60),
    }
    response = render(request, "admin/locked_out.html", context, status=429)
    response["Retry-After"] = str(math.ceil(wait_s))
    response["Cache-Control"] = "no-store"
    return response
