"""Slots around the calls of providers and embedders, and nothing else changed."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast

import numpy as np
import pytest

from cachemgmt.api import BookCall
from cachemgmt.engine.filling.bulkhead import Bulkhead
from chat.endpoint.client import OpenAIClient
from chat.errors import ProviderBusy
from chat.knowledge.embedders import Embedder, Floats, HashedWordsEmbedder, OpenAIEmbedder
from chat.knowledge.minilm import MiniLMEmbedder
from chat.providers.base import Provider
from chat.providers.extractive import ExtractiveProvider
from chat.providers.slotted import SlottedEmbedder, SlottedProvider, with_slots
from chat.types import Classification, Reply, Stage, Turn, Verdict
from chat.versions import stage_versions
from tests.chat.providers.asking import QUESTION, RETURNS, STAGES, ignore
from tests.fakes.hashed import hashed_provider


class Slots:
    """A slot that tells whether it is held, and how often it was."""

    def __init__(self) -> None:
        self.held = 0
        self.count = 0

    @contextmanager
    def slot(self) -> Iterator[None]:
        self.held += 1
        self.count += 1
        try:
            yield
        finally:
            self.held -= 1


class Witness:
    """A provider that notes what it is asked, and whether a slot is held meanwhile."""

    name = "witness"
    classification = Classification(
        intent="returns_and_exchanges",
        confidence=0.9,
        language="en",
        is_personal=False,
        leans_on_context=False,
        self_contained=None,
    )

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self.seen: list[tuple[str, int]] = []
        self.asked: dict[str, Any] = {}
        self.error: Exception | None = None

    def _note(self, what: str, **asked: object) -> None:
        self.seen.append((what, self._slots.held))
        self.asked = asked
        if self.error:
            raise self.error

    def make_ready(self, *, book: BookCall) -> None:
        self._note("make_ready", book=book)

    def fingerprint(self, stage: Stage) -> Mapping[str, object]:
        self._note("fingerprint")
        return {"stage": stage, "mind": "witness"}

    def classify(self, *, message: str, history: Sequence[Turn], book: BookCall) -> Classification:
        self._note("classify", message=message, history=history, book=book)
        return self.classification

    def generate(self, **asked: Any) -> Reply:
        self._note("generate", **asked)
        return Reply(text=RETURNS.text, cited=(1,))

    def validate(self, **asked: Any) -> Verdict:
        self._note("validate", **asked)
        return Verdict(is_supported=True)


class FarEmbedder(OpenAIEmbedder):
    """Embeds by words, but counts as one that calls out. Notes how many slots are held meanwhile."""

    def __init__(self, held: Callable[[], int]) -> None:
        self._held_now = held
        self._near = HashedWordsEmbedder()
        self.id = "far"
        self.held: list[int] = []

    @property
    def n_dims(self) -> int:
        self.held.append(self._held_now())
        return self._near.n_dims

    def embed(self, texts: Sequence[str], *, book: BookCall | None = None) -> Floats:
        self.held.append(self._held_now())
        return self._near.embed(texts, book=book)


@pytest.fixture
def slots() -> Slots:
    return Slots()


@pytest.mark.parametrize("ask", STAGES.values(), ids=STAGES)
def test_each_stage_is_asked_inside_one_slot(slots: Slots, ask: Callable[..., object]) -> None:
    witness = Witness(slots)
    asked_itself = ask(witness)
    arguments = witness.asked
    assert ask(SlottedProvider(witness, slots.slot)) == asked_itself
    assert witness.asked == arguments
    assert [held for _, held in witness.seen] == [0, 1]
    assert (slots.held, slots.count) == (0, 1)


@pytest.mark.parametrize("ask", STAGES.values(), ids=STAGES)
def test_a_failing_provider_keeps_no_slot(slots: Slots, ask: Callable[..., object]) -> None:
    witness = Witness(slots)
    witness.error = ProviderBusy(retry_after_s=7)
    with pytest.raises(ProviderBusy) as caught:
        ask(SlottedProvider(witness, slots.slot))
    assert caught.value is witness.error
    assert (slots.held, slots.count) == (0, 1)


def test_getting_ready_holds_a_slot_before_it_takes_the_providers_locks(slots: Slots) -> None:
    witness = Witness(slots)
    SlottedProvider(witness, slots.slot).make_ready(book=ignore)
    assert witness.seen == [("make_ready", 1)]


@pytest.mark.parametrize("stage", ["classify", "generate", "validate"])
def test_name_and_fingerprint_are_the_wrapped_ones_and_take_no_slot(slots: Slots, stage: Stage) -> None:
    witness = Witness(slots)
    slotted = SlottedProvider(witness, slots.slot)
    assert slotted.name == "witness"
    assert slotted.fingerprint(stage) == witness.fingerprint(stage)
    assert slots.count == 0


def test_no_key_changes_by_slots(slots: Slots) -> None:
    embedder: Embedder = FarEmbedder(lambda: slots.held)
    provider: Provider = ExtractiveProvider(embedder)
    slotted = with_slots(embedder, slots.slot)
    wrapped = SlottedProvider(ExtractiveProvider(slotted), slots.slot)
    assert stage_versions(wrapped, slotted.id) == stage_versions(provider, embedder.id)


def test_an_embedder_that_calls_out_holds_a_slot_around_each_call(slots: Slots) -> None:
    far = FarEmbedder(lambda: slots.held)
    slotted = with_slots(far, slots.slot)
    assert isinstance(slotted, SlottedEmbedder)
    assert slotted.id == "far"
    assert np.array_equal(slotted.embed([QUESTION]), HashedWordsEmbedder().embed([QUESTION]))
    assert slotted.n_dims == 384
    assert far.held == [1, 1]
    assert (slots.held, slots.count) == (0, 2)


def test_an_embeddings_call_is_booked_by_who_asks(slots: Slots) -> None:
    class Client:
        def embed(self, texts: Sequence[str], *, model: str, book: BookCall) -> list[list[float]]:
            books.append(book)
            return [[1.0, 0.0] for _ in texts]

    books: list[BookCall] = []
    embedder = OpenAIEmbedder(cast(OpenAIClient, Client()), model="m", endpoint="e")
    with_slots(embedder, slots.slot).embed(["a"], book=ignore)
    assert books == [ignore]


@pytest.mark.parametrize("embedder", [HashedWordsEmbedder(), MiniLMEmbedder()])
def test_an_embedder_that_computes_here_is_left_as_it_is(slots: Slots, embedder: Embedder) -> None:
    assert with_slots(embedder, slots.slot) is embedder


@pytest.mark.parametrize("ask", STAGES.values(), ids=STAGES)
def test_a_provider_and_its_embedder_share_one_slot(ask: Callable[..., object]) -> None:
    bulkhead = Bulkhead(slots=2, most_admitted=1, warming_slots=1, queue_s=0)
    far = FarEmbedder(lambda: bulkhead.facts()["calling"])
    provider = SlottedProvider(ExtractiveProvider(with_slots(far, bulkhead.slot)), bulkhead.slot)
    assert ask(provider) == ask(hashed_provider())
    assert set(far.held) <= {1}
    assert bulkhead.facts()["calling"] == 0
