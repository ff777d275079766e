"""Policies in the admin: what is edited there is published, or nothing is changed."""

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db import OperationalError, connection
from django.test import Client
from django.urls import reverse

from cachemgmt.models import Clock
from cachemgmt.names import names_of
from chat.admin import documents
from chat.admin.documents import changed_lines
from chat.errors import IndexUnavailable
from chat.knowledge.publishing import publish
from chat.models import Document

NEW_TEXT = "# Refunds\r\n\r\nA refund takes 3 days.\r\n"


def edit_url(document: Document) -> str:
    return reverse("admin:chat_document_edit_text", args=[document.pk])


def edit(client: Client, document: Document, *, confirm: bool = True, **changes: str) -> Any:
    fields = {"title": document.title, "text": NEW_TEXT, "seen": document.content_hash, **changes}
    yes = {"confirm": "yes"} if confirm else {}
    return client.post(edit_url(document), {**fields, **yes}, follow=True)


def test_edited_text_is_published(lead: Client, refunds: Document) -> None:
    before = refunds.collection.revision
    clock = Clock.objects.get().number
    page = edit(lead, refunds)
    now = Document.objects.get(pk=refunds.pk)
    assert now.text == "# Refunds\n\nA refund takes 3 days.\n"
    assert now.collection.revision != before
    assert Clock.objects.get().number > clock
    assert "Published. The next question is answered from the new text" in page.content.decode()
    assert LogEntry.objects.get().change_message.endswith(f"revision {now.collection.revision}.")
    assert Document.objects.filter(key="hats").exists()


def test_changes_are_shown_before_they_are_published(lead: Client, refunds: Document) -> None:
    page = edit(lead, refunds, confirm=False).content.decode()
    for words in ("A refund takes 5 days.", "A refund takes 3 days.", "Publish these changes?"):
        assert words in page
    assert Document.objects.get(pk=refunds.pk).text == refunds.text


def test_what_is_confirmed_is_what_was_written(lead: Client, refunds: Document) -> None:
    page = edit(lead, refunds, confirm=False, title="Refunds & more <b>")
    carried = page.context["confirmation"].carried
    edit(lead, refunds, **carried)
    now = Document.objects.get(pk=refunds.pk)
    assert (now.title, now.text) == ("Refunds & more <b>", "# Refunds\n\nA refund takes 3 days.\n")


def test_edit_of_an_outdated_text_is_refused(lead: Client, refunds: Document) -> None:
    edit(lead, refunds)
    page = edit(lead, refunds, text="# Refunds\n\nNever.\n")
    assert "Somebody else changed this document since you opened it." in page.content.decode()
    assert "Never" not in Document.objects.get(pk=refunds.pk).text


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"text": " \n "}, "A document needs a text."),
        ({"title": ""}, "A document needs a title."),
        ({"text": "# Refunds\r\n\r\nA refund takes 5 days.\r\n"}, "Nothing is changed yet"),
    ],
)
def test_edit_that_cannot_be_published_is_explained(
    lead: Client, refunds: Document, changes: dict[str, str], said: str
) -> None:
    page = edit(lead, refunds, confirm=True, **changes)
    assert said in page.content.decode()
    assert not LogEntry.objects.exists()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (IndexUnavailable(), "Nothing was changed. The policy passages cannot be searched right now."),
        (OperationalError("database is locked"), "Nothing was changed. The database is busy."),
    ],
)
def test_failed_publishing_keeps_what_was_written(
    lead: Client, refunds: Document, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    def fail(*_args: Any) -> None:
        raise error

    monkeypatch.setattr(documents, "publish", fail)
    page = edit(lead, refunds).content.decode()
    assert said in page
    assert "A refund takes 3 days." in page


def test_passages_are_embedded_without_a_transaction(
    lead: Client, refunds: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    depths = []

    def watched(*args: Any) -> Any:
        depths.append(len(connection.atomic_blocks))
        return publish(*args)

    monkeypatch.setattr(documents, "publish", watched)
    own = len(connection.atomic_blocks)  # the test's, which is rolled back
    edit(lead, refunds)
    assert depths == [own]


def test_get_publishes_nothing(lead: Client, refunds: Document) -> None:
    fields = {"title": "X", "text": "Y", "seen": refunds.content_hash, "confirm": "yes"}
    assert lead.get(edit_url(refunds), fields).status_code == 200
    assert Document.objects.get(pk=refunds.pk).title == refunds.title


def test_viewer_reads_and_cannot_edit(viewer: Client, refunds: Document) -> None:
    address = reverse("admin:chat_document_change", args=[refunds.pk])
    page = viewer.get(address).content.decode()
    assert "A refund takes 5 days." in page
    assert "Edit…" not in page
    assert viewer.get(edit_url(refunds)).status_code == 403
    assert edit(viewer, refunds).status_code == 403
    assert viewer.post(address, {"title": "X", "text": "Y"}).status_code == 403


def test_missing_document_is_not_found(lead: Client, refunds: Document) -> None:
    assert lead.get(edit_url(Document(pk=refunds.pk + 100))).status_code == 404


def test_documents_are_searched_and_sorted_by_collection(lead: Client, refunds: Document) -> None:
    page = lead.get("/admin/chat/document/", {"q": "round"}).content.decode()
    assert "Hats" in page
    assert "Refunds" not in page
    page = lead.get(f"/admin/chat/document/?collection__id__exact={refunds.collection.pk}").content.decode()
    assert "Refunds" in page


def test_collection_shows_its_documents_and_revision(lead: Client, refunds: Document) -> None:
    page = lead.get("/admin/chat/collection/").content.decode()
    assert ">2</a>" in page
    assert refunds.collection.revision[:12] in page


@pytest.mark.usefixtures("refunds")
def test_names_are_offered_where_something_is_chosen() -> None:
    assert "refund_policy" in names_of("intent")
    assert names_of("collection") == {"shop": "Shop"}
    assert names_of("document") == {"hats": "Hats", "refunds": "Refunds"}


def test_long_changes_are_cut() -> None:
    shown = changed_lines("", "\n".join(f"Line {number}" for number in range(20)))
    assert list(shown) == ["Lines that come"]
    assert shown["Lines that come"][-1] == "… and 5 more"
