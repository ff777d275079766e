"""Asks each stage's model one harmless question by the stage's own prompt, and says what came of it."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from django.conf import settings

from cachemgmt.api import Bill, ProviderCall, has_price
from chat.endpoint.client import OpenAIClient
from chat.errors import (
    ProviderBusy,
    ProviderError,
    ProviderMisconfigured,
    ProviderRefused,
    ProviderTimedOut,
    ProviderUnavailable,
)
from chat.knowledge.embedders import OpenAIEmbedder
from chat.providers.openai_provider import OpenAIProvider, configured_client
from chat.types import Passage

QUESTION = "how many days do i have to return an item?"
PASSAGE = Passage(
    document="returns",
    title="Returns",
    heading_path=("How long you have",),
    text="You can return any item within 30 days of delivery.",
)
REPLY = "You can return any item within 30 days of delivery."
Ask = Callable[[Callable[[ProviderCall], None]], object]


@dataclass(frozen=True, kw_only=True, slots=True)
class StageCheckup:
    """What one stage's model did. `error` and `advice` are empty where it works; `seconds` is all it took."""

    stage: str
    model: str
    error: str
    advice: str
    left_out: tuple[str, ...]
    """What the model refuses of what is wanted."""
    are_tokens_told: bool
    is_price_known: bool
    seconds: float

    @property
    def works(self) -> bool:
        return not self.error


def checkups() -> Iterator[StageCheckup]:
    """Ask one stage after the other; each call is booked with purpose "check".

    Embedding is asked where EMBEDDER is "openai", the stages where LLM_PROVIDER is. Raises
    ProviderMisconfigured where OPENAI_API_KEY is none.
    """
    client = configured_client()
    try:
        for stage, ask in _questions(client).items():
            yield _checkup(client, stage, ask)
    finally:
        client.close()


def _questions(client: OpenAIClient) -> dict[str, Ask]:
    models = settings.OPENAI["models"]
    provider = OpenAIProvider(client, models=models)
    embedder = OpenAIEmbedder(client, model=models["embed"], endpoint=settings.OPENAI["base_url"])
    found: dict[str, Ask] = {}
    if settings.LLM_PROVIDER == "openai":
        found["classify"] = lambda book: provider.classify(message=QUESTION, history=(), book=book)
        found["generate"] = lambda book: provider.generate(
            question=QUESTION,
            context=(),
            intent="returns_and_exchanges",
            language="en",
            passages=(PASSAGE,),
            objections=(),
            book=book,
        )
        found["validate"] = lambda book: provider.validate(
            question=QUESTION, context=(), reply=REPLY, passages=(PASSAGE,), book=book
        )
    if settings.EMBEDDER == "openai":
        found["embed"] = lambda book: embedder.embed([QUESTION], book=book)
    return found


def _checkup(client: OpenAIClient, stage: str, ask: Ask) -> StageCheckup:
    model = settings.OPENAI["models"][stage]
    bill = Bill(purpose="check", collection=settings.DEFAULT_COLLECTION)
    calls: list[ProviderCall] = []

    def book(call: ProviderCall) -> None:
        calls.append(call)
        bill.book(call)

    error = advice = ""
    started = time.monotonic()
    try:
        ask(book)
    except ProviderError as failure:
        error, advice = str(failure), advice_on(failure, stage)
    return StageCheckup(
        stage=stage,
        model=model,
        error=error,
        advice=advice,
        left_out=tuple(client.left_out(model)),
        are_tokens_told=bool(calls) and _tells_tokens(calls[-1]),
        is_price_known=has_price(model),
        seconds=time.monotonic() - started,
    )


def _tells_tokens(call: ProviderCall) -> bool:
    return bool(call.prompt_tokens and (call.completion_tokens or call.stage == "embed"))


def advice_on(error: ProviderError, stage: str) -> str:
    """Return what an operator can do about a failure, by the variables that they set."""
    model = f"OPENAI_MODEL_{stage.upper()}"
    match error:
        case ProviderMisconfigured(setting="OPENAI_API_KEY"):
            return "Check OPENAI_API_KEY: whether it is right, what its account may use, and its credit."
        case ProviderMisconfigured(setting="OPENAI_MODEL"):
            return f"Check {model}: the endpoint knows no such model. OPENAI_API_KEY may not be allowed it."
        case ProviderMisconfigured(setting="OPENAI_BASE_URL"):
            return f"Check OPENAI_BASE_URL, which mostly ends in /v1, and {model}: one of them is not there."
        case ProviderMisconfigured():
            return f"The endpoint rejects the request; its log says why. Check {model}: does that model chat?"
        case ProviderUnavailable():
            return "Check OPENAI_BASE_URL, and that the endpoint is up and can be reached from here."
        case ProviderTimedOut():
            return f"Raise OPENAI_TIMEOUT_S, or set {model} to a faster model."
        case ProviderBusy():
            return "The endpoint has too much to do: try again later."
        case ProviderRefused():
            return f"The model declines a harmless question: set {model} to another, or loosen its filter."
        case _:
            return (
                f"The answer is of no use. Check OPENAI_BASE_URL, which mostly ends in /v1, or set {model} "
                "to a model that keeps to a form."
            )
