"""A flush kills what it names, says what it did, and leaves a record."""

import logging
import time
from typing import Any

import pytest
from django.db import DatabaseError

from cachemgmt.flushing.flush import (
    EVERYTHING,
    Counted,
    Target,
    age_target,
    collection_target,
    count_all,
    entry_target,
    entry_targets,
    flush,
    flush_all,
    level_target,
    pattern_target,
    switch_cache,
    tag_target,
)
from cachemgmt.models import Clock, FlushRecord
from tests.cachemgmt.conftest import Shelf

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def in_the_server(settings: Any) -> None:
    """This process is the one whose memory holds the entries."""
    settings.IS_SERVER = True


TARGETS = [
    (lambda: EVERYTHING, {"refund", "refund reply", "bank", "shipping", "own"}),
    (lambda: level_target("reply"), {"refund reply"}),
    (lambda: collection_target("bank"), {"bank"}),
    (lambda: tag_target("intent:refund_policy"), {"refund", "refund reply"}),
    (lambda: tag_target("doc:shipping"), {"shipping"}),
    (lambda: tag_target("customer:anna k."), {"own"}),
    (lambda: pattern_target("RESPONSE:shop:*"), {"refund", "shipping", "own"}),
    (lambda: pattern_target("*:*ship*"), {"shipping"}),
    (lambda: age_target(300), {"shipping"}),
    (lambda: age_target(3_000), set()),
    (lambda: tag_target("doc:nothing"), set()),
]


IDS = [
    "all",
    "level",
    "collection",
    "intent",
    "doc",
    "customer",
    "pattern",
    "question",
    "age",
    "older",
    "none",
]


def test_a_pattern_is_written_down_in_the_characters_of_readable_names() -> None:
    assert pattern_target("*: DON\u2019T Zu\u0308rich? *").match == "*: don't z\u00fcrich? *"


@pytest.mark.usefixtures("either_store")
@pytest.mark.parametrize(("make", "gone"), TARGETS, ids=IDS)
def test_a_flush_kills_what_it_names_and_nothing_else(shelf: Shelf, make: Any, gone: set[str]) -> None:
    keys = {
        "refund": shelf.put("what is the refund policy", tags=("intent:refund_policy",)),
        "refund reply": shelf.put("what is the refund", level="reply", tags=("intent:refund_policy",)),
        "bank": shelf.put("what is the refund policy", collection="bank"),
        "shipping": shelf.put("how long does shipping take", tags=("doc:shipping",), age_s=600),
        "own": shelf.put("where is my order", tags=("customer:anna k.",)),
    }
    target = make()
    assert count_all([target]) == Counted(total=len(gone), each=(len(gone),))
    record = flush(target, actor="ada", reason="typo", matched_count=len(gone))
    assert {name for name, key in keys.items() if not shelf.has(key)} == gone
    assert count_all([target]) == Counted(total=0, each=(0,))  # the dead are not counted again
    assert (record.actor, record.reason, record.matched_count) == ("ada", "typo", len(gone))
    assert record.clock == Clock.objects.get().number


@pytest.mark.usefixtures("either_store")
def test_what_is_made_after_a_flush_stays(shelf: Shelf) -> None:
    for target in (EVERYTHING, age_target(0), level_target("response")):
        flush(target, actor="ada")
    assert shelf.has(shelf.put("again", age_s=60))


@pytest.mark.usefixtures("either_store")
def test_what_is_made_of_an_old_result_is_as_old(shelf: Shelf) -> None:
    old, young = shelf.put("old", age_s=120), shelf.put("young", age_s=60)
    flush(age_target(90), actor="ada")
    assert (shelf.has(old), shelf.has(young)) == (False, True)


@pytest.mark.usefixtures("either_store")
def test_an_entry_is_flushed_with_what_it_was_made_from_and_into(shelf: Shelf) -> None:
    reading = shelf.put("read", level="intent")
    reply = shelf.put("reply", level="reply")
    made_of = (f"entry:{reading.entry_id}", f"entry:{reply.entry_id}")
    answer = shelf.put("answer", tags=made_of)
    twin = shelf.put("the same reply in another conversation", tags=made_of[1:])
    other = shelf.put("other")
    targets = entry_targets(answer.entry_id)
    assert [target.match for target in targets] == [f"entry:{answer.entry_id}", *made_of]
    counted = count_all(targets)
    assert counted == Counted(total=4, each=(1, 2, 3))
    records = flush_all(targets, actor="ada", counted=counted)
    assert [shelf.has(key) for key in (reading, reply, answer, twin, other)] == [False] * 4 + [True]
    assert [record.matched_count for record in records] == [1, 2, 3]


