"""Puts a process's pipeline together from the settings, once."""

from functools import cache

from django.conf import settings

from cachemgmt.api import bulkhead, cache_engine, filler, known
from chat.answering.pipeline import Pipeline
from chat.answering.report import Reporter
from chat.knowledge.embedders import chosen_embedder
from chat.knowledge.index import Index
from chat.levels.response_cache import ChatResponseCache
from chat.providers.base import Provider
from chat.providers.slotted import SlottedProvider, with_slots
from chat.stages.retrieve import Retriever
from chat.versions import stage_versions


@cache
def provider() -> Provider:
    """Return the provider that LLM_PROVIDER chooses, with a slot around each of its calls."""
    return SlottedProvider(_chosen_provider(), bulkhead().slot)


def _chosen_provider() -> Provider:
    if settings.LLM_PROVIDER == "openai":
        from chat.providers.openai_provider import configured_openai_provider

        return configured_openai_provider()
    from chat.providers.extractive import ExtractiveProvider

    return ExtractiveProvider(chosen_embedder())


@cache
def response_cache() -> ChatResponseCache:
    """Return the levels of the cache, as the pipeline and embedding code use them."""
    return ChatResponseCache(
        engine=cache_engine(),
        filler=filler(),
        versions=stage_versions(provider(), chosen_embedder().id),
        collection=settings.DEFAULT_COLLECTION,
    )


@cache
def pipeline() -> Pipeline:
    """Return the pipeline that this process answers with."""
    embedder = with_slots(chosen_embedder(), bulkhead().slot)
    return Pipeline(
        provider=provider(),
        retriever=Retriever(embedder, Index(chosen_embedder()), response_cache()),
        cache=response_cache(),
        reporter=Reporter(cache_engine().age_and_ttl_s),
        known=known,
        bulkhead=bulkhead(),
    )
