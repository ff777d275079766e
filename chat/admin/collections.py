"""Collections of policies, to look at: a collection is made and published by loading documents."""

from typing import Any

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from adminkit.read_only import ReadOnlyAdmin
from adminkit.unfolded import ModelAdmin, display
from chat.models import Collection


@admin.register(Collection)
class CollectionAdmin(ReadOnlyAdmin):
    """What is published, and since when. Which pages of the web may ask is all that is changed here."""

    list_display = ("name", "slug", "document_count", "state", "published_at", "revision_words")
    search_fields = ("name", "slug")
    shown = ("name", "slug", "document_count", "state", "published_at", "revision_words")
    fieldsets = (
        (None, {"fields": shown}),
        ("Web pages that may ask", {"fields": ["allowed_origins"]}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Collection]:
        collections: QuerySet[Collection] = super().get_queryset(request)
        return collections.annotate(n=Count("documents"))

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return self.shown

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return ModelAdmin.has_change_permission(self, request, obj)

    def save_model(self, request: HttpRequest, obj: Collection, form: Any, change: bool) -> None:
        obj.save(update_fields=["allowed_origins"])  # it may be published anew meanwhile

    @display(description="Documents", ordering="n")
    def document_count(self, collection: Any) -> str:
        link = reverse("admin:chat_document_changelist")
        return format_html(
            '<a class="text-link" href="{}?collection__id__exact={}">{}</a>',
            link,
            collection.pk,
            collection.n,
        )

    @display(description="State", label={"Published": "success", "Nothing published yet": "warning"})
    def state(self, collection: Collection) -> str:
        return "Published" if collection.revision else "Nothing published yet"

    @display(description="Revision", ordering="revision")
    def revision_words(self, collection: Collection) -> str:
        return collection.revision[:12]
