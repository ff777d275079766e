"""Warming lists: pasted, corrected, asked for."""

from datetime import timedelta
from decimal import Decimal
from importlib import import_module
from typing import Any

import pytest
from django.apps import apps
from django.db import OperationalError
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from cachemgmt.admin import warming_lists
from cachemgmt.models import Clock, WarmingList, WarmingRun
from cachemgmt.warming.runs import request_run

WARM = "/admin/cachemgmt/warminglist/warm/"
EMPTY_INLINE: dict[str, Any] = {"queries-TOTAL_FORMS": 0, "queries-INITIAL_FORMS": 0}


@pytest.fixture
def monday() -> WarmingList:
    """A list with two questions."""
    row = WarmingList.objects.create(name="Monday")
    for position, question in enumerate(("How long do refunds take?", "Do you ship abroad?")):
        row.queries.create(question=question, position=position)
    return row


def ended_run(*lists: WarmingList, **fields: Any) -> WarmingRun:
    """Return a run of the lists that ended an hour ago."""
    run = request_run(lists, requested_by="lena")
    hour_ago = timezone.now() - timedelta(hours=1)
    WarmingRun.objects.filter(pk=run.pk).update(state="done", ended_at=hour_ago, **fields)
    return run


def change_url(row: WarmingList) -> str:
    return reverse("admin:cachemgmt_warminglist_change", args=[row.pk])


def fields_of(row: WarmingList, **changes: str) -> dict[str, Any]:
    """Return what a browser sends for the list's page."""
    queries = list(row.queries.all())
    inline: dict[str, Any] = {"queries-TOTAL_FORMS": len(queries), "queries-INITIAL_FORMS": len(queries)}
    for number, query in enumerate(queries):
        inline[f"queries-{number}-id"] = query.pk
        inline[f"queries-{number}-warming_list"] = row.pk
        inline[f"queries-{number}-question"] = query.question
    return {"name": row.name, "description": "", "collection": "", "is_active": "on", **inline, **changes}


def questions(row: WarmingList) -> list[str]:
    return list(row.queries.values_list("question", flat=True))


def test_pasted_lines_become_questions(lead: Client, monday: WarmingList) -> None:
    pasted = "Can I pay later?\r\n\r\n  Do you ship   abroad? \r\nCan I pay later?\r\nIs there a shop?"
    page = lead.post(change_url(monday), fields_of(monday, new_questions=pasted), follow=True)
    assert questions(monday) == [
        "How long do refunds take?",
        "Do you ship abroad?",
        "Can I pay later?",
        "Is there a shop?",
    ]
    assert "2 questions added. 1 were in the list already." in page.content.decode()


def test_question_that_is_too_long_is_named_by_its_line(lead: Client, monday: WarmingList) -> None:
    page = lead.post(change_url(monday), fields_of(monday, new_questions="ok?\n" + "x" * 4001))
    assert "Line 2 has 4,001 characters" in page.content.decode()
    assert len(questions(monday)) == 2


def test_new_list_is_made_with_its_questions(lead: Client) -> None:
    fields = {"name": "New", "is_active": "on", "new_questions": "One?\nTwo?", **EMPTY_INLINE}
    lead.post(reverse("admin:cachemgmt_warminglist_add"), fields)
    assert questions(WarmingList.objects.get(name="New")) == ["One?", "Two?"]


def test_question_is_corrected_and_deleted(lead: Client, monday: WarmingList) -> None:
    changes = {"queries-0-question": "How long does a refund take?", "queries-1-DELETE": "on"}
    lead.post(change_url(monday), fields_of(monday, **changes))
    assert questions(monday) == ["How long does a refund take?"]


def test_long_list_is_shown_and_saved_in_pages(lead: Client, monday: WarmingList) -> None:
    for number in range(120):
        monday.queries.create(question=f"Question {number}?", position=number + 2)
    second_page = f"{change_url(monday)}?queries-page=2"
    shown = lead.get(second_page).context["inline_admin_formsets"][0].formset
    fields = {"name": "Monday", "is_active": "on", **EMPTY_INLINE}
    fields |= {"queries-TOTAL_FORMS": len(shown.forms), "queries-INITIAL_FORMS": len(shown.forms)}
    for number, form in enumerate(shown.forms):
        fields[f"queries-{number}-id"] = form.instance.pk
        fields[f"queries-{number}-question"] = form.instance.question.replace("Question 48?", "Changed?")
    assert 0 < len(shown.forms) < 120
    assert lead.post(second_page, fields).status_code == 302
    assert "Changed?" in questions(monday)
    assert len(questions(monday)) == 122