@pytest.mark.usefixtures("either_store")
def test_an_answer_is_flushed_with_its_reading_by_the_id_of_its_reply(shelf: Shelf) -> None:
    reading = shelf.put("read", level="intent")
    reply, other = shelf.put("reply", level="reply"), shelf.put("other", level="intent")
    answer = shelf.put("answer", tags=(f"entry:{reading.entry_id}", f"entry:{reply.entry_id}"))
    flush_all(entry_targets(reply.entry_id), actor="ada")
    assert [shelf.has(key) for key in (reading, reply, answer, other)] == [False] * 3 + [True]


def test_what_was_flushed_before_leads_to_nothing_more(shelf: Shelf) -> None:
    reading, reply = shelf.put("read", level="intent"), shelf.put("reply", level="reply")
    shelf.put("answer", tags=(f"entry:{reading.entry_id}", f"entry:{reply.entry_id}"))
    flush(level_target("response"), actor="ada")
    assert entry_targets(reply.entry_id) == [entry_target(reply.entry_id)]


def test_an_entry_that_cannot_be_seen_is_flushed_by_its_id(shelf: Shelf) -> None:
    unseen = shelf.key("unseen", level="reply")
    targets = entry_targets(unseen.entry_id)
    assert targets == [entry_target(unseen.entry_id)]
    answer = shelf.put("made of it meanwhile", tags=(f"entry:{unseen.entry_id}",))
    flush_all(targets, actor="ada")
    assert not shelf.has(answer)


def test_several_targets_are_flushed_together_or_not_at_all(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, before = shelf.put("one"), Clock.objects.get_or_create(pk=1)[0].number
    calls: list[int] = []

    advance = Clock.objects.advance

    def fail_the_second() -> int:
        calls.append(1)
        if len(calls) == 2:
            raise DatabaseError
        return advance()

    monkeypatch.setattr(Clock.objects, "advance", fail_the_second)
    with pytest.raises(DatabaseError):
        flush_all([EVERYTHING, level_target("reply")], actor="ada")
    assert not FlushRecord.objects.exists()
    assert Clock.objects.get().number == before
    assert shelf.has(key)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: level_target("answers"), "'answers' is not a level: response, intent"),
        (lambda: tag_target("refunds"), "'refunds' is no tag, kind:value"),
        (lambda: tag_target("intents:refunds"), "a kind is level, collection, intent, doc, customer, entry"),
        (lambda: tag_target("doc: "), "'doc: ' is no tag"),
        (lambda: tag_target("level:answers"), "'answers' is not a level"),
        (lambda: tag_target("entry:1f2e"), "'1f2e' is no entry's id"),
        (lambda: entry_targets("1F2E3D4C5B6A7988"), "is no entry's id"),
        (lambda: tag_target(f"customer:{'x' * 300}"), "at most 300 characters"),
        (lambda: pattern_target("a\0b"), "is no text"),
        (lambda: age_target(-1), "-1 seconds is no age"),
        (lambda: age_target(float("nan")), "nan seconds is no age"),
        (lambda: Target(kind="tag"), "all else by naming it"),
        (lambda: Target(kind="all", match="x"), "everything is flushed without"),
    ],
)
def test_what_names_nothing_is_refused_with_its_words(make: Any, said: str) -> None:
    with pytest.raises(ValueError) as caught:
        make()
    assert said in str(caught.value)


def test_an_age_beyond_all_time_matches_nothing(shelf: Shelf) -> None:
    key = shelf.put("one")
    flush(age_target(time.time() * 3), actor="ada")
    assert shelf.has(key)


def test_entries_of_another_process_are_not_counted_but_flushed(shelf: Shelf, settings: Any) -> None:
    key = shelf.put("one")
    settings.IS_SERVER = False
    assert count_all([EVERYTHING]) is None
    flush(EVERYTHING, actor="ada")
    assert not shelf.has(key)


@pytest.mark.usefixtures("either_store")
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
