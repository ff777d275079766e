"""What an operator types, what is said to it, and what comes of it."""

import json
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from redis import Redis

from cachemgmt.flushing.flush import EVERYTHING, flush
from cachemgmt.models import FlushRecord
from tests.cachemgmt.conftest import Shelf

pytestmark = pytest.mark.django_db(transaction=True)

Told = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def in_the_server(settings: Any) -> None:
    """This process is the one whose memory holds the entries."""
    settings.IS_SERVER = True


def test_a_dry_run_counts_and_changes_nothing(shelf: Shelf, capsys: Told) -> None:
    key = shelf.put("one")
    call_command("flush_cache", "--all", "--dry-run")
    assert "Would flush everything: 1 entries. Nothing was changed." in capsys.readouterr().out
    assert shelf.has(key)
    assert not FlushRecord.objects.exists()


@pytest.mark.usefixtures("either_store")
def test_a_flush_says_what_it_did(shelf: Shelf, capsys: Told) -> None:
    key = shelf.put("one")
    call_command("flush_cache", "--all", "--reason", "spring")
    record = FlushRecord.objects.get()
    told = capsys.readouterr().out
    assert f"Flushed everything: 1 entries, clock {record.clock}." in told
    assert "Removed 1 entries from the store." in told
    assert (record.reason, record.matched_count, record.removed_count) == ("spring", 1, 1)
    assert not shelf.holds(key)


@pytest.mark.usefixtures("either_store")
@pytest.mark.parametrize(
    ("arguments", "gone", "what"),
    [
        (["--customer", "17"], {"own"}, "Flushed tag customer:17: 1 entries"),
        (["--older-than", "90s"], {"old"}, "Flushed what was made before 20"),
        (["--older-than", "1d"], set(), "0 entries"),
        (["--tag", "doc:refunds"], {"reply"}, "Flushed tag doc:refunds: 1 entries"),
        (["--level", "reply"], {"reply"}, "Flushed tag level:reply: 1 entries"),
        (["--collection", "bank"], {"bank"}, "Flushed tag collection:bank: 1 entries"),
        (["--pattern", "*:bank:*"], {"bank"}, "Flushed pattern *:bank:*: 1 entries"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_each_option_flushes_what_it_names(
    shelf: Shelf, capsys: Told, arguments: list[str], gone: set[str], what: str
) -> None:
    keys = {
        "own": shelf.put("where is my order", tags=("customer:17",)),
        "old": shelf.put("old", age_s=120),
        "reply": shelf.put("a reply", level="reply", tags=("doc:refunds",)),
        "bank": shelf.put("a fee", collection="bank"),
    }
    call_command("flush_cache", *arguments)
    assert {name for name, key in keys.items() if not shelf.holds(key)} == gone
    assert what in capsys.readouterr().out


@pytest.mark.usefixtures("either_store")
def test_one_entry_is_flushed_with_what_it_was_made_from(shelf: Shelf, capsys: Told) -> None:
    reply = shelf.put("reply", level="reply")
    answer = shelf.put("answer", tags=(f"entry:{reply.entry_id}",))
    other = shelf.put("other")
    call_command("flush_cache", "--entry", answer.entry_id)
    assert [shelf.has(key) for key in (reply, answer, other)] == [False, False, True]
    told = capsys.readouterr().out
    assert f"Flushed tag entry:{answer.entry_id} and tag entry:{reply.entry_id}: 2 entries, clock" in told
    assert "Removed 2 entries from the store." in told


def test_without_redis_the_server_is_left_to_remove(shelf: Shelf, settings: Any, capsys: Told) -> None:
    settings.IS_SERVER = False
    key = shelf.put("one")
    call_command("flush_cache", "--all")
    told = capsys.readouterr().out
    assert "cannot be counted from here" in told
    assert "The server removes them from the store in the background." in told
    assert not shelf.has(key)
    assert FlushRecord.objects.get().removed_at is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--level", "answers"],
            "--level: 'answers' is not a level: response, intent, policy, reply, vector",
        ),
        (["--tag", "refunds"], "--tag: 'refunds' is no tag, kind:value"),
        (["--tag", ""], "--tag: may not be empty"),
        (["--collection", " "], "--collection: may not be empty"),
        (["--customer", ""], "--customer: may not be empty"),
        (["--customer", "x" * 300], "--customer: 'customer:x+'… is no text of at most 300 characters"),
        (["--pattern", ""], "--pattern: may not be empty"),
        (["--entry", "1f2e"], "--entry: '1f2e' is no entry's id"),
        (["--older-than", "2 weeks"], "argument --older-than: '2 weeks' is no age"),
        (["--older-than", "2"], "'2' is no age"),
        (["--older-than", "-2h"], "expected one argument"),
        (["--older-than", ""], "'' is no age"),
        ([], "one of the arguments"),
        (["--all", "--level", "reply"], "not allowed with"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_flushed(arguments: list[str], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        call_command("flush_cache", *arguments)
    assert not FlushRecord.objects.exists()


def test_the_switch_command_says_what_it_did(capsys: Told) -> None:
    call_command("cache_switch", "off")
    call_command("cache_switch", "off")
    assert capsys.readouterr().out.splitlines() == ["The cache is off.", "The cache is off already."]
    call_command("cache_switch", "on")


@pytest.mark.usefixtures("either_store")
def test_info_tells_store_rules_and_clock(shelf: Shelf, capsys: Told) -> None:
    shelf.put("one")
    record = flush(EVERYTHING, actor="ada")
    call_command("cache_info")
    told = capsys.readouterr().out
    for word in ("used_bytes", "stale_if_error_s", "last_24_hours"):
        assert word in told
    assert "{" not in told
    call_command("cache_info", "--json")
    info = json.loads(capsys.readouterr().out)
    assert info["clock"] == record.clock
    assert info["store"]["health"]["is_healthy"]


@pytest.mark.usefixtures("either_store")
def test_info_shows_one_entry(shelf: Shelf, capsys: Told) -> None:
    key = shelf.put("how long do refunds take", tags=("intent:refund_policy", "customer:17"))
    for named in (key.entry_id, key.name):
        call_command("cache_info", "--entry", named, "--json")
        shown = json.loads(capsys.readouterr().out)
        assert shown["question"] == "how long do refunds take"
        assert (shown["state"], shown["is_personal"], shown["cost_usd"]) == ("fresh", True, "0.06")
        assert shown["value"] == {"text": "yes"}
    call_command("cache_info", "--entry", key.entry_id)
    assert "refund_policy" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("named", "message"),
    [("1f2e", "neither an entry's name nor its id"), ("1f2e3d4c5b6a7988", "is not stored")],
)
def test_info_names_an_entry_that_is_none(named: str, message: str) -> None:
    with pytest.raises(CommandError, match=message):
        call_command("cache_info", "--entry", named)


@pytest.mark.usefixtures("over_redis")
def test_a_flush_over_redis_leaves_other_keys_alone(shelf: Shelf, redis_client: Redis) -> None:
    redis_client.set("tria-django:session", b"1")
    redis_client.set("response:shop:another application's", b"1")
    shelf.put("one")
    call_command("flush_cache", "--all")
    assert (
        redis_client.exists("tria-django:session", "response:shop:another application's", "tria:clock") == 3
    )
    assert not list(redis_client.scan_iter("tria:response:*"))
