"""Pages that only show: what the machine wrote down is not for people to change."""

from typing import Any

from django.http import HttpRequest

from adminkit.unfolded import ModelAdmin


class ReadOnlyAdmin(ModelAdmin):
    """Lists and shows; nobody adds, changes or deletes, whatever permissions they hold."""

    list_per_page = 50

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