def test_confirmation_says_how_many_questions_and_what_it_cost(lead: Client, monday: WarmingList) -> None:
    ended_run(monday, filled=2, spent_usd=Decimal("0.1223"))
    page = lead.get(WARM, {"list": monday.pk}).content.decode()
    assert "Answer 2 questions ahead?" in page
    assert "1 hour ago: 2 made, 0 already there; cost $0.1223" in page


def test_unknown_cost_is_said_to_be_unknown(lead: Client, monday: WarmingList) -> None:
    assert "what it costs is not known" in lead.get(WARM, {"list": monday.pk}).content.decode()
    ended_run(monday)
    assert "cost not known" in lead.get(WARM, {"list": monday.pk}).content.decode()


def test_warming_is_requested_and_leads_to_the_run(lead: Client, monday: WarmingList) -> None:
    page = lead.post(WARM, {"list": monday.pk, "confirm": "yes"}, follow=True)
    run = WarmingRun.objects.get()
    assert page.redirect_chain[-1][0] == reverse("admin:cachemgmt_warmingrun_change", args=[run.pk])
    assert (run.state, run.requested_by) == ("waiting", "lena")
    assert run.questions == [["sample", question] for question in questions(monday)]
    assert "the server takes this up within a few seconds" in page.content.decode()


def test_second_click_leads_to_the_same_run(lead: Client, monday: WarmingList) -> None:
    for _ in range(2):
        page = lead.post(WARM, {"list": monday.pk, "confirm": "yes"}, follow=True)
    assert "being warmed already" in page.content.decode()
    assert WarmingRun.objects.count() == 1


def test_warming_into_a_cache_that_is_off_is_warned_of(lead: Client, monday: WarmingList) -> None:
    Clock.objects.update(is_cache_on=False)
    page = lead.get(WARM, {"list": monday.pk}).content.decode()
    assert "The cache is off, so nothing would be stored" in page


def test_selected_lists_are_asked_about_together(lead: Client, monday: WarmingList) -> None:
    tuesday = WarmingList.objects.create(name="Tuesday", collection="sample")
    tuesday.queries.create(question="Do you ship abroad?")
    chosen = {"action": "warm_selected", "_selected_action": [monday.pk, tuesday.pk]}
    page = lead.post(reverse("admin:cachemgmt_warminglist_changelist"), chosen, follow=True)
    assert "Answer 2 questions ahead?" in page.content.decode()
    assert not WarmingRun.objects.exists()
    lead.post(WARM, {"list": f"{monday.pk},{tuesday.pk}", "confirm": "yes"})
    assert len(WarmingRun.objects.get().questions) == 2


@pytest.mark.parametrize("asked", ["", "0", "x", "9" * 30])
def test_nothing_to_warm_is_said(lead: Client, asked: str) -> None:
    page = lead.post(WARM, {"list": asked, "confirm": "yes"}, follow=True)
    assert "There are no questions to warm." in page.content.decode()
    assert not WarmingRun.objects.exists()


def test_get_requests_nothing(lead: Client, monday: WarmingList) -> None:
    lead.get(f"{WARM}?list={monday.pk}&confirm=yes")
    lead.get(reverse("admin:cachemgmt_warminglist_warm_this", args=[monday.pk]), follow=True)
    assert not WarmingRun.objects.exists()


def test_viewer_cannot_warm(viewer: Client, monday: WarmingList) -> None:
    assert viewer.post(WARM, {"list": monday.pk, "confirm": "yes"}).status_code == 403
    detail = reverse("admin:cachemgmt_warminglist_warm_this", args=[monday.pk])
    assert viewer.get(detail).status_code == 403
    assert "Warm this list" not in viewer.get(change_url(monday)).content.decode()
    assert not WarmingRun.objects.exists()


def test_viewer_cannot_add_questions(viewer: Client, monday: WarmingList) -> None:
    page = viewer.get(change_url(monday)).content.decode()
    assert "How long do refunds take?" in page
    assert "Add questions" not in page
    assert viewer.post(change_url(monday), fields_of(monday, new_questions="x?")).status_code == 403


def test_busy_database_is_said(lead: Client, monday: WarmingList, monkeypatch: pytest.MonkeyPatch) -> None:
    def locked(*_args: Any, **_options: Any) -> None:
        raise OperationalError("database is locked")

    monkeypatch.setattr(warming_lists, "request_run", locked)
    page = lead.post(WARM, {"list": monday.pk, "confirm": "yes"}, follow=True)
    assert "The database is busy, so no warming was asked for." in page.content.decode()


LIST = "admin:cachemgmt_warminglist_changelist"


