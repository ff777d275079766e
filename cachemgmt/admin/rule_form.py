"""The form of a TTL rule."""

from typing import Any, ClassVar

from django import forms
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldBooleanSwitchWidget

from cachemgmt.admin import wording
from cachemgmt.admin.durations import DurationField
from cachemgmt.models import TtlRule
from cachemgmt.names import names_of

LEVELS_WITH_INTENT = ("response", "reply", "intent")
"""The levels whose entries carry the intent they belong to."""


class TtlRuleForm(forms.ModelForm[TtlRule]):
    """A rule for a whole level or for one intent in it."""

    ttl_s = DurationField(
        label="Reuse for",
        help_text="Counted from the moment a result was made, however often it is used.",
    )
    stale_while_revalidate_s = DurationField(
        label="Still answer with it, while a new one is made, for",
        least=0,
        labels=("How long while a new one is made", "Minutes, hours or days while a new one is made"),
        help_text="This customer gets the old one at once, the next the new one. 0: all wait for it.",
    )
    stale_if_error_s = DurationField(
        label="Still answer with it, when no new one can be made, for",
        least=0,
        labels=("How long when none can be made", "Minutes, hours or days when none can be made"),
        help_text="Such as while the language model is out. 0: whoever asks then gets no answer.",
    )

    class Meta:
        model = TtlRule
        fields: ClassVar = [
            "level",
            "intent",
            "ttl_s",
            "is_enabled",
            "stale_while_revalidate_s",
            "stale_if_error_s",
        ]
        widgets: ClassVar = {"is_enabled": UnfoldBooleanSwitchWidget()}
        labels: ClassVar = {"level": "What is stored", "is_enabled": "Reuse results"}
        help_texts: ClassVar = {
            "is_enabled": "Off: such results are made anew for every question and not kept. Costs money.",
        }

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if "level" not in self.fields:  # they are shown, not asked for, once a rule exists
            return
        levels = [
            (level, f"{wording.LEVELS[level].name}: {wording.LEVELS[level].holds}")
            for level, _ in TtlRule._meta.get_field("level").choices or ()
        ]
        self.fields["level"] = forms.ChoiceField(
            label="What is stored",
            choices=levels,
            widget=UnfoldAdminSelectWidget(),
            help_text="For most purposes: complete answers and written replies, with the same time for both.",
        )
        self.fields["intent"] = forms.ChoiceField(
            label="For",
            choices=[
                ("", "All intents"),
                *((name, f"{name}: {words}") for name, words in names_of("intent").items()),
            ],
            required=False,
            widget=UnfoldAdminSelectWidget(),
            help_text="What the customer asks for, such as a refund. A rule for one intent goes before the "
            "rule for all.",
        )

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if cleaned.get("intent") and cleaned.get("level") not in LEVELS_WITH_INTENT:
            self.add_error("intent", "Found passages are shared by all intents: choose All intents.")
        return cleaned
