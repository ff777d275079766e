"""Every page of the admin opens, for those who may see it and for nobody else."""

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.utils import timezone

from cachemgmt.flushing.flush import EVERYTHING, flush
from cachemgmt.models import LlmCall, MetricBucket, ModelPrice, WarmingRun
from tests.cachemgmt.admin.conftest import logged_in

LISTS = [
    "cachemgmt/flushrecord",
    "cachemgmt/ttlrule",
    "cachemgmt/warminglist",
    "cachemgmt/warmingrun",
    "cachemgmt/metricbucket",
    "cachemgmt/llmcall",
    "cachemgmt/modelprice",
    "chat/document",
    "chat/collection",
]
READ_ONLY = [
    "cachemgmt/flushrecord",
    "cachemgmt/warmingrun",
    "cachemgmt/metricbucket",
    "cachemgmt/llmcall",
    "cachemgmt/clock",
    "chat/document",
    "chat/collection",
]


@pytest.fixture
def rows() -> None:
    """A row in each of the lists."""
    flush(EVERYTHING, actor="boss", reason="Test")
    now = timezone.now()
    MetricBucket.objects.create(minute=now, level="answer", outcome="hit", collection="sample", count=1)
    LlmCall.objects.create(
        stage="classify", model="m", outcome="ok", purpose="customer", collection="sample", seconds=1.0
    )
    WarmingRun.objects.create(label="Monday", requested_by="lena", questions=[["sample", "One?"]])


@pytest.mark.parametrize("address", LISTS)
@pytest.mark.usefixtures("rows")
def test_list_opens_and_can_be_searched(lead: Client, address: str) -> None:
    assert lead.get(f"/admin/{address}/").status_code == 200
    assert lead.get(f"/admin/{address}/", {"q": "refund"}).status_code == 200


@pytest.mark.parametrize("address", ["cachemgmt/metricbucket", "cachemgmt/llmcall", "cachemgmt/flushrecord"])
@pytest.mark.usefixtures("rows")
def test_book_is_browsed_by_date(lead: Client, address: str) -> None:
    field = {"cachemgmt/metricbucket": "minute"}.get(address, "made_at")
    page = lead.get(f"/admin/{address}/", {f"{field}__year": timezone.now().year})
    assert page.status_code == 200


@pytest.mark.parametrize("address", READ_ONLY)
def test_nobody_adds_to_what_the_machine_writes(boss: Client, address: str) -> None:
    assert boss.get(f"/admin/{address}/add/").status_code == 403


def test_unknown_price_of_a_call_is_said_and_found(lead: Client, rows: None) -> None:
    page = lead.get("/admin/cachemgmt/llmcall/", {"cost": "unknown"}).content.decode()
    assert "unknown: no price" in page
    page = lead.get("/admin/cachemgmt/llmcall/", {"cost": "known"}).content.decode()
    assert "unknown: no price" not in page


def test_tokens_that_are_not_told_are_said_and_found(lead: Client, rows: None) -> None:
    LlmCall.objects.all().delete()
    about = {"stage": "generate", "model": "m", "outcome": "ok", "seconds": 1.0, "cost_usd": None}
    LlmCall.objects.create(**about, prompt_tokens=1200, completion_tokens=None)
    LlmCall.objects.create(**about, prompt_tokens=70, completion_tokens=8)
    pages = {
        cost: lead.get("/admin/cachemgmt/llmcall/", {"cost": cost}).content.decode()
        for cost in ("untold", "unpriced")
    }
    assert "1,200 / not told" in pages["untold"]
    assert "unknown: tokens not told" in pages["untold"]
    assert "70 / 8" not in pages["untold"]
    assert "70 / 8" in pages["unpriced"]
    assert "not told</" not in pages["unpriced"]


def test_price_is_added_by_a_lead(lead: Client) -> None:
    fields = {
        "model_pattern": "house-*",
        "valid_from": "01/02/2026",
        "input_usd": "1",
        "cached_input_usd": "",
        "output_usd": "2",
    }
    page = lead.post("/admin/cachemgmt/modelprice/add/", fields, follow=True)
    assert ModelPrice.objects.get(model_pattern="house-*").output_usd == 2
    assert "Calls are reckoned by this from now on." in page.content.decode()


def test_leads_manage_no_users(lead: Client) -> None:
    assert lead.get("/admin/auth/user/").status_code == 403
    assert "Users" not in {entry["title"] for entry in menu(lead)}


def test_boss_manages_users(boss: Client) -> None:
    assert boss.get("/admin/auth/user/").status_code == 200
    assert "Users" in {entry["title"] for entry in menu(boss)}


def menu(client: Client) -> list[dict[str, str]]:
    groups = client.get("/admin/").context["sidebar_navigation"]
    return [entry for group in groups for entry in group["items"]]


@pytest.mark.parametrize(
    ("address", "title"),
    [
        ("/admin/", "Dashboard"),
        ("/admin/cachemgmt/flushrecord/flush/", "Flush…"),
        ("/admin/cachemgmt/flushrecord/", "Flushes so far"),
        ("/admin/cachemgmt/clock/switch/", "On or off"),
    ],
)
def test_menu_marks_the_page_one_is_on(lead: Client, address: str, title: str) -> None:
    groups = lead.get(address).context["sidebar_navigation"]
    assert [item["title"] for group in groups for item in group["items"] if item["active"]] == [title]


def test_group_of_leads_can_do_what_leads_do_and_no_more() -> None:
    held = set(Group.objects.get(name="Support leads").permissions.values_list("codename", flat=True))
    assert {"flush_cache", "warm_cache", "change_clock", "change_ttlrule", "change_document"} <= held
    assert not {"delete_flushrecord", "change_llmcall", "change_user", "delete_document"} & held


def test_stranger_is_sent_to_the_login() -> None:
    customer = logged_in(User.objects.create_user("carl"))
    page = customer.get("/admin/cachemgmt/flushrecord/flush/")
    assert page.status_code == 302
    assert "/admin/login/" in page["Location"]
