"""unfold's classes and decorators, with the types that it does not ship: all admin modules take them here.

To mypy they are Django's own with unfold's further options; at run time they are unfold's.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from django.contrib import admin

    F = TypeVar("F", bound=Callable[..., Any])

    class ModelAdmin(admin.ModelAdmin[Any]):
        actions_list: Sequence[str]
        actions_detail: Sequence[str]
        change_form_outer_before_template: str | None
        list_before_template: str | None
        warn_unsaved_form: bool

    class TabularInline(admin.TabularInline[Any, Any]):
        per_page: int | None
        hide_title: bool

    def action(*, description: str, permissions: Sequence[str], icon: str) -> Callable[[F], F]: ...

    def display(
        *,
        description: str,
        ordering: str | None = None,
        label: Mapping[str, str] | None = None,
        header: bool | None = None,
    ) -> Callable[[F], F]: ...

else:
    from unfold.admin import ModelAdmin, TabularInline
    from unfold.decorators import action, display

__all__ = ["ModelAdmin", "TabularInline", "action", "display"]
