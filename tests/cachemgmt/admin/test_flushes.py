"""Flushing by hand: what is flushed is gone, recorded, and asked about first."""

from collections.abc import Mapping
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db import OperationalError
from django.test import Client
from django.urls import reverse

from cachemgmt.admin import flushes
from cachemgmt.api import cache_engine
from cachemgmt.flushing.removal import remove_dead
from cachemgmt.models import Clock, FlushRecord
from tests.cachemgmt.admin.conftest import Store, is_reused

FLUSH = "/admin/cachemgmt/flushrecord/flush/"

KINDS: dict[str, dict[str, str]] = {
    "all": {},
    "level": {"level": "response"},
    "collection": {"collection": "sample"},
    "intent": {"intent": "refund_policy"},
    "document": {"document": "refunds"},
    "pattern": {"pattern": "RESPONSE:*:*Refunds*"},
    "customer": {"customer": "17"},
    "age": {"age_0": "1", "age_1": "60"},
}


def flush(client: Client, what: str, fields: Mapping[str, str] = {}, *, confirm: bool = True) -> Any:
    yes = {"confirm": "yes"} if confirm else {}
    return client.post(FLUSH, {"what": what, "reason": "It was wrong", **fields, **yes}, follow=True)


@pytest.mark.parametrize("what", KINDS)
def test_flush_removes_what_it_names_and_is_recorded(lead: Client, store: Store, what: str) -> None:
    concerned = store(tags=("customer:17",), age_s=120)
    other = store("where is my hat", level="intent", collection="hats", intent="hats", document="hats")
    page = flush(lead, what, KINDS[what])
    assert not is_reused(concerned)
    assert is_reused(other) is (what != "all")
    record = FlushRecord.objects.get()
    assert (record.actor, record.reason) == ("lena", "It was wrong")
    assert record.matched_count == (2 if what == "all" else 1)
    assert f"{record.matched_count} stored result" in page.content.decode()
    assert LogEntry.objects.filter(object_id=str(record.pk)).exists()


def test_one_answer_is_flushed_by_its_id(lead: Client, store: Store) -> None:
    wrong, right = store(), store("what is a refund")
    flush(lead, "answer", {"answer": wrong.entry_id})
    assert (is_reused(wrong), is_reused(right)) == (False, True)


def test_one_answer_is_flushed_with_what_it_was_made_from(lead: Client, store: Store) -> None:
    reply = store("a reply", level="reply")
    answer, other = store(tags=(f"entry:{reply.entry_id}",)), store("what is a refund")
    asked = flush(lead, "answer", {"answer": answer.entry_id}, confirm=False).content.decode()
    assert "how long do refunds take" in asked
    assert "1 stored result, flushed with it" in asked
    assert "Flush 2 stored results" in asked
    page = flush(lead, "answer", {"answer": answer.entry_id}).content.decode()
    assert [is_reused(key) for key in (reply, answer, other)] == [False, False, True]
    assert f"Flushed One answer: {answer.entry_id} and what it was made from: 2 stored results." in page
    records = FlushRecord.objects.all()
    assert {record.match for record in records} == {f"entry:{key.entry_id}" for key in (reply, answer)}
    assert LogEntry.objects.filter(object_id__in=[str(record.pk) for record in records]).count() == 2


def test_customers_own_question_is_not_shown(lead: Client, store: Store) -> None:
    own = store("where is my order 4711", tags=("customer:17",))
    page = flush(lead, "answer", {"answer": own.entry_id}, confirm=False).content.decode()
    assert "4711" not in page
    assert "one customer&#x27;s own" in page


def test_answer_that_cannot_be_seen_is_said_and_flushed_all_the_same(lead: Client) -> None:
    page = flush(lead, "answer", {"answer": "1f2e3d4c5b6a7988"}, confirm=False).content.decode()
    assert "no stored result with this id can be seen" in page
    flush(lead, "answer", {"answer": "1f2e3d4c5b6a7988"})
    assert FlushRecord.objects.get().match == "entry:1f2e3d4c5b6a7988"


