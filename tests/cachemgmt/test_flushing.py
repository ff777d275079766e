"""A flush removes what it names, says what it did, and leaves a record."""

import logging
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from cachemgmt.flushing import (
    EVERYTHING,
    Target,
    collection_target,
    count_matching,
    flush,
    level_target,
    switch_cache,
)
from cachemgmt.models import Clock, FlushRecord
from tests.cachemgmt.conftest import Shelf

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def in_the_server(settings: Any) -> None:
    """This process is the one whose memory holds the entries."""
    settings.IS_SERVER = True


@pytest.mark.parametrize(
    ("target", "gone"),
    [
        (EVERYTHING, {"refund", "refund reply", "bank", "shipping"}),
        (level_target("reply"), {"refund reply"}),
        (collection_target("bank"), {"bank"}),
        (Target(kind="tag", match="intent:refund_policy"), {"refund", "refund reply"}),
        (Target(kind="tag", match="doc:shipping"), {"shipping"}),
        (Target(kind="pattern", match="response:shop:*"), {"refund", "shipping"}),
        (Target(kind="pattern", match="*:*ship*"), {"shipping"}),
        (Target(kind="tag", match="doc:nothing"), set()),
    ],
    ids=str,
)
def test_a_flush_removes_what_it_names_and_nothing_else(shelf: Shelf, target: Target, gone: set[str]) -> None:
    keys = {
        "refund": shelf.put("what is the refund policy", tags=("intent:refund_policy",)),
        "refund reply": shelf.put("what is the refund", level="reply", tags=("intent:refund_policy",)),
        "bank": shelf.put("what is the refund policy", collection="bank"),
        "shipping": shelf.put("how long does shipping take", tags=("doc:shipping",)),
    }
    assert count_matching(target) == len(gone)
    record = flush(target, actor="ada", reason="typo", matched_count=len(gone))
    assert {name for name, key in keys.items() if not shelf.has(key)} == gone
    assert {name for name, key in keys.items() if shelf.engine.store.exists(key.name)} == set(keys) - gone
    assert (record.actor, record.reason, record.matched_count) == ("ada", "typo", len(gone))
    assert record.clock == Clock.objects.get().number


def test_what_is_made_after_a_flush_stays(shelf: Shelf) -> None:
    flush(EVERYTHING, actor="ada")
    assert shelf.has(shelf.put("again"))


def test_a_single_entry_can_be_flushed(shelf: Shelf) -> None:
    one, other = shelf.put("one"), shelf.put("other")
    flush(Target(kind="tag", match=f"entry:{one.entry_id}"), actor="ada")
    assert (shelf.has(one), shelf.has(other)) == (False, True)


def test_entries_of_another_process_are_not_counted_but_flushed(shelf: Shelf, settings: Any) -> None:
    key = shelf.put("one")
    settings.IS_SERVER = False
    assert count_matching(EVERYTHING) is None
    flush(EVERYTHING, actor="ada")
    assert not shelf.has(key)


def test_the_switch_keeps_what_is_stored(shelf: Shelf) -> None:
    key = shelf.put("one")
    assert switch_cache(is_on=False)
    assert not shelf.has(key)
    assert not switch_cache(is_on=False)
    assert switch_cache(is_on=True)
    assert shelf.has(key)


def test_a_flush_is_logged_without_any_question(shelf: Shelf, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    shelf.put("my secret question")
    flush(Target(kind="pattern", match="*secret*"), actor="ada")
    assert "secret" not in caplog.text


# the commands -------------------------------------------------------------------------------------------


def test_the_command_counts_first_and_changes_nothing_in_a_dry_run(
    shelf: Shelf, capsys: pytest.CaptureFixture[str]
) -> None:
    key = shelf.put("one")
    call_command("flush_cache", "--all", "--dry-run")
    assert "Would flush everything: 1 entries. Nothing was changed." in capsys.readouterr().out
    assert shelf.has(key)
    assert not FlushRecord.objects.exists()
    call_command("flush_cache", "--all", "--reason", "spring")
    assert "Flushed everything: 1 entries" in capsys.readouterr().out
    assert FlushRecord.objects.get().reason == "spring"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--level", "answers"], "'answers' is not a level: response, intent, policy, reply, vector"),
        (["--tag", "refunds"], "a tag is kind:value"),
        (["--tag", ""], "--tag: may not be empty"),
        (["--collection", " "], "--collection: may not be empty"),
        (["--pattern", ""], "--pattern: may not be empty"),
        ([], "one of the arguments"),
        (["--all", "--level", "reply"], "not allowed with"),
    ],
)
def test_the_command_names_what_is_wrong(arguments: list[str], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        call_command("flush_cache", *arguments)
    assert not FlushRecord.objects.exists()


def test_the_switch_command_says_what_it_did(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("cache_switch", "off")
    call_command("cache_switch", "off")
    assert capsys.readouterr().out.splitlines() == ["The cache is off.", "The cache is off already."]
    call_command("cache_switch", "on")


def test_cache_info_tells_store_rules_and_clock(shelf: Shelf, capsys: pytest.CaptureFixture[str]) -> None:
    shelf.put("one")
    call_command("cache_info")
    out = capsys.readouterr().out
    assert "memory" in out
    assert "clock" in out
    assert "last_24_hours" in out
