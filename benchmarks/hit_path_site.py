"""The product with three bare views beside it, for `hit_path.py`: same server, same settings, same run."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tria_site.settings")
from tria_site.wsgi import application  # noqa: I001  sets Django up, which the imports below need

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt
from django_redis import get_redis_connection
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from tria_site import server

__all__ = ["application"]

BODY = {"answer": "x" * 400, "sources": [{"passage": "y" * 600}], "cache": {"status": "hit"}}
"""About as large as an answer."""

REDIS_NAME = "benchmark:get"


@csrf_exempt
def bare_django(request: HttpRequest) -> HttpResponse:
    """Return the body without reading anything."""
    return JsonResponse(BODY)


class Open(APIView):
    """Nobody asks who comes."""

    authentication_classes = []
    permission_classes = []
    throttle_classes = []


class BareDrf(Open):
    """Parse the JSON body, return one."""

    def post(self, request: Request) -> Response:
        _ = request.data
        return Response(BODY)


class DrfOneGet(Open):
    """Parse the JSON body, do one Redis GET, return a body."""

    def post(self, request: Request) -> Response:
        _ = request.data
        get_redis_connection("tria").get(REDIS_NAME)
        return Response(BODY)


urlpatterns = [
    path("bare-django", bare_django),
    path("bare-drf", BareDrf.as_view()),
    path("drf-one-get", DrfOneGet.as_view()),
    path("", include("tria_site.urls")),
]
settings.ROOT_URLCONF = __name__
server.become_server()
