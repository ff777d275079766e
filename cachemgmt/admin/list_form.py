"""The form of a warming list: many questions are pasted at once, one a line."""

from typing import Any, ClassVar

from django import forms
from django.conf import settings
from django.db.models import Max
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget

from cachemgmt.models import WarmingList, WarmingQuery
from cachemgmt.names import names_of

LONGEST = 4000
"""Characters of a question: as long as the model's field."""


class WarmingListForm(forms.ModelForm[WarmingList]):
    """A list's name and settings, and questions to be added."""

    new_questions = forms.CharField(
        label="Add questions, one per line",
        required=False,
        widget=UnfoldAdminTextareaWidget(
            attrs={"rows": 8, "placeholder": "How long do refunds take?\nCan I change my delivery address?"}
        ),
        help_text="As customers would type them. Empty lines, and questions that are in the list already, "
        "are left out.",
    )

    class Meta:
        model = WarmingList
        fields: ClassVar = ["name", "description", "collection", "is_active"]
        labels: ClassVar = {"is_active": "Active", "collection": "Collection"}
        widgets: ClassVar = {"description": UnfoldAdminTextareaWidget(attrs={"rows": 2})}
        help_texts: ClassVar = {
            "is_active": "Active lists are warmed together by the command warm_cache --all.",
        }

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if "collection" not in self.fields:  # shown only
            return
        known = dict(names_of("collection"))
        own = self.instance.collection
        choices = [("", f"The default collection ({settings.DEFAULT_COLLECTION})"), *known.items()]
        if own and own not in known:
            choices.append((own, f"{own} (not there any more)"))
        self.fields["collection"] = forms.ChoiceField(
            label="Collection",
            choices=choices,
            required=False,
            widget=UnfoldAdminSelectWidget(),
            help_text="Whose policies answer these questions.",
        )

    def clean_new_questions(self) -> list[str]:
        """Return the questions, each once, in their order."""
        lines = [" ".join(line.split()) for line in self.cleaned_data["new_questions"].splitlines()]
        for number, line in enumerate(lines, start=1):
            if len(line) > LONGEST:
                raise forms.ValidationError(
                    f"Line {number} has {len(line):,} characters; a question has at most {LONGEST:,}."
                )
        return list(dict.fromkeys(line for line in lines if line))


def add_questions(to: WarmingList, questions: list[str]) -> tuple[int, int]:
    """Append the questions to the list; return how many were added and how many were in it already."""
    there = set(to.queries.values_list("question", flat=True))
    new = [question for question in questions if question not in there]
    last = to.queries.aggregate(last=Max("position"))["last"]
    start = 0 if last is None else last + 1
    WarmingQuery.objects.bulk_create(
        WarmingQuery(warming_list=to, question=question, position=start + offset)
        for offset, question in enumerate(new)
    )
    return len(new), len(questions) - len(new)
