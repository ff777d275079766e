"""What a provider must do: the three stages that judge or write, and say what shapes its results."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from cachemgmt.api import BookCall
from chat.types import Classification, Passage, Reply, Stage, Turn, Verdict


class Provider(Protocol):
    """Classifies, writes and checks. Thread-safe: one instance serves all requests of a process.

    Every method may raise a `chat.errors.ProviderError`, and calls `book` once for each call it made to
    a model, also for calls that failed or whose output was thrown away, before it returns or raises.
    A method is a function of its arguments alone (and of what `fingerprint` names): its result is
    cached under them.
    """

    name: str

    def make_ready(self, *, book: BookCall) -> None:
        """Do beforehand what the first question would otherwise wait for, and pay for."""
        ...

    def fingerprint(self, stage: Stage) -> Mapping[str, object]:
        """Return, as plain JSON values, all that shapes this stage's results besides its arguments:
        model, endpoint, sampling, prompts, intents, thresholds, code."""
        ...

    def classify(self, *, message: str, history: Sequence[Turn], book: BookCall) -> Classification:
        """Return what `message` wishes for. Without `history`: of the message alone, and whether it could
        depend on what came before (unsure means yes). With `history` (oldest first): read in its light,
        with `self_contained` set."""
        ...

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
        """Return a reply to `question` from `passages` alone, in `language`. `context` is empty unless the
        question leans on it. `objections` are the validator's against an earlier draft; empty at first."""
        ...

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
        ...
