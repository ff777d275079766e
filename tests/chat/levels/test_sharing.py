"""What belongs to one customer never reaches another, and what is flushed does not come back."""

import json
from dataclasses import replace

import pytest

from cachemgmt.books.metrics import metrics
from cachemgmt.engine.entry import Entry, decode
from cachemgmt.engine.reuse.knowledge import Flush, Flushes, Rule
from cachemgmt.models import MetricBucket
from chat.errors import ProviderError, UnknownCollection
from tests.fakes.kitchen import Kitchen
from tests.fakes.llm_script import Fail, Say
from tests.fakes.llm_server import LlmServer

REFUND = "What's your refund policy?"


def entries(kitchen: Kitchen, level: str = "*") -> list[Entry]:
    """Return what is stored of a level."""
    found = [kitchen.store.get(name) for name in kitchen.store.names(f"{level}:*:*")]
    return [decode(raw) for raw in found if raw]


def owner(entry: Entry) -> str | None:
    """Return whose an entry is, None for everybody's."""
    name: str | None = json.loads(entry.key_parts)[3]["customer"]
    return name


def flush(kitchen: Kitchen, match: str, kind: str = "tag") -> None:
    clock = kitchen.policies.now.clock + 1
    flushed = Flush(clock=clock, kind=kind, match=match)  # type: ignore[arg-type]
    kitchen.policies.learn(flushes=Flushes([flushed]))


# one customer's own -------------------------------------------------------------------------------------


def test_a_reply_that_turns_out_personal_stays_with_its_customer(
    kitchen: Kitchen, llm_server: LlmServer
) -> None:
    told = {
        "reply": "You wrote: My name is Anna Smith. Refunds are paid within 5 working days.",
        "cited": [0, 1],
    }
    llm_server.always("generate", Say(json.dumps(told)))
    llm_server.always("validate", Say('{"is_supported": true, "objections": []}'))
    first = kitchen.ask(REFUND, customer_id="anna")
    assert "Anna Smith" in first.text
    assert {owner(entry) for entry in [*entries(kitchen, "response"), *entries(kitchen, "reply")]} == {"anna"}
    llm_server.always("generate", None)
    assert "Anna Smith" not in kitchen.ask(REFUND, customer_id="bob").text
    # Her own stays hers, also when it is put together again from its parts.
    in_talk = kitchen.ask(REFUND, [("user", "Hello"), ("assistant", "Hello!")], customer_id="anna")
    assert in_talk.cache.level == "reply"
    assert {owner(entry) for entry in entries(kitchen, "response") if "Anna Smith" in str(entry.value)} == {
        "anna"
    }


def test_what_the_assistant_told_him_makes_the_follow_up_his_own(kitchen: Kitchen) -> None:
    talk = [("user", REFUND), ("assistant", "We sent it to anna.smith@example.com, account 4711990.")]
    kitchen.ask("Tell me more", talk, customer_id="anna")
    own = [entry for level in ("response", "reply", "policy", "vector") for entry in entries(kitchen, level)]
    assert {owner(entry) for entry in own} == {"anna"}


def test_a_name_in_the_self_contained_form_is_not_shared(kitchen: Kitchen, llm_server: LlmServer) -> None:
    read = {"intent": "refund_policy", "confidence": 0.9, "language": "en", "is_personal": False}
    alone = {**read, "leans_on_context": True, "self_contained": ""}
    told = {**alone, "self_contained": "Tell me more about the refund paid to Anna Smith"}
    llm_server.script("classify", Say(json.dumps(alone)), Say(json.dumps(told)))
    talk = [("user", REFUND), ("assistant", "Hello Anna Smith, your refund went to DE89370400440532013000.")]
    kitchen.ask("Tell me more", talk)
    assert not [entry for entry in entries(kitchen) if "anna" in f"{entry.question} {entry.value}"]


def test_everything_of_a_customer_carries_his_tag(kitchen: Kitchen) -> None:
    kitchen.ask("My order number is 51877. When are refunds paid for a returned item?", customer_id="anna")
    stored = entries(kitchen)
    assert {entry.level for entry in stored} == {"response", "intent", "policy", "vector", "reply"}
    assert all("customer:anna" in entry.tags for entry in stored)


def test_punctuation_alone_is_kept_at_no_level(kitchen: Kitchen) -> None:
    kitchen.ask("???", customer_id="anna")
    assert entries(kitchen) == []


def test_embedding_code_cannot_share_what_is_personal(kitchen: Kitchen) -> None:
    answer = {"text": "It is on its way.", "intent": "order_status", "confidence": 1.0, "sources": []}
    kitchen.cache.set_response("My order number is 51877", (), answer)
    assert entries(kitchen) == []
    with pytest.raises(ValueError, match="confidence, intent, sources"):
        kitchen.cache.set_response(REFUND, (), {"text": "yes"})
    kitchen.cache.set_response(REFUND, (), {**answer, "text": "Within 30 days."})
    assert kitchen.cache.get_response("what's your refund policy").value["text"] == "Within 30 days."
    assert kitchen.ask(REFUND).cache.status == "hit"


