"""API keys in the admin: made, looked at, revoked. Their text is shown once."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.humanize.templatetags.humanize import naturaltime
from django.core.exceptions import PermissionDenied
from django.db import Error as DatabaseFailure
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html

from access.caller import RIGHTS, Right
from access.identity import signing_secret
from access.keys import Issued, issue
from access.models import ApiKey
from adminkit.confirmation import Confirmation, chosen_pks, confirmation_page, is_confirmed
from adminkit.unfolded import ModelAdmin, action, display
from cachemgmt.api import known, learn_from_database

RIGHT_WORDS: dict[Right, str] = {
    "ask": "ask",
    "trusted": "name customers",
    "skip_cache": "skip the cache",
    "metrics": "read metrics",
}


CHANGELIST = "admin:access_apikey_changelist"
REVOKE = "admin:access_apikey_revoke"


class ApiKeyForm(forms.ModelForm[ApiKey]):
    """A key's name, rights and limits."""

    collections = forms.MultipleChoiceField(
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=ApiKey._meta.get_field("collections").help_text,
    )

    class Meta:
        model = ApiKey
        fields = (
            "name",
            "collections",
            *(f"may_{right}" for right in RIGHTS),
            "asks_per_minute",
            "calls_per_hour",
            "expires_at",
        )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # One that has gone stays to be seen, and to be taken away.
        slugs = sorted({*known().revisions, *(self.instance.collections or [])})
        self.fields["collections"].choices = [(slug, slug) for slug in slugs]  # type: ignore[attr-defined]

    def clean_expires_at(self) -> Any:
        """Return when the key expires; refuse what is over already."""
        expires_at = self.cleaned_data["expires_at"]
        if expires_at and "expires_at" in self.changed_data and expires_at <= timezone.now():
            raise forms.ValidationError("This time is over already.")
        return expires_at


@admin.register(ApiKey)
class ApiKeyAdmin(ModelAdmin):
    """A change is in effect at the next question. Keys are revoked, not deleted: one sees whose it was."""

    form = ApiKeyForm
    list_display = (
        "name",
        "key_id",
        "state_words",
        "rights_words",
        "collection_names",
        "last_used_at",
        "created_at",
    )
    list_filter = ("may_trusted", "may_metrics")
    search_fields = ("name", "key_id")
    readonly_fields = ("key_id", "state_words", "created_at", "created_by", "last_used_at", "revoked_at")
    actions = ("revoke_chosen",)

    def get_fieldsets(self, request: HttpRequest, obj: ApiKey | None = None) -> Any:
        limits = {"fields": ["asks_per_minute", "calls_per_hour", "expires_at"]}
        about = [("About this key", {"fields": list(self.readonly_fields)})] if obj else []
        return [
            (None, {"fields": ["name", "collections"]}),
            ("What it may do", {"fields": [f"may_{right}" for right in RIGHTS]}),
            ("Limits", limits),
            *about,
        ]

    @display(description="State", label={"In force": "success", "Revoked": "danger", "Expired": "warning"})
    def state_words(self, key: ApiKey) -> str:
        return key.state.capitalize()

    @display(description="May")
    def rights_words(self, key: ApiKey) -> str:
        return ", ".join(RIGHT_WORDS[right] for right in key.rights) or "nothing"

    @display(description="Collections")
    def collection_names(self, key: ApiKey) -> str:
        return ", ".join(key.collections) or "all"

    def has_change_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        is_over = obj is not None and obj.revoked_at is not None
        return not is_over and bool(super().has_change_permission(request, obj))

    def has_delete_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        if change:  # nothing but what was changed here: it may have been revoked meanwhile
            obj.save(update_fields=form.changed_data)
        else:
            obj.created_by = request.user.get_username()
            request._tria_issued = issue(obj)  # type: ignore[attr-defined]  # for response_add, and no longer
        transaction.on_commit(learn_from_database)

    def response_add(
        self, request: HttpRequest, obj: ApiKey, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Show the key's text: on this page and nowhere else. A message would be kept in the session."""
        issued: Issued = request._tria_issued  # type: ignore[attr-defined]
        context = {
            **self.admin_site.each_context(request),
            "title": f"The key for {obj.name}",
            "opts": self.opts,
            "text": issued.text,
            "signing_secret": None if obj.may_trusted else signing_secret(obj.key_id),
        }
        response = TemplateResponse(request, "admin/access/apikey/issued.html", context)
        response["Cache-Control"] = "no-store"
        return response

    @action(description="Revoke the chosen keys", permissions=["change"], icon="block")
    def revoke_chosen(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> HttpResponse:
        chosen = ",".join(str(pk) for pk in queryset.values_list("pk", flat=True))
        return HttpResponseRedirect(f"{reverse(REVOKE)}?key={chosen}")

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.revoke_view)
        return [path("revoke/", view, name=REVOKE.partition(":")[2]), *super().get_urls()]

    def revoke_view(self, request: HttpRequest) -> HttpResponse:
        """Ask whether the keys shall be revoked, with when each was last used; on the yes, revoke them."""
        if not self.has_change_permission(request):
            raise PermissionDenied
        keys = list(ApiKey.objects.filter(pk__in=chosen_pks(request, "key"), revoked_at=None))
        if not keys:
            messages.warning(request, "These keys are revoked already.")
        elif is_confirmed(request):
            self._revoke(request, keys)
        else:
            return confirmation_page(request, self.admin_site, asked(keys))
        return HttpResponseRedirect(reverse(CHANGELIST))

    def _revoke(self, request: HttpRequest, keys: list[ApiKey]) -> None:
        try:
            with transaction.atomic():
                for key in keys:
                    key.revoke()
                    self.log_change(request, key, "Revoked.")
                transaction.on_commit(learn_from_database)
        except DatabaseFailure:
            messages.error(request, "The database is busy, so no key was revoked. Please try again.")
            return
        told = "Revoked from the next question on: {}. Sessions that they started are over, too."
        messages.success(request, format_html(told, ", ".join(key.name for key in keys)))


def last_use(key: ApiKey) -> str:
    """Return when the key was last used, in words."""
    return f"last used {naturaltime(key.last_used_at)}" if key.last_used_at else "never used"


def asked(keys: list[ApiKey]) -> Confirmation:
    """Return what is asked before these keys are revoked."""
    return Confirmation(
        title="Revoke API keys",
        question="Revoke this key?" if len(keys) == 1 else f"Revoke these {len(keys)} keys?",
        facts={f"{key.name} ({key.key_id})": last_use(key) for key in keys},
        warnings=(
            "Who asks with a revoked key is refused from the next question on, and so are its sessions. "
            "This cannot be undone: a new key would have to be made and handed out.",
        ),
        yes="Revoke",
        is_dangerous=True,
        cancel_url=reverse(CHANGELIST),
        carried={"key": ",".join(str(key.pk) for key in keys)},
    )
