"""Policy documents: read and searched by those who may view them, edited by those who may change them."""

import difflib
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import Error as DatabaseFailure
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html

from adminkit.confirmation import Confirmation, confirmation_page, is_confirmed
from adminkit.read_only import ReadOnlyAdmin
from adminkit.unfolded import action, display
from cachemgmt.admin import wording
from cachemgmt.admin.flushes import counted_of_document
from chat.admin.edit_form import DocumentForm
from chat.errors import ChatError
from chat.knowledge.publishing import publish
from chat.models import Document
from chat.source_document import SourceDocument

EDIT = "admin:chat_document_edit_text"


@admin.register(Document)
class DocumentAdmin(ReadOnlyAdmin):
    """The policies' texts. Editing has a page of its own: what it saves is published, not only stored, and
    the admin's own form would hold a database transaction while passages are embedded."""

    list_display = ("title", "key", "collection", "length", "updated_at")
    list_filter = ("collection",)
    search_fields = ("title", "key", "text")
    search_help_text = "Search titles and texts"
    list_select_related = ("collection",)
    actions_detail = ("edit",)
    fields = ("title", "collection", "key", "updated_at", "whole_text")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return self.fields

    @display(description="Length")
    def length(self, document: Document) -> str:
        return f"{len(document.text.split()):,} words"

    @display(description="Text")
    def whole_text(self, document: Document) -> str:
        return format_html('<div class="tria-text">{}</div>', document.text)

    def has_edit_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("chat.change_document")

    @action(description="Edit…", permissions=["edit"], icon="edit")
    def edit(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Lead to the page that edits."""
        return HttpResponseRedirect(reverse(EDIT, args=[object_id]))

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.edit_view)
        return [path("<int:pk>/edit-text/", view, name="chat_document_edit_text"), *super().get_urls()]

    def edit_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Ask for title and text; then, with what it concerns, whether to publish; then publish."""
        if not self.has_edit_permission(request):
            raise PermissionDenied
        document = Document.objects.select_related("collection").filter(pk=pk).first()
        if document is None:
            raise Http404
        form = DocumentForm(document, request.POST or None)
        if not form.is_valid():
            return self._form_page(request, document, form)
        if not is_confirmed(request):
            return confirmation_page(request, self.admin_site, asked(document, form))
        try:
            self._publish(request, document, form)
        except (ChatError, DatabaseFailure) as error:
            reason = str(error) if isinstance(error, ChatError) else "The database is busy."
            messages.error(request, f"Nothing was changed. {reason} Please try again.")
            return self._form_page(request, document, form)
        return HttpResponseRedirect(reverse("admin:chat_document_change", args=[pk]))

    def _form_page(self, request: HttpRequest, document: Document, form: DocumentForm) -> TemplateResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": f"Edit {document.title}",
            "document": document,
            "form": form,
            "back_url": reverse("admin:chat_document_change", args=[document.pk]),
        }
        return TemplateResponse(request, "admin/chat/document/edit.html", context)

    def _publish(self, request: HttpRequest, document: Document, form: DocumentForm) -> None:
        """Raises ChatError or the failure of the database; then nothing has changed."""
        written = SourceDocument(
            key=document.key, title=form.cleaned_data["title"], text=form.cleaned_data["text"]
        )
        done = publish(document.collection, [written])
        document.refresh_from_db()
        self.log_change(request, document, f"Edited and published as revision {done.revision}.")
        passages = f" The collection has {done.built.n_passages:,} passages now." if done.built else ""
        messages.success(
            request, f"Published. The next question is answered from the new text of this policy.{passages}"
        )


def asked(document: Document, form: DocumentForm) -> Confirmation:
    """Return what is asked before the edited document is published."""
    title, text = form.cleaned_data["title"], form.cleaned_data["text"]
    return Confirmation(
        title=f"Publish {document.title}",
        question="Publish these changes?",
        facts={
            "Document": title if title == document.title else f"{title} (was: {document.title})",
            "Collection": document.collection.name,
            "Text": f"{len(text.split()):,} words (was: {len(document.text.split()):,})",
            "Rest on it": wording.entries(counted_of_document(document.key)),
            "Afterwards": "Customers get answers from the new text at once. Only answers whose passages "
            "changed are made anew and paid for.",
        },
        yes="Publish",
        lists=changed_lines(document.text, text),
        cancel_url=reverse("admin:chat_document_change", args=[document.pk]),
        carried={"title": title, "text": text, "seen": form.cleaned_data["seen"]},
    )


SHOWN_LINES = 15


def changed_lines(before: str, after: str) -> dict[str, tuple[str, ...]]:
    """Return the lines that go and those that come, for a person to check; no more than `SHOWN_LINES`."""
    old, new = ([line.strip() for line in text.splitlines() if line.strip()] for text in (before, after))
    compared = list(difflib.unified_diff(old, new, n=0, lineterm=""))[2:]  # without its two headings
    shown = {}
    for heading, sign in (("Lines that go", "-"), ("Lines that come", "+")):
        lines = [line[1:] for line in compared if line.startswith(sign)]
        more = [f"… and {len(lines) - SHOWN_LINES:,} more"] if len(lines) > SHOWN_LINES else []
        if lines:
            shown[heading] = (*lines[:SHOWN_LINES], *more)
    return shown
