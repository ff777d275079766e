"""Whatever changes a decision raises the clock, in one transaction: each way that Django has to write."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.apps import apps
from django.contrib.auth.models import User
from django.core import serializers
from django.core.management import call_command
from django.db import connection, models, transaction

from access.models import ApiKey
from cachemgmt.announcing import announce_clock
from cachemgmt.decision import Decision, clock_advanced
from cachemgmt.models import Clock, TtlRule
from chat.models import Collection

pytestmark = pytest.mark.django_db(transaction=True)

Write = Callable[[ApiKey], object]
KEYS = ApiKey.objects


def new(name: str) -> ApiKey:
    return ApiKey(name=name, key_id=name, digest=name)


def number() -> int:
    return Clock.objects.values_list("number", flat=True).first() or 0


@pytest.fixture
def key() -> ApiKey:
    """A key that is in force."""
    row = new("old")
    row.save()
    return row


def load_data(key: ApiKey, folder: Path) -> None:
    """Load the row from a file, as `loaddata` does."""
    file = folder / "keys.json"
    file.write_text(serializers.serialize("json", [key]))
    call_command("loaddata", str(file), verbosity=0)


WRITES: dict[str, Write] = {
    "save": lambda key: key.save(),
    "save of a field": lambda key: key.save(update_fields=["name"]),
    "asave": lambda key: async_to_sync(key.asave)(),
    "delete": lambda key: key.delete(),
    "adelete": lambda key: async_to_sync(key.adelete)(),
    "create": lambda _: KEYS.create(name="new", key_id="new", digest="new"),
    "get_or_create": lambda _: KEYS.get_or_create(key_id="new", defaults={"digest": "new"}),
    "update_or_create": lambda key: KEYS.update_or_create(key_id=key.key_id, defaults={"name": "new"}),
    "aupdate_or_create": lambda key: async_to_sync(KEYS.all().aupdate_or_create)(
        key_id=key.key_id, defaults={"name": "new"}
    ),
    "update": lambda _: KEYS.update(name="new"),
    "aupdate": lambda _: async_to_sync(KEYS.all().aupdate)(name="new"),
    "update of some": lambda key: KEYS.filter(key_id=key.key_id).exclude(name="x").update(name="new"),
    "base manager": lambda _: ApiKey._base_manager.all().update(name="new"),
    "bulk_create": lambda _: KEYS.bulk_create([new("new")]),
    "abulk_create": lambda _: async_to_sync(KEYS.all().abulk_create)([new("new")]),
    "bulk_create over conflicts": lambda key: KEYS.bulk_create(
        [new(key.key_id)], update_conflicts=True, unique_fields=["key_id"], update_fields=["name"]
    ),
    "bulk_update": lambda key: KEYS.bulk_update([key], ["name"]),
    "abulk_update": lambda key: async_to_sync(KEYS.all().abulk_update)([key], ["name"]),
    "delete of a queryset": lambda _: KEYS.all().delete(),
    "adelete of a queryset": lambda _: async_to_sync(KEYS.all().adelete)(),
    "raw delete": lambda _: KEYS.all()._raw_delete(KEYS.db),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
def test_each_way_to_write_raises_the_clock(key: ApiKey, write: Write) -> None:
    before = number()
    write(key)
    assert number() == before + 1


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
def test_a_change_without_its_raise_is_not_committed(
    key: ApiKey, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    before = list(KEYS.values_list())
    monkeypatch.setattr(Clock.objects, "advance", fail)
    with pytest.raises(ZeroDivisionError):
        write(key)
    assert list(KEYS.values_list()) == before


def test_loaded_data_raises_the_clock(key: ApiKey, tmp_path: Path) -> None:
    before = number()
    load_data(key, tmp_path)
    assert number() == before + 1


def test_a_deserialized_row_is_refused_outside_a_transaction(key: ApiKey) -> None:
    key.name = "changed"
    (row,) = serializers.deserialize("json", serializers.serialize("json", [key]))
    with pytest.raises(RuntimeError, match=r"transaction\.atomic\(\)"):
        row.save()
    assert KEYS.get().name == "old"
    before = number()
    with transaction.atomic():
        row.save()
    assert (KEYS.get().name, number()) == ("changed", before + 1)


@pytest.fixture
def own_rows(transactional_db: None) -> Any:
    """A decision that belongs to a user, as none of the product's does, with its table."""

    class OfUser(Decision):
        owner = models.ForeignKey(User, null=True, on_delete=models.CASCADE, related_name="decisions")
        other = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")

        class Meta:
            app_label = "cachemgmt"  # one that is installed: Django cascades to those alone

        def __str__(self) -> str:
            return str(self.pk)

    with connection.schema_editor() as editor:
        editor.create_model(OfUser)
    yield OfUser
    with connection.schema_editor() as editor:
        editor.delete_model(OfUser)
    del apps.all_models["cachemgmt"]["ofuser"]
    apps.clear_cache()


RELATED: dict[str, Callable[[Any, Any], object]] = {
    "cascade": lambda owner, _: owner.delete(),
    "cascade of a queryset": lambda _, __: User.objects.filter(username="owner").delete(),
    "set to null": lambda _, __: User.objects.filter(username="other").delete(),
    "add": lambda owner, row: owner.decisions.add(row),
    "create": lambda owner, _: owner.decisions.create(),
    "remove": lambda owner, row: owner.decisions.remove(row),
    "clear": lambda owner, _: owner.decisions.clear(),
    "set": lambda owner, _: owner.decisions.set([]),
    "update": lambda owner, _: owner.decisions.update(other=None),
}


@pytest.mark.parametrize("write", RELATED.values(), ids=RELATED.keys())
def test_a_change_by_a_relation_raises_the_clock(own_rows: Any, write: Callable[[Any, Any], object]) -> None:
    owner, other = User.objects.create(username="owner"), User.objects.create(username="other")
    row = own_rows.objects.create(owner=owner, other=other)
    before = number()
    write(owner, row)
    assert number() == before + 1


def test_no_decision_has_rows_that_no_signal_tells_of() -> None:
    decisions = [model for model in apps.get_models() if issubclass(model, Decision)]
    assert {ApiKey, TtlRule, Collection} <= set(decisions)
    for model in decisions:
        assert not model._meta.many_to_many, model
        assert not model._meta.parents, model
        assert type(model._base_manager) is type(model._default_manager), model


def test_what_decides_nothing_leaves_the_clock_alone(key: ApiKey) -> None:
    before = number()
    KEYS.unannounced().filter(pk=key.pk).update(last_used_at=key.created_at)
    KEYS.filter(name="nobody's").update(name="x")
    KEYS.filter(name="nobody's").delete()
    KEYS.bulk_create([])
    assert number() == before
    assert KEYS.get().last_used_at == key.created_at


def test_each_raise_is_told_after_the_commit_by_one_signal() -> None:
    assert announce_clock in [receiver() for _, receiver, *_ in clock_advanced.receivers]
    heard: list[int] = []

    def hear(number: int, **_signal: Any) -> None:
        heard.append(number)

    clock_advanced.connect(hear)
    try:
        with transaction.atomic():
            told = Clock.objects.advance()
            assert heard == []
    finally:
        clock_advanced.disconnect(hear)
    assert heard == [told]
