"""Flushing by hand, and the record of all flushes."""

from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from cachemgmt.admin import wording
from cachemgmt.admin.confirming import Confirmation, confirmation_page, is_confirmed
from cachemgmt.admin.flush_form import WHAT, FlushForm, documents
from cachemgmt.admin.readonly import ReadOnlyAdmin
from cachemgmt.admin.unfolded import action, display
from cachemgmt.api import cache_engine
from cachemgmt.flushing import Target, can_see_entries, count_matching, flush
from cachemgmt.models import FlushRecord

FLUSH = "admin:cachemgmt_flushrecord_flush"


@admin.register(FlushRecord)
class FlushRecordAdmin(ReadOnlyAdmin):
    """The record of flushes, which nobody edits; and the page that flushes."""

    list_display = ("made_at", "what", "actor", "count_words", "reason")
    list_filter = ("kind", "actor")
    search_fields = ("match", "reason", "actor")
    search_help_text = "Search what was flushed, why, or by whom"
    date_hierarchy = "made_at"
    ordering = ("-clock",)
    actions_list = ("flush_something",)
    fields = ("what", "reason", "actor", "made_at", "count_words", "clock")

    @display(description="What")
    def what(self, record: FlushRecord) -> str:
        return wording.flushed(record)

    @display(description="Stored results", ordering="matched_count")
    def count_words(self, record: FlushRecord) -> str:
        return "not counted" if record.matched_count is None else f"{record.matched_count:,}"

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return self.fields

    def has_flush_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("cachemgmt.flush_cache")

    @action(description="Flush…", permissions=["flush"], icon="mop")
    def flush_something(self, request: HttpRequest) -> HttpResponse:
        """Lead to the page that asks what to flush."""
        return HttpResponseRedirect(reverse(FLUSH))

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.flush_view)
        return [path("flush/", view, name="cachemgmt_flushrecord_flush"), *super().get_urls()]

    def flush_view(self, request: HttpRequest) -> HttpResponse:
        """Ask what to flush; then, with the number of results it concerns, whether to; then do it."""
        if not self.has_flush_permission(request):
            raise PermissionDenied
        if request.method != "POST":
            return self._form_page(request, FlushForm(initial=request.GET.dict()))
        form = FlushForm(request.POST)
        if not form.is_valid():
            return self._form_page(request, form)
        target: Target = form.cleaned_data["target"]
        try:
            if is_confirmed(request):
                return self._flushed(request, target, form.cleaned_data["reason"])
            return confirmation_page(request, self.admin_site, asked(form, target))
        except DatabaseError:
            messages.error(request, "The database is busy, so nothing was flushed. Please try again.")
            return self._form_page(request, form)

    def _form_page(self, request: HttpRequest, form: FlushForm) -> TemplateResponse:
        chosen = form["what"].value() or ""
        context = {
            **self.admin_site.each_context(request),
            "title": "Flush stored results",
            "form": form,
            "chosen": chosen if chosen in WHAT else "",
            "options": [
                {
                    "name": name,
                    "words": words,
                    "about": about,
                    "field": None if name == "all" else form[name],
                }
                for name, (words, about) in WHAT.items()
            ],
            "documents": documents(),
            "record_url": reverse("admin:cachemgmt_flushrecord_changelist"),
        }
        return TemplateResponse(request, "admin/cachemgmt/flush.html", context)

    def _flushed(self, request: HttpRequest, target: Target, reason: str) -> HttpResponse:
        """Flush, and say what happened. The number is counted again: time has passed since the question."""
        record = flush(
            target, actor=request.user.get_username(), reason=reason, matched_count=counted(target)
        )
        self.log_addition(request, record, "Flushed.")
        messages.success(
            request,
            f"Flushed {wording.flushed(record)}: {wording.entries(record.matched_count)}. "
            "None of it is reused from now on.",
        )
        return HttpResponseRedirect(reverse("admin:cachemgmt_flushrecord_changelist"))


def counted(target: Target) -> int | None:
    """Return how many stored results the target matches, None where that cannot be known: a store that is
    out would be counted as empty."""
    return count_matching(target) if cache_engine().store.health_check()["is_healthy"] else None


def counted_of_document(document: str) -> int | None:
    """Return how many stored results rest on the document, None where that cannot be known."""
    return counted(Target(kind="tag", match=f"doc:{document}"))


def asked(form: FlushForm, target: Target) -> Confirmation:
    """Return what is asked before this is flushed."""
    count = counted(target)
    facts = {"What": wording.target(target.kind, target.match), "Why": form.cleaned_data["reason"]}
    facts["Stored now"] = why_uncounted() if count is None else wording.entries(count)
    level = form.cleaned_data["level"] if form.cleaned_data["what"] == "level" else None
    facts["Afterwards"] = (
        wording.LEVELS[level].flushing
        if level
        else "Questions they would have answered are answered anew, once each, and paid for."
    )
    warnings = ["Nothing is stored that this concerns: flushing it changes nothing."] if count == 0 else []
    if target.kind == "all":
        warnings.append("Everything has to be made anew. A collection, intent or document is often enough.")
    return Confirmation(
        title="Flush stored results",
        question="Flush this?",
        facts=facts,
        warnings=tuple(warnings),
        yes={None: "Flush", 0: "Flush anyway"}.get(count, f"Flush {wording.entries(count)}"),
        is_dangerous=True,
        cancel_url=f"{reverse(FLUSH)}?{urlencode(form.carried())}",
        carried=form.carried(),
    )


def why_uncounted() -> str:
    """Return why the number is not known, and that flushing works all the same."""
    if not can_see_entries():
        reason = "They are in the memory of the server, which this process cannot look into."
    else:
        reason = "Redis does not answer at the moment."
    return f"Their number is not known. {reason} Flushing works all the same."
