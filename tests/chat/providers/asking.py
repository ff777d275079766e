"""A question with its passages, and the three stages asked about it."""

from collections.abc import Callable
from typing import Any

from cachemgmt.api import ProviderCall
from chat.providers.base import Provider
from chat.types import Classification, Passage, Reply, Turn, Verdict

RETURNS = Passage(
    document="returns",
    title="Returns",
    heading_path=("How long you have",),
    text="You can return any item within 30 days of delivery. The item must be unused.",
    score=0.81,
)
SHIPPING = Passage(
    document="shipping",
    title="Shipping",
    heading_path=("Costs",),
    text="Standard delivery costs £3.95. Gift cards are not sent by courier.",
)
PASSAGES = (SHIPPING, RETURNS)
QUESTION = "How many days do I have to return an item?"
HISTORY = (
    Turn(role="user", content="Do you sell gift cards?"),
    Turn(role="assistant", content="Yes, we do."),
)


def ignore(call: ProviderCall) -> None:
    """Book nothing."""


def classify(provider: Provider, message: str, *history: Turn, book: Any = ignore) -> Classification:
    return provider.classify(message=message, history=history, book=book)


def generate(
    provider: Provider, question: str = QUESTION, *, objections: tuple[str, ...] = (), book: Any = ignore
) -> Reply:
    return provider.generate(
        question=question,
        context=(),
        intent="returns_and_exchanges",
        language="en",
        passages=PASSAGES,
        objections=objections,
        book=book,
    )


def validate(provider: Provider, reply: str, *, book: Any = ignore) -> Verdict:
    return provider.validate(question=QUESTION, context=(), reply=reply, passages=PASSAGES, book=book)


STAGES: dict[str, Callable[..., object]] = {
    "classify": lambda provider, **options: classify(provider, QUESTION, **options),
    "generate": generate,
    "validate": lambda provider, **options: validate(provider, RETURNS.text, **options),
}
