"""The extractive provider over hashed words: whole, fast, and there without any model."""

from chat.knowledge.embedders import HashedWordsEmbedder
from chat.providers.extractive import ExtractiveProvider


def hashed_provider() -> ExtractiveProvider:
    """Return a provider of its own for each call."""
    return ExtractiveProvider(HashedWordsEmbedder())
