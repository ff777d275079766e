"""API keys in the admin."""

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db import OperationalError
from django.test import Client

from access.keys import digest_of
from access.models import ApiKey
from chat.models import Collection
from tests.access.conftest import MakeKey, ask, problem
from tests.cachemgmt.admin.conftest import lead, viewer

__all__ = ["lead", "viewer"]

KEYS = "/admin/access/apikey/"
REVOKE = f"{KEYS}revoke/"


@pytest.fixture
def boss(shop: Collection) -> Client:
    """A superuser."""
    client = Client()
    client.force_login(User.objects.create_superuser("boss"))
    return client


def add(boss: Client, **fields: Any) -> Any:
    return boss.post(f"{KEYS}add/", {"name": "website", "may_ask": "on", **fields})


@pytest.mark.django_db(transaction=True)
def test_a_key_is_shown_once_and_asks(boss: Client) -> None:
    page = add(boss, collections=["shop"])
    assert page.status_code == 200
    found = re.search(r'id="api-key">(tria_[0-9a-f]{12}_[\w-]{43})<', page.content.decode())
    assert found
    row = ApiKey.objects.get()
    assert row.digest == digest_of(found[1])
    assert row.created_by == "boss"
    assert row.collections == ["shop"]
    assert "no-store" in page["Cache-Control"]
    assert ask(found[1]).status_code == 200
    for later in (KEYS, f"{KEYS}{row.pk}/change/", f"{KEYS}{row.pk}/history/"):
        assert found[1].rpartition("_")[2] not in boss.get(later).content.decode()
    assert not any(found[1] in str(one.get_decoded()) for one in Session.objects.all())


@pytest.mark.django_db(transaction=True)
def test_a_key_is_revoked(boss: Client, make_key: MakeKey) -> None:
    key = make_key("ask")
    row = ApiKey.objects.get()
    page = boss.post(KEYS, {"action": "revoke_chosen", "_selected_action": [row.pk]}, follow=True)
    assert "help desk" in page.content.decode()
    assert ask(key).status_code == 200  # nothing happens before the yes
    answer = boss.post(REVOKE, {**page.context["confirmation"].carried, "confirm": "yes"}, follow=True)
    assert "Revoked from the next question on: help desk" in answer.content.decode()
    assert problem(ask(key)) == (401, "key-unknown", None)
    again = boss.get(REVOKE, {"key": row.pk}, follow=True)
    assert "revoked already" in again.content.decode()
    assert boss.post(f"{KEYS}{row.pk}/change/", {"name": "x", "may_ask": "on"}).status_code == 403


@pytest.mark.django_db(transaction=True)
def test_a_busy_database_revokes_all_keys_or_none(
    boss: Client, make_key: MakeKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_key("ask")
    make_key("ask")
    revoke = ApiKey.revoke
    revoked: list[ApiKey] = []

    def fail_at_the_second(key: ApiKey) -> None:
        if revoked:
            raise OperationalError("database is locked")
        revoked.append(key)
        revoke(key)

    monkeypatch.setattr(ApiKey, "revoke", fail_at_the_second)
    keys = ",".join(str(pk) for pk in ApiKey.objects.values_list("pk", flat=True))
    page = boss.post(REVOKE, {"key": keys, "confirm": "yes"}, follow=True)
    assert "no key was revoked" in page.content.decode()
    assert ApiKey.objects.filter(revoked_at=None).count() == 2


@pytest.mark.django_db(transaction=True)
def test_rights_are_changed(boss: Client, make_key: MakeKey) -> None:
    key = make_key("ask")
    row = ApiKey.objects.get()
    boss.post(f"{KEYS}{row.pk}/change/", {"name": "x", "collections": ["hats"], "may_metrics": "on"})
    assert problem(ask(key)) == (403, "not-allowed", None)


@pytest.mark.parametrize(
    "fields",
    [
        {"name": ""},
        {"collections": ["nowhere"]},
        {"asks_per_minute": "-1"},
        {"expires_at_0": "2020-01-01", "expires_at_1": "00:00"},
    ],
)
def test_what_is_wrong_is_said_and_no_key_made(boss: Client, fields: dict[str, Any]) -> None:
    page = add(boss, **fields)
    assert "errorlist" in page.content.decode() or "error" in page.content.decode()
    assert not ApiKey.objects.exists()


def test_a_lead_sees_no_keys(lead: Client, make_key: MakeKey) -> None:
    make_key("ask")
    assert lead.get(KEYS).status_code == 403
    assert lead.get(f"{KEYS}add/").status_code == 403


def test_a_viewer_changes_nothing(viewer: Client, make_key: MakeKey) -> None:
    make_key("ask")
    row = ApiKey.objects.get()
    assert viewer.get(KEYS).status_code == 200
    assert viewer.post(f"{KEYS}add/", {"name": "x"}).status_code == 403
    viewer.post(KEYS, {"action": "revoke_chosen", "_selected_action": [row.pk]})
    assert viewer.post(REVOKE, {"key": row.pk, "confirm": "yes"}).status_code == 403
    row.refresh_from_db()
    assert row.revoked_at is None


@pytest.mark.parametrize(
    ("text", "is_right"),
    [
        ("https://www.shop.example\nhttp://localhost:3000", True),
        ("", True),
        ("https://www.shop.example/", False),
        ("www.shop.example", False),
        ("*", False),
        ("https://www.shop.example\nnull", False),
    ],
)
def test_origins_are_edited_and_checked(boss: Client, shop: Collection, text: str, is_right: bool) -> None:
    row = Collection.objects.get(slug="shop")
    boss.post(f"/admin/chat/collection/{row.pk}/change/", {"allowed_origins": text})
    row.refresh_from_db()
    assert row.allowed_origins.split() == (text.split() if is_right else [])
