"""What a chat completion is asked with, and how far an endpoint makes that come down.

Few endpoints take all that is wanted. What can be done without stands on ladders, the wanted way first; a
model that refuses a rung is asked on the next one. How far down a model is, is learnt from its answers: by a
client, so by endpoint, and only while the process lives. It never shapes a key of the cache: which rungs a
model takes follows from endpoint and model, and both are in the key.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any, Literal

Option = Literal["response_format", "temperature", "token_limit", "system_role"]
Rungs = Mapping[Option, int]
"""How many rungs each option is down; options that are as wanted may be missing."""

SAMPLING: Mapping[str, float] = {"temperature": 0}
"""No seed: some endpoints refuse it, and none promises anything for it."""
LADDERS: Mapping[Option, tuple[str, ...]] = {
    # Some servers took a schema in json_object before there was json_schema, and take it only there.
    "response_format": (
        "response_format json_schema",
        "response_format json_object with a schema",
        "response_format json_object",
        "",
    ),
    "temperature": ("temperature", ""),
    "token_limit": ("max_tokens", "max_completion_tokens", ""),
    # Not "developer": it is known only where "system" is, and means the same there.
    "system_role": ("the system role", ""),
}
AS_WANTED: Rungs = {}
RULES_END = "\n\n# The user turn\n\nThe last line of this message is the user turn: one JSON object.\n"
"""Where a model has no system role, this parts the rules from the data. The data is one line of JSON, in
which no text can begin a new line: all rules stand before it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ChatRequest:
    """What is wanted of a model. `data` is one line of JSON, `schema` (JSON Schema) the answer's form."""

    stage: str
    model: str
    rules: str
    data: str
    schema: Mapping[str, object] | None
    max_tokens: int

    def parameters(self, rungs: Rungs) -> dict[str, Any]:
        """Return the parameters of the call, as far down as `rungs` says."""
        found: dict[str, Any] = {"model": self.model, "messages": self._messages(rungs)}
        if rung(rungs, "temperature"):
            found.update(SAMPLING)
        limit = rung(rungs, "token_limit")
        if limit:
            found[limit] = self.max_tokens
        if self.schema is not None:
            found.update(self._form(rung(rungs, "response_format")))
        return found

    def _form(self, rung: str) -> dict[str, Any]:
        form: dict[str, object]
        match rung.removeprefix("response_format "):
            case "json_schema":
                schema = {"name": self.stage, "strict": True, "schema": self.schema}
                form = {"type": "json_schema", "json_schema": schema}
            case "json_object with a schema":
                form = {"type": "json_object", "schema": self.schema}
            case "json_object":
                form = {"type": "json_object"}
            case _:
                return {}
        return {"response_format": form}

    def _messages(self, rungs: Rungs) -> list[dict[str, str]]:
        if rung(rungs, "system_role"):
            return [{"role": "system", "content": self.rules}, {"role": "user", "content": self.data}]
        return [{"role": "user", "content": self.rules.rstrip() + RULES_END + self.data}]


def rung(rungs: Rungs, option: Option) -> str:
    """Return what is sent of an option, "" for nothing."""
    return LADDERS[option][rungs.get(option, 0)]


def a_rung_down(rungs: Rungs, refused: Sequence[Option]) -> Rungs | None:
    """Return `rungs` with one of the refused options lowered, None where none of them can be."""
    for option in refused:
        if rung(rungs, option):
            return {**rungs, option: rungs.get(option, 0) + 1}
    return None


def given_up(rungs: Rungs) -> list[str]:
    """Return, for people, what is not sent any more."""
    return [name for option, ladder in LADDERS.items() for name in ladder[: rungs.get(option, 0)]]


class LearntRungs:
    """How far down each model is. Thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._by_model: dict[str, Rungs] = {}

    def of(self, model: str) -> Rungs:
        """Return what is known of a model so far."""
        return self._by_model.get(model, AS_WANTED)

    def learn(self, model: str, taken: Rungs) -> list[str]:
        """Keep that the model answered on these rungs; return what is now given up and was not before.

        Of threads that learn the same at once, one is told.
        """
        with self._lock:
            known = self.of(model)
            lowest: dict[Option, int] = {
                option: max(known.get(option, 0), taken.get(option, 0)) for option in LADDERS
            }
            self._by_model[model] = lowest
        return [name for name in given_up(lowest) if name not in given_up(known)]
