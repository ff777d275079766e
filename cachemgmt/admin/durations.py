"""A time in a form: a number and a unit."""

from typing import Any

from django import forms
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminSelectWidget

from cachemgmt.admin import wording

LONGEST_S = 365 * 86_400


class DurationWidget(forms.MultiWidget):
    """A number and its unit. `labels` are what a screen reader says of the two."""

    template_name = "unfold/widgets/split_money.html"

    def __init__(
        self, attrs: dict[str, Any] | None = None, *, least: int, labels: tuple[str, str] = ("Number", "Unit")
    ) -> None:
        units = [(size, f"{unit}s") for size, unit in reversed(wording.UNITS.items())]
        super().__init__(
            [
                UnfoldAdminIntegerFieldWidget(attrs={"min": least, "aria-label": labels[0]}),
                UnfoldAdminSelectWidget(attrs={"aria-label": labels[1]}, choices=units),
            ],
            attrs,
        )

    def decompress(self, value: int | None) -> list[int | None]:
        if not value:
            return [value, 60]
        size = next(size for size in wording.UNITS if value % size == 0)
        return [value // size, size]


class DurationField(forms.MultiValueField):
    """A time in whole seconds, from `least` (1 or 0) to `LONGEST_S`; None where none is given."""

    def __init__(
        self, *, least: int = 1, labels: tuple[str, str] = ("Number", "Unit"), **options: Any
    ) -> None:
        sizes = [(size, unit) for size, unit in wording.UNITS.items()]
        fields = (
            forms.IntegerField(min_value=least, error_messages={"min_value": f"At least {least}."}),
            forms.TypedChoiceField(coerce=int, choices=sizes),
        )
        super().__init__(fields, widget=DurationWidget(least=least, labels=labels), **options)

    def compress(self, data_list: list[int | None]) -> int | None:
        number, size = data_list or (None, None)
        if number is None or not size:
            return None
        if number * size > LONGEST_S:
            raise forms.ValidationError("At most 365 days.")
        return number * size
