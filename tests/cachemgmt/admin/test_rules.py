"""TTL rules: edited in words, and true for what is stored already."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from cachemgmt.models import TtlRule
from tests.cachemgmt.admin.conftest import Store, is_reused

Capture = Callable[..., AbstractContextManager[list[Any]]]
LIST = "/admin/cachemgmt/ttlrule/"


def rule(level: str, intent: str = "") -> TtlRule:
    return TtlRule.objects.get(level=level, intent=intent)


WINDOWS = {
    "stale_while_revalidate_s_0": "0",
    "stale_while_revalidate_s_1": "60",
    "stale_if_error_s_0": "1",
    "stale_if_error_s_1": "86400",
}
"""How the two windows are posted where they stay as they are."""


def edit(
    client: Client,
    row: TtlRule,
    number: int,
    unit_s: int,
    windows: Mapping[str, str] = WINDOWS,
    *,
    is_enabled: bool = True,
) -> Any:
    on = {"is_enabled": "on"} if is_enabled else {}
    address = reverse("admin:cachemgmt_ttlrule_change", args=[row.pk])
    return client.post(address, {"ttl_s_0": number, "ttl_s_1": unit_s, **windows, **on}, follow=True)


def test_switched_off_rule_acts_on_what_is_stored(
    lead: Client, store: Store, django_capture_on_commit_callbacks: Capture
) -> None:
    key = store()
    assert is_reused(key)
    with django_capture_on_commit_callbacks(execute=True):
        edit(lead, rule("response"), 30, 60, is_enabled=False)
    assert not is_reused(key)


def test_deleted_rule_gives_way_to_its_levels_rule(
    lead: Client, store: Store, django_capture_on_commit_callbacks: Capture
) -> None:
    own = TtlRule.objects.create(level="response", intent="refund_policy", ttl_s=60, is_enabled=False)
    key = store(level="reply")
    with django_capture_on_commit_callbacks(execute=True):
        edit(lead, rule("reply"), 30, 60, is_enabled=False)
    assert not is_reused(key)
    with django_capture_on_commit_callbacks(execute=True):
        lead.post(reverse("admin:cachemgmt_ttlrule_delete", args=[own.pk]), {"post": "yes"})
    assert not TtlRule.objects.filter(pk=own.pk).exists()


@pytest.mark.parametrize(
    ("number", "unit_s", "ttl_s"), [(45, 1, 45), (90, 60, 5_400), (2, 3_600, 7_200), (1, 86_400, 86_400)]
)
def test_time_is_a_number_and_a_unit(lead: Client, number: int, unit_s: int, ttl_s: int) -> None:
    edit(lead, rule("intent"), number, unit_s)
    assert rule("intent").ttl_s == ttl_s


@pytest.mark.parametrize(("number", "said"), [(0, "At least 1."), (366, "At most 365 days.")])
def test_impossible_time_is_refused(lead: Client, number: int, said: str) -> None:
    page = edit(lead, rule("policy"), number, 86_400)
    assert said in page.content.decode()
    assert rule("policy").ttl_s == 86_400


def test_times_are_said_in_words(lead: Client) -> None:
    TtlRule.objects.create(level="response", intent="refund_policy", ttl_s=5_400)
    page = lead.get(LIST).content.decode()
    for words in ("Complete answers", "30 minutes", "1 day", "1 hour 30 minutes", "Intent refund_policy"):
        assert words in page


def test_rule_for_an_intent_is_added(lead: Client) -> None:
    chosen = {"level": "reply", "intent": "refund_policy", "ttl_s_0": 2, "ttl_s_1": 3_600, "is_enabled": "on"}
    page = lead.post(f"{LIST}add/", {**chosen, **WINDOWS}, follow=True).content.decode()
    assert rule("reply", "refund_policy").ttl_s == 7_200
    assert (
        "Complete answers have another rule: 30 minutes, after that 1 day when no new one can be made."
        in page
    )


def test_windows_after_the_time_are_edited_and_said(lead: Client) -> None:
    windows = {
        **WINDOWS,
        "stale_while_revalidate_s_0": "90",
        "stale_if_error_s_0": "2",
        "stale_if_error_s_1": "3600",
    }
    page = edit(lead, rule("response"), 30, 60, windows).content.decode()
    saved = rule("response")
    assert (saved.stale_while_revalidate_s, saved.stale_if_error_s) == (5_400, 7_200)
    assert "1 hour 30 minutes while a new one is made, 2 hours when no new one can be made" in page
    assert "Written replies have another rule: 30 minutes, after that 1 day" in page


def test_windows_of_nothing_are_allowed(lead: Client) -> None:
    page = edit(lead, rule("response"), 30, 60, {**WINDOWS, "stale_if_error_s_0": "0"}).content.decode()
    assert rule("response").stale_if_error_s == 0
    assert "not used" in page


def test_form_shows_the_windows_as_numbers_and_units(lead: Client) -> None:
    row = rule("response")
    row.stale_while_revalidate_s, row.stale_if_error_s = 0, 7_200
    row.save()
    address = reverse("admin:cachemgmt_ttlrule_change", args=[row.pk])
    form = lead.get(address).context["adminform"].form
    widgets = [
        form[name].subwidgets[0].data["subwidgets"]
        for name in ("stale_while_revalidate_s", "stale_if_error_s")
    ]
    assert [[part["value"] for part in parts] for parts in widgets] == [["0", ["60"]], ["2", ["3600"]]]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"stale_while_revalidate_s_0": "-1"}, "At least 0."),
        ({"stale_if_error_s_0": "366"}, "At most 365 days."),
        ({"stale_if_error_s_0": ""}, "This field is required."),
        ({"stale_if_error_s_1": "7"}, "7 is not one of the available choices"),
    ],
)
def test_impossible_window_is_refused(lead: Client, changed: dict[str, str], said: str) -> None:
    page = edit(lead, rule("response"), 30, 60, {**WINDOWS, **changed})
    assert said in page.content.decode()
    assert (rule("response").stale_while_revalidate_s, rule("response").stale_if_error_s) == (0, 86_400)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"level": "policy", "intent": "refund_policy"}, "Found passages are shared by all intents"),
        ({"level": "reply", "intent": "no_such_intent"}, "is not one of the available choices"),
        ({"level": "answers", "intent": ""}, "is not one of the available choices"),
        ({"level": "reply", "intent": ""}, "already exists"),
    ],
)
def test_rule_that_means_nothing_is_refused(lead: Client, fields: dict[str, str], said: str) -> None:
    page = lead.post(f"{LIST}add/", {**fields, **WINDOWS, "ttl_s_0": 1, "ttl_s_1": 60, "is_enabled": "on"})
    assert said in page.content.decode()
    assert TtlRule.objects.count() == 4


def test_levels_own_rules_cannot_be_deleted(boss: Client) -> None:
    address = reverse("admin:cachemgmt_ttlrule_delete", args=[rule("response").pk])
    assert boss.post(address, {"post": "yes"}).status_code == 403
    everything = list(TtlRule.objects.values_list("pk", flat=True))
    boss.post(LIST, {"action": "delete_selected", "_selected_action": everything, "post": "yes"})
    assert TtlRule.objects.count() == 4


def test_level_and_intent_of_a_rule_stay(lead: Client) -> None:
    address = reverse("admin:cachemgmt_ttlrule_change", args=[rule("response").pk])
    fields = {"level": "reply", "intent": "refund_policy", "ttl_s_0": 1, "ttl_s_1": 60, **WINDOWS}
    lead.post(address, fields)
    assert rule("response").ttl_s == 60


def test_viewer_sees_rules_and_cannot_change_them(viewer: Client) -> None:
    assert viewer.get(LIST).status_code == 200
    assert edit(viewer, rule("response"), 1, 60).status_code == 403
    assert rule("response").ttl_s == 1_800
