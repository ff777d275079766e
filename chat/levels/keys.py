"""What goes into each level's keys."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cachemgmt.api import Key, normalise_message
from chat.levels.scope import Scope, last_turns, scoped_keys
from chat.types import Turn


@dataclass(frozen=True, kw_only=True, slots=True)
class Versions:
    """One fingerprint for each level of results."""

    intent: str
    policy: str
    reply: str
    response: str


class LevelKeys:
    """The keys that a result may stand under, by level: see `scoped_keys`. Immutable."""

    def __init__(self, versions: Versions) -> None:
        self._versions = versions

    def response(self, message: str, history: Sequence[Turn], scope: Scope) -> list[Key]:
        """Return those of a complete answer."""
        return scoped_keys("response", said(message, history), self._versions.response, scope)

    def intent(self, message: str, history: Sequence[Turn], scope: Scope) -> list[Key]:
        """Return those of a classification, in the light of what came before or (without it) alone."""
        return scoped_keys("intent", said(message, history), self._versions.intent, scope)

    def policy(self, question: str, revision: str, top_n: int, scope: Scope) -> list[Key]:
        """Return those of retrieved passages."""
        inputs = {"question": normalise_message(question), "revision": revision, "top_n": top_n}
        return scoped_keys("policy", inputs, self._versions.policy, scope)

    def vector(self, text: str, embedder: str, scope: Scope) -> list[Key]:
        """Return those of a text's embedding vector. The embedder is its version."""
        return scoped_keys("vector", {"text": text, "embedder": embedder}, "", scope)

    def reply(self, inputs: Mapping[str, Any], scope: Scope) -> list[Key]:
        """Return those of a reply that was made from exactly these inputs."""
        return scoped_keys("reply", dict(inputs), self._versions.reply, scope)


def said(message: str, history: Sequence[Turn]) -> dict[str, Any]:
    """Return a message and what came before it, as keys hold them."""
    return {
        "message": normalise_message(message),
        "history": [[turn.role, turn.content] for turn in last_turns(history)],
    }
