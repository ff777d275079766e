"""Providers and embedders each of whose calls holds one of the process's slots.

Of the bulkhead they know nothing but its `slot`. It raises `Overloaded` where none comes free in time.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager

from cachemgmt.api import BookCall
from chat.knowledge.embedders import Embedder, Floats, OpenAIEmbedder
from chat.providers.base import Provider
from chat.types import Classification, Passage, Reply, Stage, Turn, Verdict

Slot = Callable[[], AbstractContextManager[None]]
"""Returns a slot to hold around one call. In a thread that holds one already it must pass at once."""


class SlottedProvider:
    """A provider with a slot around each of its calls. Thread-safe as what it wraps.

    The slot is held until the result is there, retries and the pauses between them included: they are part
    of what the endpoint is asked to bear, and end with the client's deadline. A provider that computes here
    needs slots still more, about as many as there are processors: further threads make no answer sooner, but
    take the processors from the hits, and OpenBLAS corrupts memory under some hundred callers at once.
    """

    def __init__(self, provider: Provider, slot: Slot) -> None:
        self._provider = provider
        self._slot = slot
        self.name = provider.name

    def make_ready(self, *, book: BookCall) -> None:
        """Do beforehand what the first question would otherwise wait for, and pay for.

        Holds a slot like the stages. It takes a provider's locks as they do, and may embed under them: done
        without, it could queue for a slot while all slots' holders wait for its lock.
        """
        with self._slot():
            self._provider.make_ready(book=book)

    def fingerprint(self, stage: Stage) -> Mapping[str, object]:
        """Return what shapes the stage's results: the wrapped provider's, as slots shape nothing."""
        return self._provider.fingerprint(stage)

    def classify(self, *, message: str, history: Sequence[Turn], book: BookCall) -> Classification:
        """Return what `message` wishes for; see `Provider`."""
        with self._slot():
            return self._provider.classify(message=message, history=history, book=book)

    def generate(
        self,
        *,
        question: str,
        context: Sequence[Turn],
        intent: str,
        language: str,
        passages: Sequence[Passage],
        objections: Sequence[str],
        book: BookCall,
    ) -> Reply:
        """Return a reply to `question` from `passages` alone; see `Provider`."""
        with self._slot():
            return self._provider.generate(
                question=question,
                context=context,
                intent=intent,
                language=language,
                passages=passages,
                objections=objections,
                book=book,
            )

    def validate(
        self,
        *,
        question: str,
        context: Sequence[Turn],
        reply: str,
        passages: Sequence[Passage],
        book: BookCall,
    ) -> Verdict:
        """Return whether every statement of `reply` is supported by `passages`."""
        with self._slot():
            return self._provider.validate(
                question=question, context=context, reply=reply, passages=passages, book=book
            )


class SlottedEmbedder:
    """An embedder with a slot around each of its calls. Thread-safe as what it wraps."""

    def __init__(self, embedder: Embedder, slot: Slot) -> None:
        self._embedder = embedder
        self._slot = slot
        self.id = embedder.id

    @property
    def n_dims(self) -> int:
        """The vectors' length. Holds a slot: the model may have to be asked."""
        with self._slot():
            return self._embedder.n_dims

    def embed(self, texts: Sequence[str], *, book: BookCall | None = None) -> Floats:
        """Return (n_texts, n_dims) float32, unit norm."""
        with self._slot():
            return self._embedder.embed(texts, book=book)


def with_slots(embedder: Embedder, slot: Slot) -> Embedder:
    """Return an embedder that holds a slot around each call, if it calls out; else the same one.

    One that computes here is quick, and has abilities of its own (`TokenEmbedder`) that a wrapper would hide.
    """
    return SlottedEmbedder(embedder, slot) if isinstance(embedder, OpenAIEmbedder) else embedder
