"""A client of the fake endpoint with a book, whose waits are noted and pass at once."""

import json
from collections.abc import Sequence
from typing import Any

from cachemgmt.api import ProviderCall
from chat.endpoint.client import OpenAIClient
from chat.endpoint.requests import ChatRequest
from tests.fakes.fixtures import make_openai_client
from tests.fakes.llm_script import ServedCall
from tests.fakes.llm_server import LlmServer

Tokens = tuple[int | None, int, int | None]
"""Prompt's, cached ones of these, completion's; None where they are not told."""

SECRET_WORDS = "Mr Ottokar of Elm Street wants his lamp"
DATA = {"question": SECRET_WORDS, "conversation": [], "reply": SECRET_WORDS, "passages": []}


class Desk:
    """`stands_still`: the client's clock moves only while it waits."""

    def __init__(self, server: LlmServer, *, stands_still: bool = False, **options: Any) -> None:
        self.server = server
        self.booked: list[ProviderCall] = []
        self.waits: list[float] = []
        self.now = 0.0
        if stands_still:
            options["clock"] = lambda: self.now
        self.client: OpenAIClient = make_openai_client(server, sleep=self.sleep, **options)

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds

    def ask(self, *, read: Any = str, schema: dict[str, object] | None = None) -> Any:
        request = ChatRequest(
            stage="validate",
            model="small-model",
            rules="Check.",
            data=json.dumps(DATA),
            schema=schema,
            max_tokens=50,
        )
        return self.client.complete(request, read=read, book=self.booked.append)

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        return self.client.embed(texts, model="embed-model", book=self.booked.append)

    @property
    def outcomes(self) -> list[str]:
        return [call.outcome for call in self.booked]

    @property
    def booked_tokens(self) -> list[Tokens]:
        return [tokens(call) for call in self.booked]


def tokens(call: ProviderCall | ServedCall) -> Tokens:
    return call.prompt_tokens, call.cached_tokens, call.completion_tokens
