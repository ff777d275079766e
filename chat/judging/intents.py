"""The intents that customers' messages are sorted into: one list, read from `prompts/intents.json`."""

import json
from functools import cache
from pathlib import Path

from chat.types import Intent

INTENTS_FILE = Path(__file__).parent.parent / "prompts" / "intents.json"
OTHER = "other"
"""The intent of what fits none of the others."""


@cache
def intents() -> dict[str, Intent]:
    """Return all intents by name, in the file's order."""
    rows = json.loads(INTENTS_FILE.read_text(encoding="utf-8"))
    return {row["name"]: Intent(**{**row, "examples": tuple(row["examples"])}) for row in rows}


def intent_named(name: str) -> Intent:
    """Return the intent of that name, or `other` where there is none (a model may invent names)."""
    return intents().get(name) or intents()[OTHER]
