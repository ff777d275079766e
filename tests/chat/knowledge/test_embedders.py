"""Which embedder is chosen, and what the two that are not MiniLM do."""

import logging
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, cast

import numpy as np
import pytest
from django.core.exceptions import ImproperlyConfigured
from pytest_django import Settings

from cachemgmt.api import BookCall, ProviderCall
from chat.knowledge import embedders
from chat.knowledge.embedders import HashedWordsEmbedder, OpenAIEmbedder, chosen_embedder
from chat.knowledge.minilm import MiniLMEmbedder

if TYPE_CHECKING:
    from chat.endpoint.client import OpenAIClient


@pytest.fixture(autouse=True)
def nothing_chosen_yet() -> Iterator[None]:
    embedders._embedder_named.cache_clear()
    yield
    embedders._embedder_named.cache_clear()


@pytest.fixture
def no_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MiniLMEmbedder, "is_installed", staticmethod(lambda: False))


class CountingClient:
    """Answers with the texts' lengths as vectors."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    def embed(self, texts: Sequence[str], *, model: str, book: BookCall) -> list[list[float]]:
        self.calls.append(list(texts))
        book(ProviderCall(stage="embed", model=model, outcome="ok", seconds=0.1, prompt_tokens=len(texts)))
        return [[float(len(text)), 1.0] for text in texts]


def openai_embedder(client: CountingClient, model: str = "some-model", endpoint: str = "a") -> OpenAIEmbedder:
    return OpenAIEmbedder(cast("OpenAIClient", client), model=model, endpoint=endpoint)


def test_auto_falls_back_to_words_and_warns_once(
    settings: Settings, no_weights: None, caplog: pytest.LogCaptureFixture
) -> None:
    settings.EMBEDDER = "auto"
    with caplog.at_level(logging.WARNING):
        assert isinstance(chosen_embedder(), HashedWordsEmbedder)
        assert chosen_embedder() is chosen_embedder()
    assert len(caplog.records) == 1


def test_auto_takes_minilm_where_it_is_installed(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.EMBEDDER = "auto"
    monkeypatch.setattr(MiniLMEmbedder, "is_installed", staticmethod(lambda: True))
    assert isinstance(chosen_embedder(), MiniLMEmbedder)


def test_minilm_without_its_weights_says_how_to_get_them(settings: Settings, no_weights: None) -> None:
    settings.EMBEDDER = "minilm"
    with pytest.raises(ImproperlyConfigured, match=r"EMBEDDER.*make run"):
        chosen_embedder()


def test_openai_is_chosen_by_name(settings: Settings) -> None:
    settings.EMBEDDER = "openai"
    settings.OPENAI = {**settings.OPENAI, "api_key": "key"}
    chosen = chosen_embedder()
    assert isinstance(chosen, OpenAIEmbedder)
    assert chosen.n_dims == 1536


def test_openai_vectors_have_unit_norm_and_are_booked() -> None:
    booked: list[ProviderCall] = []
    vectors = openai_embedder(CountingClient()).embed(["four", ""], book=booked.append)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0)
    assert [call.prompt_tokens for call in booked] == [2]


def test_openai_is_asked_for_no_empty_text() -> None:
    client = CountingClient()
    openai_embedder(client).embed([" ", "text"], book=lambda call: None)
    assert client.calls == [["-", "text"]]


def test_openai_is_not_asked_for_nothing() -> None:
    client = CountingClient()
    openai_embedder(client, model="text-embedding-3-small").embed([], book=lambda call: None)
    assert client.calls == []


def test_openai_ids_differ_by_model_and_endpoint() -> None:
    client = CountingClient()
    ids = {
        openai_embedder(client, model=model, endpoint=endpoint).id
        for model in ("Model/A", "model-a")
        for endpoint in ("https://a", "https://b")
    }
    assert len(ids) == 4
    assert all(set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789.-_") for name in ids)


def test_the_length_of_an_unknown_models_vectors_is_tried_out(db: None) -> None:
    client = CountingClient()
    embedder = openai_embedder(client)
    embedder.embed(["text"], book=lambda call: None)
    assert embedder.n_dims == 2


def test_hashed_words_have_unit_norm_and_know_common_words() -> None:
    embedder = HashedWordsEmbedder()
    one, same, other, empty = embedder.embed(
        ["Return the parcel", "the PARCEL, return!", "Cookies on websites", ""]
    )
    assert one == pytest.approx(same)
    assert one @ other < 0.5
    assert np.linalg.norm(empty) == pytest.approx(1.0)
