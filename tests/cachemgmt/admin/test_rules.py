"""TTL rules: edited in words, and true for what is stored already."""

from collections.abc import Callable
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


def edit(client: Client, row: TtlRule, number: int, unit_s: int, *, is_enabled: bool = True) -> Any:
    on = {"is_enabled": "on"} if is_enabled else {}
    address = reverse("admin:cachemgmt_ttlrule_change", args=[row.pk])
    return client.post(address, {"ttl_s_0": number, "ttl_s_1": unit_s, **on}, follow=True)


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
    fields = {"level": "reply", "intent": "refund_policy", "ttl_s_0": 2, "ttl_s_1": 3_600, "is_enabled": "on"}
    page = lead.post(f"{LIST}add/", fields, follow=True).content.decode()
    assert rule("reply", "refund_policy").ttl_s == 7_200
    assert "Complete answers have another rule: 30 minutes." in page


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
    page = lead.post(f"{LIST}add/", {**fields, "ttl_s_0": 1, "ttl_s_1": 60, "is_enabled": "on"})
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
    fields = {"level": "reply", "intent": "refund_policy", "ttl_s_0": 1, "ttl_s_1": 60}
    lead.post(address, fields)
    assert rule("response").ttl_s == 60


def test_viewer_sees_rules_and_cannot_change_them(viewer: Client) -> None:
    assert viewer.get(LIST).status_code == 200
    assert edit(viewer, rule("response"), 1, 60).status_code == 403
    assert rule("response").ttl_s == 1_800
