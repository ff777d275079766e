"""What a person chooses to flush, as a target of the flush."""

from typing import Any

from django import forms
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from cachemgmt.admin import wording
from cachemgmt.flushing import EVERYTHING, Target, collection_target, level_target
from cachemgmt.names import Kind, names_of

WHAT = {
    "collection": ("A collection", "Everything that was answered from its policies."),
    "intent": ("An intent", "Everything made for one kind of question, such as refunds."),
    "document": ("A document", "Everything that rests on one policy, in all collections that have it."),
    "answer": ("One answer", "A single answer and what it is made of, by the id it is reported with."),
    "level": ("A level", "One kind of stored results, in all collections."),
    "pattern": ("A pattern", "Results named level:collection:question that fit it; * stands for anything."),
    "all": ("Everything", "Every stored result of every collection."),
}
"""What can be flushed: its name and what that means, in the order people need it."""

SUGGESTED = 1000

TAGS = {"intent": "intent", "document": "doc", "answer": "entry"}


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
    """What to flush, and why. `cleaned_data["target"]` is the target."""

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
        what = cleaned.get("what")
        if not what or self.errors.get(what):
            return cleaned
        value = cleaned.get(what, "").strip()
        if what != "all" and not value:
            self.add_error(what, f"Say which: {WHAT[what][0].lower()} is to be flushed.")
            return cleaned
        try:
            cleaned["target"] = target_of(what, value)
        except ValueError:
            names = ", ".join(words.name for words in wording.LEVELS.values())
            self.add_error(what, f"There is no such level. The levels are: {names}.")
        return cleaned

    def carried(self) -> dict[str, str]:
        """Return what a confirmation page posts again for the same target and reason."""
        what = self.cleaned_data["what"]
        own = {} if what == "all" else {what: self.cleaned_data[what]}
        return {"what": what, "reason": self.cleaned_data["reason"], **own}


def target_of(what: str, value: str) -> Target:
    """Return the target for one of `WHAT` and its value; raise ValueError for an unknown level."""
    if what == "all":
        return EVERYTHING
    if what == "level":
        return level_target(value)
    if what == "collection":
        return collection_target(value)
    if what == "pattern":
        return Target(kind="pattern", match=value.casefold())  # as names are
    return Target(kind="tag", match=f"{TAGS[what]}:{value}")
