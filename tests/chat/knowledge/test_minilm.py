"""MiniLM in NumPy: the published weights give the published vectors."""

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from django.core.exceptions import ImproperlyConfigured

from chat.knowledge import minilm
from chat.knowledge.minilm import MiniLMEmbedder, erf, gelu

needs_weights = pytest.mark.skipif(
    not MiniLMEmbedder.is_installed(), reason="the MiniLM weights are not installed (make run does it)"
)
TEXTS = ["Can I return opened coffee?", "word " * 40, "", "Wie lange dauert der Versand?", "word " * 400]


@pytest.fixture(scope="module")
def embedder() -> MiniLMEmbedder:
    return MiniLMEmbedder()


@needs_weights
def test_vectors_are_those_of_the_reference(embedder: MiniLMEmbedder) -> None:
    # The first numbers that the model's own documentation shows for its example.
    vectors = embedder.embed(["This is an example sentence", "Each sentence is converted"])
    assert vectors[0, :3] == pytest.approx([0.0676569, 0.0634959, 0.0487131], abs=1e-5)
    assert vectors[1, :2] == pytest.approx([0.0864386, 0.1027626], abs=1e-5)


@needs_weights
def test_vectors_have_unit_norm(embedder: MiniLMEmbedder) -> None:
    vectors = embedder.embed(TEXTS)
    assert vectors.shape == (len(TEXTS), embedder.n_dims)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0, abs=1e-5)


@needs_weights
def test_a_vector_does_not_depend_on_the_texts_beside_it(
    embedder: MiniLMEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = np.vstack([embedder.embed([text]) for text in TEXTS])
    assert np.abs(embedder.embed(TEXTS) - alone).max() < 1e-6
    monkeypatch.setattr(minilm, "BATCH_TOKENS", 64)
    assert np.abs(embedder.embed(TEXTS[::-1])[::-1] - alone).max() < 1e-6


@needs_weights
def test_a_paraphrase_is_nearer_than_another_question(embedder: MiniLMEmbedder) -> None:
    question, paraphrase, other = embedder.embed(
        ["How do I send something back?", "What is the way to return an item?", "Which cookies do you set?"]
    )
    assert question @ paraphrase > question @ other + 0.3


@needs_weights
def test_a_negation_is_hardly_seen(embedder: MiniLMEmbedder) -> None:
    # Why a near question is never answered with another question's stored answer.
    one, other = embedder.embed(["can I cancel", "can I not cancel"])
    assert one @ other == pytest.approx(0.976, abs=0.002)


@needs_weights
def test_threads_may_share_it() -> None:
    shared = MiniLMEmbedder()
    with ThreadPoolExecutor(4) as threads:
        vectors = list(threads.map(lambda text: shared.embed([text]), TEXTS))
    assert np.abs(np.vstack(vectors) - shared.embed(TEXTS)).max() < 1e-6


@needs_weights
def test_nothing_is_embedded_for_no_texts(embedder: MiniLMEmbedder) -> None:
    assert embedder.embed([]).shape == (0, embedder.n_dims)


@needs_weights
def test_other_weights_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minilm, "WEIGHTS_SHA256", "0" * 64)
    with pytest.raises(ImproperlyConfigured, match="not the ones"):
        MiniLMEmbedder().embed(["text"])


def test_missing_weights_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minilm, "_model_folder", lambda: None)
    assert not MiniLMEmbedder.is_installed()
    with pytest.raises(ImproperlyConfigured, match=minilm.PACKAGE):
        MiniLMEmbedder().embed(["text"])


def test_erf_and_gelu_are_exact_to_float32() -> None:
    x = np.linspace(-6, 6, 20_001, dtype=np.float32)
    exact = np.array([math.erf(value) for value in x])
    assert np.abs(erf(x) - exact).max() < 6e-7
    exact_gelu = np.array([value / 2 * (1 + math.erf(value / math.sqrt(2))) for value in x])
    assert np.abs(gelu(x.copy()) - exact_gelu).max() < 2e-6
