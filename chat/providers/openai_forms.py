"""The forms that models fill in: read leniently, as models write them; judged strictly.

Models that know no schemas write "93%", "true", a single value for a list, null for nothing, "Refund Policy".
Where it is plain what is meant, it is taken for that. Everything else raises ValueError.
"""

import re
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator

from chat.judging.intents import OTHER, intents
from chat.providers.languages import WHERE_IT_CANNOT_BE_TOLD, language_code
from chat.types import Stage

_INDEXES = re.compile(r"(?:passages?|index|indexes|indices|and|no|[\d\s,;:.#()\[\]-])+", re.IGNORECASE)
_NOTHING = frozenset({"", "none", "null", "n/a", "-"})


def squeezed(name: str) -> str:
    """Return a name by its letters and digits alone: "Refund_Policy", "refund-policy" and "refundPolicy" are
    one."""
    return "".join(filter(str.isalnum, name.casefold()))


def intent_meant(written: str) -> str:
    """Return the known intent that is meant, `OTHER` where there is none: models invent some."""
    return next((name for name in intents() if squeezed(name) == squeezed(written)), OTHER)


def language_meant(written: str) -> str:
    """Return the language that is meant, or the prompt's own for what cannot be told where there is none:
    models invent some, and no question need go unanswered for it."""
    try:
        return language_code(written)
    except ValueError:
        return WHERE_IT_CANNOT_BE_TOLD


def share_meant(written: object) -> object:
    """Return a confidence as a number. What is above 1 is a percentage; 1 is certain, "1%" is not."""
    if isinstance(written, bool):
        raise ValueError("not a number")  # noqa: TRY004 a validator raises ValueErrors
    if isinstance(written, str):
        number, percent, _ = written.strip().replace(",", ".").partition("%")
        value = float(number)
        return value / 100 if percent or value > 1 else value
    if isinstance(written, int | float) and written > 1:
        return written / 100
    return written


def share(value: float) -> float:
    """Return `value` if it is from 0 to 1. Not said in the schema: some endpoints refuse ranges there."""
    if not 0 <= value <= 1:
        raise ValueError("not from 0 to 1")
    return value


def text_or_nothing(written: object) -> object:
    """Return "" for null."""
    return "" if written is None else written


def listed(written: object) -> object:
    """Return a list: an empty one for null, one of one item for a single value."""
    if written is None:
        return []
    return written if isinstance(written, list) else [written]


def texts_meant(written: object) -> object:
    """Return a list of texts without those that say that there are none ("None", "n/a")."""
    return [
        item
        for item in listed(written)  # type: ignore[attr-defined] # it is a list; pydantic checks the items
        if not (isinstance(item, str) and item.strip(" .").casefold() in _NOTHING)
    ]


def indexes_meant(written: object) -> object:
    """Return a list of the indexes in numbers, `{"index": 1}` and texts ("1", "[1]", "0, passage 2")."""
    found: list[object] = []
    for item in listed(written):  # type: ignore[attr-defined]
        if isinstance(item, str) and _INDEXES.fullmatch(item):
            found += re.findall(r"-?\d+", item)
        elif isinstance(item, dict):
            found.append(item.get("index"))
        elif not (isinstance(item, str) and item.strip().casefold() in _NOTHING):
            found.append(item)
    return found


class ClassifyForm(BaseModel):
    """What the classifying model is to return. Here and below, fields beyond these are ignored."""

    intent: Annotated[str, AfterValidator(intent_meant)]
    confidence: Annotated[float, AfterValidator(share), BeforeValidator(share_meant)]
    language: Annotated[str, AfterValidator(language_meant)]
    is_personal: bool
    leans_on_context: bool
    self_contained: Annotated[str, BeforeValidator(text_or_nothing)] = ""


class GenerateForm(BaseModel):
    """What the writing model is to return. Citations may not be left out: a reply without any is none. An
    empty reply is for validation to reject, with an objection that makes the next draft another one."""

    reply: Annotated[str, AfterValidator(str.strip)]
    cited: Annotated[list[int], BeforeValidator(indexes_meant)]


class ValidateForm(BaseModel):
    """What the checking model is to return."""

    is_supported: bool
    objections: Annotated[list[str], BeforeValidator(texts_meant)] = []


FORMS: Mapping[Stage, type[BaseModel]] = {
    "classify": ClassifyForm,
    "generate": GenerateForm,
    "validate": ValidateForm,
}


@cache
def schema_of(stage: Stage) -> dict[str, Any]:
    """Return the JSON Schema of a stage's form, in the subset that every strict mode takes."""
    properties = FORMS[stage].model_json_schema()["properties"]
    for field in properties.values():
        field.pop("default", None)
    if stage == "classify":
        properties["intent"]["enum"] = list(intents())
    required = list(properties)
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
