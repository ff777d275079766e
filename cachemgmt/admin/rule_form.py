"""The form of a TTL rule: a time is a number and a unit."""

from typing import Any, ClassVar

from django import forms
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminSelectWidget, UnfoldBooleanSwitchWidget

from cachemgmt.admin import wording
from cachemgmt.models import TtlRule
from cachemgmt.names import names_of

LONGEST_S = 365 * 86_400
LEVELS_WITH_INTENT = ("response", "reply", "intent")
"""The levels whose entries carry the intent they belong to."""


class DurationWidget(forms.MultiWidget):
    """A number and its unit."""

    template_name = "unfold/widgets/split_money.html"

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        units = [(size, f"{unit}s") for size, unit in reversed(wording.UNITS.items())]
        super().__init__(
            [
                UnfoldAdminIntegerFieldWidget(attrs={"min": 1, "aria-label": "Number"}),
                UnfoldAdminSelectWidget(attrs={"aria-label": "Unit"}, choices=units),
            ],
            attrs,
        )

    def decompress(self, value: int | None) -> list[int | None]:
        if not value:
            return [None, 60]
        size = next(size for size in wording.UNITS if value % size == 0)
        return [value // size, size]


class DurationField(forms.MultiValueField):
    """A time in whole seconds, from 1 to `LONGEST_S`."""

    def __init__(self, **options: Any) -> None:
        sizes = [(size, unit) for size, unit in wording.UNITS.items()]
        fields = (
            forms.IntegerField(min_value=1, error_messages={"min_value": "At least 1."}),
            forms.TypedChoiceField(coerce=int, choices=sizes),
        )
        super().__init__(fields, widget=DurationWidget(), **options)

    def compress(self, data_list: list[int]) -> int | None:
        if not data_list:
            return None
        seconds = data_list[0] * data_list[1]
        if seconds > LONGEST_S:
            raise forms.ValidationError("At most 365 days.")
        return seconds


class TtlRuleForm(forms.ModelForm[TtlRule]):
    """A rule for a whole level or for one intent in it."""

    ttl_s = DurationField(
        label="Reuse for",
        help_text="Counted from the moment a result was made, however often it is used.",
    )

    class Meta:
        model = TtlRule
        fields: ClassVar = ["level", "intent", "ttl_s", "is_enabled"]
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
