"""Stage 1: what does the customer wish for, and does the message stand on its own?"""

from collections.abc import Sequence
from dataclasses import replace

from cachemgmt.api import BookCall, normalise_message
from chat.judging.intents import intent_named
from chat.providers.base import Provider
from chat.types import Classification, Turn


def classify(provider: Provider, *, message: str, history: Sequence[Turn], book: BookCall) -> Classification:
    """Return what the provider says of the message, made sound: a known intent, a confidence of 0..1, and
    with `history` a self-contained form in the keys' normal form (the message itself if none came)."""
    found = provider.classify(message=message, history=history, book=book)
    self_contained = normalise_message(found.self_contained or "") or message
    return replace(
        found,
        intent=intent_named(found.intent).name,
        confidence=round(min(1.0, max(0.0, found.confidence)), 3),
        self_contained=self_contained if history else None,
    )
