"""What a person chooses to flush, as a target of the flush."""

from collections.abc import Callable, Mapping
from typing import Any

from django import forms
from django.http import QueryDict
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from cachemgmt.admin import wording
from cachemgmt.admin.durations import DurationField, DurationWidget
from cachemgmt.flushing.flush import (
    EVERYTHING,
    Target,
    age_target,
    collection_target,
    entry_targets,
    level_target,
    pattern_target,
    tag_target,
)
from cachemgmt.names import Kind, names_of

WHAT = {
    "collection": ("A collection", "Everything that was answered from its policies."),
    "intent": ("An intent", "Everything made for one kind of question, such as refunds."),
    "document": ("A document", "Everything that rests on one policy, in all collections that have it."),
    "customer": ("A customer", "What is kept for one customer alone: answers about their own affairs."),
    "answer": ("One answer", "A single answer and what it is made of, by the id it is reported with."),
    "age": ("What is old", "Everything that was made longer ago than you say."),
    "level": ("A level", "One kind of stored results, in all collections."),
    "pattern": ("A pattern", "Results named level:collection:question that fit it; * stands for anything."),
    "all": ("Everything", "Every stored result of every collection."),
}
"""What can be flushed: its name and what that means, in the order people need it."""

MISSING = {"age": "Say how long ago."}
NO_LEVEL = (
    f"There is no such level. The levels are: {', '.join(row.name for row in wording.LEVELS.values())}."
)

SUGGESTED = 1000

TAGS = {"intent": "intent", "document": "doc", "customer": "customer"}


def names_as_choices(kind: Kind) -> list[tuple[str, str]]:
    """Return the names of that kind for a select, with an empty choice first."""
    found = names_of(kind).items()
    rows = [(name, name if words == name else f"{name}: {words}") for name, words in found]
    return [("", "Choose…"), *rows]


def documents() -> list[tuple[str, str]]:
    """Return the first documents' keys and titles, to be suggested while a person types."""
    return list(names_of("document").items())[:SUGGESTED]


def level_choices() -> list[tuple[str, str]]:
    """Return the levels for a select."""
    rows = [(level, f"{words.name}: {words.holds}") for level, words in wording.LEVELS.items()]
    return [("", "Choose…"), *rows]


class FlushForm(forms.Form):
    """What to flush, and why. `cleaned_data["targets"]` are the targets."""

    what = forms.ChoiceField(
        choices=[(name, words[0]) for name, words in WHAT.items()],
        error_messages={"required": "Choose what to flush."},
    )
    collection = forms.CharField(required=False, max_length=50)
    intent = forms.CharField(required=False, max_length=64)
    document = forms.CharField(
        required=False, max_length=290, widget=UnfoldAdminTextInputWidget(attrs={"list": "known-documents"})
    )
    answer = forms.RegexField(
        r"^[0-9a-f]{16}$",
        required=False,
        widget=UnfoldAdminTextInputWidget(attrs={"placeholder": "1f2e3d4c5b6a7988"}),
        error_messages={"invalid": "An answer's id is 16 digits and letters from a to f."},
    )
    customer = forms.CharField(
        required=False,
        max_length=200,
        widget=UnfoldAdminTextInputWidget(attrs={"placeholder": "The customer's id"}),
    )
    age = DurationField(required=False)
    level = forms.CharField(required=False)
    pattern = forms.CharField(
        required=False,
        max_length=300,
        widget=UnfoldAdminTextInputWidget(attrs={"placeholder": "*refund*"}),
    )
    reason = forms.CharField(
        label="Why",
        max_length=300,
        widget=UnfoldAdminTextInputWidget(attrs={"placeholder": "The refund policy changed yesterday"}),
        error_messages={"required": "Say why: whoever reads the list of flushes later wants to know."},
    )

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["collection"].widget = UnfoldAdminSelectWidget(choices=names_as_choices("collection"))
        self.fields["intent"].widget = UnfoldAdminSelectWidget(choices=names_as_choices("intent"))
        self.fields["level"].widget = UnfoldAdminSelectWidget(choices=level_choices())

    def clean(self) -> dict[str, Any]:
        cleaned = self.cleaned_data
        what = cleaned.get("what", "")
        for unchosen in WHAT.keys() - {what}:
            self.errors.pop(unchosen, None)
        if what not in WHAT or self.errors.get(what):
            return cleaned
        value = cleaned.get(what)
        if what != "all" and not value:
            self.add_error(what, MISSING.get(what, f"Say which: {WHAT[what][0].lower()} is to be flushed."))
            return cleaned
        try:
            cleaned["targets"] = targets_of(what, value)
        except ValueError as error:
            self.add_error(what, NO_LEVEL if what == "level" else str(error))
        return cleaned

    def carried(self) -> dict[str, str]:
        """Return what a confirmation page posts again for the same target and reason."""
        what = self.cleaned_data["what"]
        own = {} if what == "all" else {what: self.cleaned_data[what]}
        if what == "age":
            parts = DurationWidget(least=1).decompress(self.cleaned_data["age"])
            own = {f"age_{place}": str(part) for place, part in enumerate(parts)}
        return {"what": what, "reason": self.cleaned_data["reason"], **own}


def chosen_before(query: QueryDict) -> dict[str, Any]:
    """Return what was chosen before a confirmation page was left again, as the form's first values."""
    chosen: dict[str, Any] = query.dict()
    age = [chosen.pop(f"age_{place}", "") for place in range(2)]
    if all(part.isdecimal() and len(part) < 10 for part in age):
        chosen["age"] = int(age[0]) * int(age[1])
    return chosen


def targets_of(what: str, value: Any) -> list[Target]:
    """Return the targets for one of `WHAT` and its value; raise ValueError for an unknown level, or a text
    that is too long."""
    if what == "all":
        return [EVERYTHING]
    if what == "answer":
        return entry_targets(value)
    if what in TAGS:
        return [tag_target(f"{TAGS[what]}:{value}")]
    make: Mapping[str, Callable[[Any], Target]] = {
        "level": level_target,
        "collection": collection_target,
        "pattern": pattern_target,
        "age": age_target,
    }
    return [make[what](value)]
