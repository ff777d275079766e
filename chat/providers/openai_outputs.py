"""Finds the filled-in form in what a model wrote: thoughts, fences and prose may stand around it.

The last object that has any field of the form is the model's word. Not the first: models that think aloud
show drafts before. And it alone is judged: where it is broken or wrong, an earlier draft must not stand in
for it, or a reply could be approved by a thought that the model took back.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel

from chat.providers.openai_forms import squeezed

Form = TypeVar("Form", bound=BaseModel)
MAX_BRACES = 2000
"""More than any answer has: looking at each costs time."""
_DECODER = json.JSONDecoder(strict=False)
"""Lets a bare line's end stand in a text."""
_BEGUN = re.compile(r'\{\s*"')
_KINDS = r"(?:\w+:)?(?:think\w*|thoughts?|reason\w*|reflect\w*|analysis|scratchpad)"
_THOUGHTS_BEGIN = re.compile(rf"<{_KINDS}>|\[THINK\]|◁think▷|<\|begin_of_thought\|>", re.IGNORECASE)
_THOUGHTS_END = re.compile(
    rf"</{_KINDS}>|\[/THINK\]|◁/think▷|<\|end_of_thought\|>|<\|channel\|>final<\|message\|>", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class WrittenObject:
    """An object with fields of the form, from `start` to `end`; without `fields`, a broken one."""

    start: int
    end: int
    fields: dict[str, Any] | None


def form_in(content: str, form: type[Form], *, sent: str) -> Form:
    """Return the form as the model filled it in. Raises ValueError where it did not, or it is unclear how.

    `sent` are the texts that the model was shown: an object that stands there word for word is quoted, by
    whoever wrote it, and is nothing that the model says.
    """
    found = list(_objects_in(content, {squeezed(name): name for name in form.model_fields}))
    thoughts_end = _end_of_thoughts(content, found)
    said = [
        one
        for one in found
        if one.start >= thoughts_end and (one.fields is None or content[one.start : one.end] not in sent)
    ]
    if not said or said[-1].fields is None:
        raise ValueError("no whole object of the form")
    last = said[-1]
    is_in_thoughts = _THOUGHTS_BEGIN.search(content, thoughts_end, last.start) is not None
    if is_in_thoughts and content[last.end :].strip(" \t\r\n`"):
        # The model forgot to end its thoughts, and what follows them is something else.
        raise ValueError("only thoughts")
    return form.model_validate(last.fields)


def _objects_in(content: str, names: dict[str, str]) -> Iterator[WrittenObject]:
    """Yield the objects with a field of `names` (squeezed: as the form has it), also those inside of other
    objects, and the beginnings of broken ones."""
    if content.count("{") > MAX_BRACES:
        raise ValueError("too many braces")
    start = content.find("{")
    while start != -1:
        end = start + 1
        try:
            value, end_of_value = _DECODER.raw_decode(content, start)
        except (ValueError, RecursionError):
            if _BEGUN.match(content, start):
                yield WrittenObject(start, end, None)
        else:
            fields = {names[squeezed(key)]: item for key, item in value.items() if squeezed(key) in names}
            if fields:
                end = end_of_value
                yield WrittenObject(start, end, fields)
        start = content.find("{", end)


def _end_of_thoughts(content: str, found: list[WrittenObject]) -> int:
    """Return where the last thoughts end, 0 if there are none. What stands in an object's texts ends none."""
    ends = [mark.end() for mark in _THOUGHTS_END.finditer(content)]
    return max((end for end in ends if not any(one.start < end <= one.end for one in found)), default=0)