READING = {
    "intent": "refund_policy",
    "confidence": 0.9,
    "language": "en",
    "is_personal": False,
    "leans_on_context": False,
}
ANSWER = {"text": "Within 30 days.", "intent": "refund_policy", "confidence": 0.9, "sources": []}
SOURCE = {"document": "refunds", "title": "Refunds", "section": "Refunds", "passage": "Refunds are paid."}


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"language": None}, "language"),
        ({"is_personal": "no"}, "is_personal"),
        ({"confidence": 2}, "confidence"),
        ({"mood": "good"}, "mood"),
    ],
)
def test_embedding_code_can_store_no_reading_that_is_none(
    kitchen: Kitchen, wrong: dict[str, object], field: str
) -> None:
    with pytest.raises(ValueError, match=f"{field}$"):
        kitchen.cache.set_intent(REFUND, (), READING | wrong)
    with pytest.raises(ValueError, match="leans_on_context"):
        kitchen.cache.set_intent(REFUND, (), {"intent": "refund_policy"})
    assert kitchen.ask(REFUND).cache.status == "miss"


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"sources": "none"}, "sources"),
        ({"sources": [{"document": "refunds"}]}, r"sources\.0\.passage, .*"),
        ({"sources": [SOURCE | {"page": 1}]}, r"sources\.0\.page"),
        ({"confidence": "high"}, "confidence"),
        ({"revision": 1}, "revision"),
    ],
)
def test_embedding_code_can_store_no_answer_that_is_none(
    kitchen: Kitchen, wrong: dict[str, object], field: str
) -> None:
    with pytest.raises(ValueError, match=f"{field}$"):
        kitchen.cache.set_response(REFUND, (), ANSWER | wrong)
    assert entries(kitchen) == []


def test_what_embedding_code_stored_is_used_and_flushed_as_the_pipelines_own(
    kitchen: Kitchen, llm_server: LlmServer
) -> None:
    kitchen.cache.set_intent(REFUND, (), READING)
    kitchen.cache.set_response("Is wrapping refunded?", (), ANSWER | {"sources": [SOURCE]})
    mine = "My order number is 51877. When is it refunded?"
    scope = replace(kitchen.cache.scope(mine), customer_id="anna")
    kitchen.cache.set_intent(mine, (), READING, scope=scope)
    kitchen.cache.set_response(mine, (), ANSWER, scope=scope)
    told_personal = READING | {"is_personal": True}
    assert not kitchen.cache.set_intent("Where is it?", (), told_personal)[1]
    kept = {(entry.level, entry.question): set(entry.tags) for entry in entries(kitchen)}
    assert len(kept) == 4
    assert all("intent:refund_policy" in tags for tags in kept.values())
    assert all(("customer:anna" in tags) == ("51877" in asked) for (_, asked), tags in kept.items())
    assert "doc:refunds" in kept["response", "is wrapping refunded"]
    kitchen.ask(REFUND)
    assert [call.stage for call in llm_server.calls] == ["generate", "validate"]


# flushes and rules --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "level", ["level:reply", "level:intent", "intent:refund_policy", "doc:refunds", "entry"]
)
def test_flushing_what_an_answer_was_made_of_flushes_the_answer(kitchen: Kitchen, level: str) -> None:
    first = kitchen.ask(REFUND)
    flush(kitchen, f"entry:{first.cache.entry_id}" if level == "entry" else level)
    assert kitchen.ask(REFUND).cache.status == "miss"


def test_the_id_of_an_answer_stays_the_same_however_it_is_reused(kitchen: Kitchen) -> None:
    first = kitchen.ask(REFUND)
    again = kitchen.ask(REFUND)
    in_talk = kitchen.ask(REFUND, [("user", "Hello"), ("assistant", "Hello!")])
    assert first.cache.entry_id == again.cache.entry_id == in_talk.cache.entry_id


def test_a_shorter_ttl_of_answers_bounds_their_replies(kitchen: Kitchen) -> None:
    kitchen.ask(REFUND)
    kitchen.clock.advance(600)
    kitchen.policies.learn(rules={("response", ""): Rule(ttl_s=60)})
    assert kitchen.ask(REFUND).cache.status == "miss"


def test_entries_of_a_database_that_was_made_anew_are_not_reused(kitchen: Kitchen) -> None:
    kitchen.policies.learn()
    kitchen.ask(REFUND)
    kitchen.policies.now = type(kitchen.policies.now)(revisions=kitchen.policies.now.revisions)
    again = kitchen.ask(REFUND)
    assert (again.cache.status, again.cache.reason) == ("miss", "other-history")


# what is counted ----------------------------------------------------------------------------------------


def test_a_request_that_wants_nothing_stored_is_no_miss(kitchen: Kitchen) -> None:
    kitchen.ask(REFUND, cache="no_store")
    found = metrics()["levels"]
    assert (found["response"]["bypasses"], found["response"]["misses"]) == (1, 0)
    assert (found["policy"]["bypasses"], found["policy"]["misses"]) == (1, 0)


def test_a_failed_question_is_counted(kitchen: Kitchen, llm_server: LlmServer) -> None:
    llm_server.always("classify", Fail(401))
    with pytest.raises(ProviderError):
        kitchen.ask(REFUND)
    found = metrics()["total"]
    assert (found["errors"], found["hit_rate"]) == (1, 0.0)


def test_collections_that_nobody_has_leave_no_trace_in_the_books(kitchen: Kitchen) -> None:
    for n in range(3):
        with pytest.raises(UnknownCollection):
            kitchen.ask(REFUND, collection=f"nowhere-{n}")
    metrics()
    assert not MetricBucket.objects.exists()
