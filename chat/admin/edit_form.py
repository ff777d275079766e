"""A document's title and text, as a person edits them."""

from typing import Any

from django import forms
from django.http import QueryDict
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from chat.models import Document

CHANGED_MEANWHILE = (
    "Somebody else changed this document since you opened it. Copy what you wrote, open the document again, "
    "and put it in there."
)


class DocumentForm(forms.Form):
    """What a document shall say from now on. `seen` tells which version the person started from."""

    title = forms.CharField(
        max_length=300,
        widget=UnfoldAdminTextInputWidget(),
        error_messages={"required": "A document needs a title."},
    )
    text = forms.CharField(
        strip=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 24}),
        help_text="Lines that begin with # are headings: they tell which part of the policy a text is from.",
        error_messages={"required": "A document needs a text."},
    )
    seen = forms.CharField(widget=forms.HiddenInput())

    def __init__(self, document: Document, data: QueryDict | None) -> None:
        self._document = document
        given = {"title": document.title, "text": document.text, "seen": document.content_hash}
        super().__init__(data, initial=given)

    def clean_text(self) -> str:
        """Return the text with the line ends that files have; browsers send others."""
        text: str = self.cleaned_data["text"].replace("\r\n", "\n")
        if not text.strip():
            raise forms.ValidationError("A document needs a text.")
        return text

    def clean(self) -> dict[str, Any]:
        cleaned = self.cleaned_data
        if "seen" in cleaned and cleaned["seen"] != self._document.content_hash:
            raise forms.ValidationError(CHANGED_MEANWHILE)
        if {"title", "text"} <= cleaned.keys():
            is_same = (cleaned["title"], cleaned["text"]) == (self._document.title, self._document.text)
            if is_same:
                raise forms.ValidationError("Nothing is changed yet: title and text are as published.")
        return cleaned
