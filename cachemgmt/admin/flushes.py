"""Flushing by hand, and the record of all flushes."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import Error as DatabaseFailure
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from adminkit.confirmation import Confirmation, confirmation_page, is_confirmed
from adminkit.read_only import ReadOnlyAdmin
from adminkit.unfolded import action, display
from cachemgmt.admin import wording
from cachemgmt.admin.flush_form import WHAT, FlushForm, chosen_before, documents
from cachemgmt.assembly import cache_engine
from cachemgmt.flushing.flush import Counted, Target, can_see_entries, count_all, flush_all
from cachemgmt.inspecting.inspector import inspector
from cachemgmt.models import FlushRecord

FLUSH = "admin:cachemgmt_flushrecord_flush"


@admin.register(FlushRecord)
class FlushRecordAdmin(ReadOnlyAdmin):
    """The record of flushes, which nobody edits; and the page that flushes."""

    list_display = ("made_at", "what", "actor", "count_words", "removed_words", "reason")
    list_filter = ("kind", "actor")
    search_fields = ("match", "reason", "actor")
    search_help_text = "Search what was flushed, why, or by whom"
    date_hierarchy = "made_at"
    ordering = ("-clock",)
    actions_list = ("flush_something",)
    fields = ("what", "reason", "actor", "made_at", "count_words", "removed_words", "clock")

    @display(description="What")
    def what(self, record: FlushRecord) -> str:
        return wording.flushed(record)

    @display(description="Stored results", ordering="matched_count")
    def count_words(self, record: FlushRecord) -> str:
        return "not counted" if record.matched_count is None else f"{record.matched_count:,}"

    @display(description="Removed", ordering="removed_count")
    def removed_words(self, record: FlushRecord) -> str:
        """How many were taken out of the store since: they count no more from the flush on, either way."""
        if record.removed_at is None:
            return "not yet"
        return "not known" if record.removed_count is None else f"{record.removed_count:,}"

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
            return self._form_page(request, FlushForm(initial=chosen_before(request.GET)))
        form = FlushForm(request.POST)
        if not form.is_valid():
            return self._form_page(request, form)
        targets: list[Target] = form.cleaned_data["targets"]
        try:
            if is_confirmed(request):
                return self._flushed(request, targets, form.cleaned_data["reason"])
            return confirmation_page(request, self.admin_site, asked(form, targets))
        except DatabaseFailure:
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

    def _flushed(self, request: HttpRequest, targets: Sequence[Target], reason: str) -> HttpResponse:
        """Flush, and say what happened. The number is counted again: time has passed since the question."""
        matched = counted(targets)
        records = flush_all(targets, actor=request.user.get_username(), reason=reason, counted=matched)
        for record in records:
            self.log_addition(request, record, "Flushed.")
        also = " and what it was made from" if len(records) > 1 else ""
        how_many = wording.entries(matched.total if matched else None)
        messages.success(
            request,
            f"Flushed {wording.flushed(records[0])}{also}: {how_many}. None of it is reused from now on.",
        )
        return HttpResponseRedirect(reverse("admin:cachemgmt_flushrecord_changelist"))


def counted(targets: Sequence[Target]) -> Counted | None:
    """Return how many stored results the targets match, None where that cannot be known: a store that is
    out would be counted as empty."""
    return count_all(targets) if cache_engine().store.health_check()["is_healthy"] else None


def counted_of_document(document: str) -> int | None:
    """Return how many stored results rest on the document, None where that cannot be known."""
    found = counted([Target(kind="tag", match=f"doc:{document}")])
    return found.total if found else None


def asked(form: FlushForm, targets: Sequence[Target]) -> Confirmation:
    """Return what is asked before this is flushed."""
    matched = counted(targets)
    count = matched.total if matched else None
    facts = {"What": wording.target(targets[0].kind, targets[0].match)}
    if form.cleaned_data["what"] == "answer":
        facts |= about_answer(form.cleaned_data["answer"], targets[1:])
    facts["Why"] = form.cleaned_data["reason"]
    facts["Stored now"] = why_uncounted() if count is None else wording.entries(count)
    level = form.cleaned_data["level"] if form.cleaned_data["what"] == "level" else None
    facts["Afterwards"] = (
        wording.LEVELS[level].flushing
        if level
        else "Questions they would have answered are answered anew, once each, and paid for."
    )
    warnings = ["Nothing is stored that this concerns: flushing it changes nothing."] if count == 0 else []
    if targets[0].kind == "all":
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


def about_answer(entry_id: str, made_from: Sequence[Target]) -> dict[str, str]:
    """Return what tells a person whether it is the right one."""
    entry = inspector().get(entry_id).entry
    if entry is None:
        return {"Question": "not known: no stored result with this id can be seen"}
    facts = {
        "Question": "one customer's own, not shown here" if entry.is_personal else entry.question,
        "Made": f"{wording.duration(entry.age_s)} ago",
    }
    return (
        {**facts, "Made from": f"{wording.entries(len(made_from))}, flushed with it"} if made_from else facts
    )


def why_uncounted() -> str:
    """Return why the number is not known, and that flushing works all the same."""
    if not can_see_entries():
        reason = "They are in the memory of the server, which this process cannot look into."
    else:
        reason = "Redis does not answer at the moment."
    return f"Their number is not known. {reason} Flushing works all the same."
