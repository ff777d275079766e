"""The HTTP side: parse, call, render."""

from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from chat import assembly
from chat.cache_headers import cache_headers, read_directives
from chat.serializers import QuestionBody, rendered
from chat.status import health


class ChatView(APIView):
    """POST a question, get its answer."""

    def post(self, request: Request) -> Response:
        directives = read_directives(request.headers.get("Cache-Control", ""))
        question = QuestionBody.model_validate(request.data).question(directives)
        answer = assembly.pipeline().answer(question)
        return Response(rendered(answer), headers=cache_headers(answer.cache))


class HealthView(APIView):
    """GET what the service runs on and whether it works."""

    def get(self, request: Request) -> Response:
        body = health()
        return Response(body, status=503 if body["status"] == "down" else 200)