def test_age_is_kept_when_a_person_goes_back(lead: Client) -> None:
    asked = flush(lead, "age", {"age_0": "36", "age_1": "3600"}, confirm=False)
    cancel_url = asked.context["confirmation"].cancel_url
    form = lead.get(cancel_url).context["form"]
    assert (form["what"].value(), form["age"].value()) == ("age", 36 * 3_600)
    assert 'name="age_0" value="36"' in lead.get(cancel_url).content.decode()


def test_record_says_what_was_removed_once_it_is_known(lead: Client, store: Store) -> None:
    key = store()
    page = flush(lead, "all").content.decode()
    assert "not yet" in page
    remove_dead(rest=0)
    record = FlushRecord.objects.get()
    assert record.removed_count == 1
    page = lead.get(reverse("admin:cachemgmt_flushrecord_changelist")).content.decode()
    assert "not yet" not in page
    assert not cache_engine().store.exists(key.name)
    address = reverse("admin:cachemgmt_flushrecord_change", args=[record.pk])
    assert "Removed" in lead.get(address).content.decode()


def test_age_is_said_as_a_time(lead: Client, store: Store) -> None:
    page = flush(lead, "age", KINDS["age"]).content.decode()
    assert "Flushed Made before " in page
    assert FlushRecord.objects.get().match not in page


def test_number_is_shown_before_anything_is_flushed(lead: Client, store: Store) -> None:
    key = store()
    page = flush(lead, "intent", {"intent": "refund_policy"}, confirm=False)
    assert "Flush 1 stored result" in page.content.decode()
    assert is_reused(key)
    assert not FlushRecord.objects.exists()


def test_nothing_matching_is_said(lead: Client) -> None:
    page = flush(lead, "document", {"document": "hats"}, confirm=False).content.decode()
    assert "flushing it changes nothing" in page
    assert "Flush anyway" in page


def test_get_flushes_nothing(lead: Client, store: Store) -> None:
    key = store()
    lead.get(FLUSH, {"what": "all", "reason": "By a link", "confirm": "yes"})
    assert is_reused(key)
    assert not FlushRecord.objects.exists()


def test_viewer_can_neither_see_nor_use_the_page(viewer: Client, store: Store) -> None:
    key = store()
    assert viewer.get(FLUSH).status_code == 403
    assert flush(viewer, "all").status_code == 403
    assert is_reused(key)


def test_request_from_another_site_is_refused(store: Store, lead: Client) -> None:
    lead.handler.enforce_csrf_checks = True
    key = store()
    assert flush(lead, "all").status_code == 403
    assert is_reused(key)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"what": "", "reason": "x"}, "Choose what to flush."),
        ({"what": "level", "level": "replies", "reason": "x"}, "There is no such level."),
        ({"what": "collection", "reason": "x"}, "Say which: a collection is to be flushed."),
        ({"what": "answer", "answer": "abc", "reason": "x"}, "16 digits and letters"),
        ({"what": "customer", "customer": " ", "reason": "x"}, "Say which: a customer is to be flushed."),
        ({"what": "customer", "customer": "x" * 201, "reason": "x"}, "at most 200 characters"),
        ({"what": "age", "age_0": "", "age_1": "60", "reason": "x"}, "Say how long ago."),
        ({"what": "age", "age_0": "0", "age_1": "60", "reason": "x"}, "At least 1."),
        ({"what": "age", "age_0": "366", "age_1": "86400", "reason": "x"}, "At most 365 days."),
        ({"what": "age", "age_0": "1", "age_1": "7", "reason": "x"}, "7 is not one of the available choices"),
        ({"what": "everything", "reason": "x"}, "everything is not one of the available choices"),
        ({"what": "all", "reason": " "}, "Say why"),
    ],
)
def test_what_is_missing_or_unknown_is_said_and_nothing_is_flushed(
    lead: Client, fields: dict[str, str], said: str
) -> None:
    page = lead.post(FLUSH, {**fields, "confirm": "yes"})
    assert said in page.content.decode()
    assert not FlushRecord.objects.exists()