class TestHistory:
    """A run belongs to its lists, whatever these are called."""

    def test_renamed_list_keeps_its_runs(self, lead: Client, monday: WarmingList) -> None:
        ended_run(monday, filled=2)
        monday.name = "Every Monday"
        monday.save()
        WarmingList.objects.create(name="Monday")  # another, under the name of before
        page = lead.get(reverse(LIST)).content.decode()
        assert page.count("1 hour ago: 2 made") == 1
        assert "1 hour ago: 2 made" in lead.get(WARM, {"list": monday.pk}).content.decode()

    def test_runs_of_a_list_are_shown(self, viewer: Client, monday: WarmingList) -> None:
        tuesday = WarmingList.objects.create(name="Tuesday")
        run, other = ended_run(monday), ended_run(tuesday)
        runs = f"{reverse('admin:cachemgmt_warmingrun_changelist')}?lists__id__exact={monday.pk}"
        assert f'href="{runs}">1</a>' in viewer.get(reverse(LIST)).content.decode()
        page = viewer.get(runs).content.decode()
        assert reverse("admin:cachemgmt_warmingrun_change", args=[run.pk]) in page
        assert reverse("admin:cachemgmt_warmingrun_change", args=[other.pk]) not in page

    def test_run_of_several_lists_is_each_ones_last(self, lead: Client, monday: WarmingList) -> None:
        tuesday = WarmingList.objects.create(name="Tuesday")
        tuesday.queries.create(question="Do you ship abroad?")
        ended_run(monday, tuesday, filled=2)
        both = lead.get(WARM, {"list": f"{monday.pk},{tuesday.pk}"}).content.decode()
        assert "1 hour ago: 2 made" in both
        assert "together with other lists" not in both
        assert "together with other lists" in lead.get(WARM, {"list": monday.pk}).content.decode()

    def test_other_lists_run_is_not_this_ones(self, lead: Client, monday: WarmingList) -> None:
        tuesday = WarmingList.objects.create(name="Tuesday")
        ended_run(tuesday)
        for asked in (str(monday.pk), f"{monday.pk},{tuesday.pk}"):
            assert "what it costs is not known" in lead.get(WARM, {"list": asked}).content.decode()

    def test_deleted_list_leaves_its_runs(self, monday: WarmingList) -> None:
        run = ended_run(monday)
        monday.delete()
        assert (WarmingRun.objects.get(pk=run.pk).label, run.lists.count()) == ("Monday", 0)

    def test_runs_of_before_are_tied_to_the_list_of_that_name(self, monday: WarmingList) -> None:
        known = WarmingRun.objects.create(label="Monday", requested_by="x", questions=[])
        gone = WarmingRun.objects.create(label="Sunday", requested_by="x", questions=[])
        several = WarmingRun.objects.create(label="Monday, Sunday", requested_by="x", questions=[])
        import_module("cachemgmt.migrations.0008_runs_of_lists").tie_runs(apps, None)
        assert list(known.lists.all()) == [monday]
        assert (gone.lists.count(), several.lists.count()) == (0, 0)


class TestRun:
    """The page of a run."""

    def page_of(self, client: Client, **fields: Any) -> str:
        asked = [["sample", "One?"], ["sample", "Two?"]]
        run = WarmingRun.objects.create(label="Monday", requested_by="lena", questions=asked, **fields)
        address = reverse("admin:cachemgmt_warmingrun_change", args=[run.pk])
        return client.get(address).content.decode()

    def test_running_run_refreshes_itself(self, viewer: Client) -> None:
        page = self.page_of(viewer, state="running", filled=1)
        assert "1 of 2 questions are done." in page
        assert "every 2s" in page

    def test_ended_run_says_what_became_of_it(self, viewer: Client) -> None:
        page = self.page_of(viewer, state="done", filled=1, reused=1, spent_usd=Decimal("0.06"))
        assert "All 2 questions are answered from the cache now." in page
        assert "spent: $0.0600" in page
        assert "every 2s" not in page

    def test_problems_are_listed_safely(self, viewer: Client) -> None:
        page = self.page_of(viewer, state="failed", filled=1, failed=1, problems=["<b>One?</b>: timed out"])
        assert "1 of 2 questions are answered from the cache now." in page
        assert "&lt;b&gt;One?&lt;/b&gt;: timed out" in page

    def test_unknown_cost_is_not_zero(self, viewer: Client) -> None:
        assert "spent: not known" in self.page_of(viewer, state="done", filled=2)

    def test_run_that_nobody_takes_up_says_so(self, viewer: Client) -> None:
        page = self.page_of(viewer, requested_at=timezone.now() - timedelta(minutes=5))
        assert "No server has taken this up for 5 minutes." in page
