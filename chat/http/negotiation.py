"""Which form a response has: the project's one answer to `Accept`."""

from typing import Any

from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.request import Request


class JsonAlone(BaseContentNegotiation):
    """There is nothing to choose: what comes and goes is JSON, whatever a client would rather accept. Events
    are no rendering of it, but another response."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return parsers[0]

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type
