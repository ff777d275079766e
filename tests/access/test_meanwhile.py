"""What changes while a request is under way, or somebody else saves."""

import time
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from access.models import ApiKey
from cachemgmt.decisions.database import snapshot
from chat.http import bodies, views
from chat.models import Collection
from tests.access.conftest import MakeKey, ask, post, problem

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("shop", "over_redis")]


@pytest.fixture
def boss() -> Client:
    """A superuser."""
    client = Client()
    client.force_login(User.objects.create_superuser("boss"))
    return client


def test_a_key_revoked_while_the_body_arrives_is_refused(
    make_key: MakeKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = make_key("ask")
    ask(key)
    read_body = bodies.read_body

    def slowly(*arguments: Any) -> Any:
        ApiKey.objects.get().revoke()
        snapshot().catch_up()
        return read_body(*arguments)

    monkeypatch.setattr(views, "read_body", slowly)
    assert problem(ask(key)) == (401, "key-unknown", None)


@pytest.mark.parametrize(("is_session", "told"), [(False, "key-expired"), (True, "session-over")])
def test_who_runs_out_while_the_body_arrives_is_refused(
    make_key: MakeKey, monkeypatch: pytest.MonkeyPatch, *, is_session: bool, told: str
) -> None:
    in_an_hour = timezone.now() + timedelta(hours=1)
    caller = make_key("ask", **({} if is_session else {"expires_at": in_an_hour}))
    if is_session:
        caller = post("/api/sessions", caller, {}).json()["token"]
    ask(caller)
    read_body, now = bodies.read_body, time.time

    def slowly(*arguments: Any) -> Any:
        monkeypatch.setattr(time, "time", lambda: now() + 3601)
        return read_body(*arguments)

    monkeypatch.setattr(views, "read_body", slowly)
    assert problem(ask(caller)) == (401, told, None)


def test_a_key_moved_to_another_collection_is_told_nothing_of_the_old_one(make_key: MakeKey) -> None:
    key = make_key("ask", collections=["shop"])
    ask(key)
    assert ask(key).json()["cache"]["status"] == "hit"
    row = ApiKey.objects.get()
    row.collections = ["hats"]
    row.save()
    assert problem(ask(key)) == (403, "not-allowed", "collection")


def test_saving_origins_does_not_undo_a_publication(boss: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    row = Collection.objects.get(slug="shop")
    save = Collection.save

    def published_first(self: Collection, *arguments: Any, **options: Any) -> None:
        Collection.objects.filter(pk=row.pk).update(revision="f" * 24)
        save(self, *arguments, **options)

    monkeypatch.setattr(Collection, "save", published_first)
    boss.post(f"/admin/chat/collection/{row.pk}/change/", {"allowed_origins": "https://www.shop.example"})
    row.refresh_from_db()
    assert row.revision == "f" * 24
    assert row.allowed_origins == "https://www.shop.example"


def test_saving_a_key_does_not_put_a_revoked_one_back(
    boss: Client, make_key: MakeKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_key("ask")
    row = ApiKey.objects.get()
    save = ApiKey.save

    def revoked_first(self: ApiKey, *arguments: Any, **options: Any) -> None:
        monkeypatch.setattr(ApiKey, "save", save)
        ApiKey.objects.get().revoke()
        save(self, *arguments, **options)

    monkeypatch.setattr(ApiKey, "save", revoked_first)
    boss.post(f"/admin/access/apikey/{row.pk}/change/", {"name": "new name", "may_ask": "on"})
    row.refresh_from_db()
    assert row.revoked_at is not None
    assert row.name == "new name"


def test_who_revoked_a_key_is_on_record(boss: Client, make_key: MakeKey) -> None:
    make_key("ask")
    row = ApiKey.objects.get()
    boss.post("/admin/access/apikey/revoke/", {"key": row.pk, "confirm": "yes"})
    entry = LogEntry.objects.get()
    assert entry.user.username == "boss"
    assert "Revoked" in entry.get_change_message()