def test_what_was_left_in_fields_not_chosen_is_no_hindrance(lead: Client, store: Store) -> None:
    key = store()
    flush(lead, "all", {"answer": "abc", "age_0": "-1", "age_1": "60", "customer": "x" * 300})
    assert not is_reused(key)


def test_unknown_number_is_not_said_to_be_zero(
    lead: Client, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = store()
    out = {"store": "memory", "is_healthy": False, "instead_of": "redis"}
    monkeypatch.setattr(cache_engine().store, "health_check", lambda: out)
    page = flush(lead, "all", confirm=False).content.decode()
    assert "Their number is not known. Redis does not answer at the moment." in page
    flush(lead, "all")
    assert FlushRecord.objects.get().matched_count is None
    assert not is_reused(key)


def test_entries_of_another_process_are_not_counted(lead: Client, settings: Any) -> None:
    settings.IS_SERVER = False
    page = flush(lead, "all", confirm=False).content.decode()
    assert "in the memory of the server, which this process cannot look into" in page


def test_busy_database_is_said_and_nothing_is_flushed(lead: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def locked(*_args: Any, **_options: Any) -> None:
        raise OperationalError("database is locked")

    monkeypatch.setattr(flushes, "flush_all", locked)
    page = flush(lead, "all")
    assert "The database is busy, so nothing was flushed." in page.content.decode()
    assert not FlushRecord.objects.exists()


def test_nobody_edits_or_deletes_a_record(boss: Client) -> None:
    flush(boss, "all")
    record = FlushRecord.objects.get()
    for action in ("change", "delete"):
        address = reverse(f"admin:cachemgmt_flushrecord_{action}", args=[record.pk])
        assert boss.post(address, {"post": "yes", "actor": "nobody"}).status_code == 403
    selected = {"action": "delete_selected", "_selected_action": [record.pk], "post": "yes"}
    boss.post(reverse("admin:cachemgmt_flushrecord_changelist"), selected)
    assert FlushRecord.objects.get().actor == "boss"


class TestSwitch:
    """The switch of the whole cache."""

    SWITCH = "/admin/cachemgmt/clock/switch/"

    def test_cache_is_switched_off_and_on_again(self, lead: Client, store: Store) -> None:
        key = store()
        page = lead.post(self.SWITCH, {"confirm": "yes", "is_on": "no"}, follow=True)
        assert "The cache is off now" in page.content.decode()
        assert not is_reused(key)
        lead.post(self.SWITCH, {"confirm": "yes", "is_on": "yes"})
        assert is_reused(key)
        assert LogEntry.objects.filter(change_message__contains="Switched the cache off").exists()

    def test_switching_twice_changes_nothing_more(self, lead: Client) -> None:
        page = lead.post(self.SWITCH, {"confirm": "yes", "is_on": "yes"}, follow=True)
        assert "The cache was on already" in page.content.decode()

    def test_get_asks_and_switches_nothing(self, lead: Client) -> None:
        page = lead.get(self.SWITCH, {"confirm": "yes", "is_on": "no"})
        assert "Switch the cache off?" in page.content.decode()
        assert Clock.objects.get().is_cache_on

    def test_viewer_cannot_switch(self, viewer: Client) -> None:
        assert viewer.post(self.SWITCH, {"confirm": "yes", "is_on": "no"}).status_code == 403
        assert Clock.objects.get().is_cache_on

    def test_clock_itself_cannot_be_edited(self, boss: Client) -> None:
        address = reverse("admin:cachemgmt_clock_change", args=[1])
        assert boss.post(address, {"number": 0}).status_code == 403
