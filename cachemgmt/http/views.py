"""The cache over HTTP, for dashboards and health checks."""

import re

from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from cachemgmt.assembly import cache_engine
from cachemgmt.books.metrics import metrics
from cachemgmt.decisions.database import snapshot
from cachemgmt.engine.errors import StoreError

MAX_HOURS = 24 * 366


class MetricsView(APIView):
    """GET hits, misses, calls, spent and saved; `?hours=` (default 24), `?collection=`."""

    right = "metrics"

    def get(self, request: Request) -> Response:
        asked = request.query_params.get("hours", "24")
        if not (re.fullmatch(r"[0-9]{1,6}", asked) and 1 <= int(asked) <= MAX_HOURS):
            raise ValidationError({"hours": [f"Must be a whole number from 1 to {MAX_HOURS}."]})
        collection = request.query_params.get("collection")
        if collection is not None and not re.fullmatch(r"[a-z0-9-]{1,50}", collection):
            raise ValidationError({"collection": ["Must be a collection's name."]})
        return Response(metrics(hours=int(asked), collection=collection))


class CacheHealthView(APIView):
    """GET whether the store works, what is in it, and what is known of the rules."""

    right = "metrics"

    def get(self, _request: Request) -> Response:
        store = cache_engine().store
        health = dict(store.health_check())
        try:
            info = dict(store.get_info())
        except StoreError as error:
            info = {"error": str(error)}
        body = {"status": "ok" if health["is_healthy"] else "degraded", **health, "info": info}
        return Response({**body, "clock": snapshot().known().clock, "is_on": snapshot().known().is_on})
