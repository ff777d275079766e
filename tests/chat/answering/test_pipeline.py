"""From a question to its answer, over a real endpoint: what is paid, what is reused, what is refused."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal

import pytest

from cachemgmt.books.metrics import metrics
from cachemgmt.engine.reuse.knowledge import Rule
from cachemgmt.models import ModelPrice
from chat.errors import NotCached, ProviderError, ProviderUnavailable, UnknownCollection
from chat.providers.slotted import SlottedProvider
from chat.stages.generate import HANDOFF_TEXT, PERSON_TEXT
from chat.types import Answer
from tests.fakes.clock import FakeClock
from tests.fakes.fixtures import make_openai_provider
from tests.fakes.kitchen import COLLECTION, POLICIES, Kitchen
from tests.fakes.llm_script import Fail, Hold, Malformed, Refuse, Say, Truncate
from tests.fakes.llm_server import LlmServer

REFUND = "What's your refund policy?"


def stages_called(server: LlmServer) -> list[str]:
    return [call.stage for call in server.calls]


def exchange(message: str, answer: Answer) -> list[tuple[str, str]]:
    return [("user", message), ("assistant", answer.text)]


# the basic scenario -------------------------------------------------------------------------------------


def test_a_repeated_question_costs_nothing_and_gets_the_identical_answer(
    kitchen: Kitchen, llm_server: LlmServer
) -> None:
    first = kitchen.ask(REFUND)
    assert (first.cache.status, first.cache.reason) == ("miss", "absent")
    assert stages_called(llm_server) == ["classify", "generate", "validate"]
    assert first.sources
    assert first.sources[0].document == "refunds"

    again = kitchen.ask("  what's YOUR refund policy ")
    assert (again.cache.status, again.cache.level) == ("hit", "response")
    assert (again.text, again.sources, again.intent) == (first.text, first.sources, first.intent)
    assert again.cache.entry_id == first.cache.entry_id
    assert again.spent_usd == 0
    assert len(llm_server.calls) == 3


def test_a_follow_up_is_answered_in_its_own_context(kitchen: Kitchen, llm_server: LlmServer) -> None:
    first = kitchen.ask(REFUND)
    more = kitchen.ask("Tell me more", exchange(REFUND, first))
    assert more.cache.status == "miss"
    assert {source.document for source in more.sources} == {"refunds"}
    shipping = kitchen.ask("How long does shipping take?")
    other = kitchen.ask("Tell me more", exchange("How long does shipping take?", shipping))
    assert other.cache.status == "miss"
    assert other.text != more.text
    again = kitchen.ask("tell me more", exchange(REFUND, first))
    assert (again.cache.status, again.text) == ("hit", more.text)


def test_the_answer_is_made_anew_after_its_ttl(kitchen: Kitchen, llm_server: LlmServer) -> None:
    ttl_s = kitchen.ask(REFUND).cache.ttl_s or 0
    assert 30 * 60 * 0.95 <= ttl_s <= 30 * 60
    kitchen.clock.advance(ttl_s - 1)
    hit = kitchen.ask(REFUND)
    assert (hit.cache.status, hit.cache.age_s, hit.cache.ttl_s) == ("hit", ttl_s - 1, 1)
    kitchen.clock.advance(30 * 60 - ttl_s + 1)
    llm_server.calls.clear()
    expired = kitchen.ask(REFUND)
    assert (expired.cache.status, expired.cache.reason) == ("miss", "expired")
    assert stages_called(llm_server) == ["generate", "validate"]  # the intent lives for an hour


def test_a_question_that_stands_alone_is_a_hit_in_the_middle_of_another_conversation(
    kitchen: Kitchen, llm_server: LlmServer
) -> None:
    first = kitchen.ask(REFUND)
    llm_server.calls.clear()
    talk = [
        ("user", "How long does shipping take?"),
        ("assistant", "Standard delivery takes 3 working days."),
    ]
    found = kitchen.ask(REFUND, talk)
    assert (found.cache.status, found.cache.level) == ("hit", "reply")
    assert (found.text, found.sources) == (first.text, first.sources)
    assert llm_server.calls == []
    assert kitchen.ask(REFUND, talk).cache.level == "response"


def test_an_answer_reassembled_from_parts_does_not_outlive_the_ttl(kitchen: Kitchen) -> None:
    kitchen.ask(REFUND)
    kitchen.clock.advance(20 * 60)
    talk = [("user", "Hello"), ("assistant", "Hello!")]
    found = kitchen.ask(REFUND, talk)
    assert (found.cache.level, found.cache.age_s) == ("reply", 1200)
    assert 510 <= (found.cache.ttl_s or 0) <= 600
    kitchen.clock.advance(10 * 60)
    assert kitchen.ask(REFUND, talk).cache.status == "miss"


def test_only_the_last_three_messages_count(kitchen: Kitchen) -> None:
    recent = [("assistant", "Refunds take a while."), ("user", REFUND), ("assistant", "30 days.")]
    kitchen.ask("tell me more", [("user", "something else"), *recent])
    assert kitchen.ask("tell me more", [("user", "another beginning"), *recent]).cache.level == "response"


# what changes the answer --------------------------------------------------------------------------------


def test_an_edit_that_does_not_concern_the_answer_costs_no_model_call(
    kitchen: Kitchen, llm_server: LlmServer
) -> None:
    first = kitchen.ask("How long does a refund take to be paid?")
    far = replace(
        POLICIES[3], document="careers", title="Careers", text="Applicants send a letter to our office."
    )
    kitchen.index.revisions["r2"] = [*POLICIES, replace(far, heading_path=("How to apply",))]
    kitchen.policies.learn(revisions={COLLECTION: "r2"})
    # All four old passages and the new one fit into the five that are retrieved: take the new one away again.
    kitchen.index.revisions["r2"] = list(POLICIES)
    llm_server.calls.clear()
    searches = kitchen.index.searches
    found = kitchen.ask("How long does a refund take to be paid?")
    assert (found.cache.status, found.cache.level, found.cache.reason) == ("hit", "reply", "policies-changed")
    assert found.text == first.text
    assert llm_server.calls == []
    assert kitchen.index.searches == searches + 1
    assert kitchen.ask("How long does a refund take to be paid?").cache.level == "response"


def test_an_edit_of_the_evidence_makes_the_answer_anew(kitchen: Kitchen, llm_server: LlmServer) -> None:
    kitchen.ask(REFUND)
    edited = [replace(POLICIES[0], text=POLICIES[0].text.replace("5 working", "9 working")), *POLICIES[1:]]
    kitchen.index.revisions["r2"] = edited
    kitchen.policies.learn(revisions={COLLECTION: "r2"})
    llm_server.calls.clear()
    found = kitchen.ask(REFUND)
    assert (found.cache.status, found.cache.reason) == ("miss", "policies-changed")
    assert stages_called(llm_server) == ["generate", "validate"]


def test_another_model_is_another_answer(kitchen: Kitchen, llm_server: LlmServer) -> None:
    kitchen.ask(REFUND)
    models = {"classify": "small-model", "generate": "bigger-model", "validate": "small-model", "embed": "e"}
    other = Kitchen(make_openai_provider(llm_server, models=models), store=kitchen.store, clock=kitchen.clock)
    llm_server.calls.clear()
    assert other.ask(REFUND).cache.status == "miss"
    assert stages_called(llm_server) == ["generate", "validate"]


def test_collections_never_share(kitchen: Kitchen) -> None:
    kitchen.policies.learn(revisions={COLLECTION: "r1", "other": "r1"})
    kitchen.ask(REFUND)
    assert kitchen.ask(REFUND, collection="other").cache.status == "miss"


def test_an_unknown_collection_is_refused_before_anything_is_paid(
    kitchen: Kitchen, llm_server: LlmServer
) -> None:
    with pytest.raises(UnknownCollection):
        kitchen.ask(REFUND, collection="nowhere")
    assert llm_server.calls == []


def test_a_ttl_rule_acts_on_what_is_stored(kitchen: Kitchen) -> None:
    kitchen.ask(REFUND)
    kitchen.clock.advance(60)
    kitchen.policies.learn(rules={("response", ""): Rule(ttl_s=30), ("reply", ""): Rule(ttl_s=30)})
    assert kitchen.ask(REFUND).cache.status == "miss"


# validation and hand-off --------------------------------------------------------------------------------


def test_a_rejected_draft_is_written_again_with_the_objections(
    kitchen: Kitchen, llm_server: LlmServer
) -> None:
    llm_server.script("generate", Say('{"reply": "Refunds are paid within 2 working days.", "cited": [0]}'))
    answer = kitchen.ask(REFUND)
    assert "2 working days" not in answer.text
    assert not answer.needs_human
    second = llm_server.calls_of("generate")[1]
    assert "2 working days" in second.request["messages"][-1]["content"]


def test_an_empty_draft_is_written_again(kitchen: Kitchen, llm_server: LlmServer) -> None:
    llm_server.script("generate", Say('{"reply": "", "cited": [0]}'))
    answer = kitchen.ask(REFUND)
    assert answer.text
    assert not answer.needs_human
    assert stages_called(llm_server).count("generate") == 2


def test_two_empty_drafts_lead_to_a_person(kitchen: Kitchen, llm_server: LlmServer) -> None:
    llm_server.always("generate", Say('{"reply": "", "cited": [0]}'))
    answer = kitchen.ask(REFUND)
    assert (answer.needs_human, answer.cache.reason) == (True, "validation-failed")


def test_two_rejected_drafts_lead_to_a_person_and_a_repeat_costs_nothing(
    kitchen: Kitchen, llm_server: LlmServer
) -> None:
    wrong = Say('{"reply": "You get double your money back, always and for ever.", "cited": [0]}')
    llm_server.always("generate", wrong)
    answer = kitchen.ask(REFUND)
    assert (answer.text, answer.needs_human, answer.sources) == (HANDOFF_TEXT, True, ())
    assert answer.cache.reason == "validation-failed"
    assert stages_called(llm_server).count("generate") == 2

    llm_server.calls.clear()
    again = kitchen.ask(REFUND)
    assert (again.text, again.needs_human, again.spent_usd) == (HANDOFF_TEXT, True, Decimal(0))
    assert llm_server.calls == []

    llm_server.always("generate", None)
    kitchen.clock.advance(5 * 60)
    assert not kitchen.ask(REFUND).needs_human


def test_a_reply_that_cites_nothing_is_not_sent(kitchen: Kitchen, llm_server: LlmServer) -> None:
    llm_server.always("generate", Say('{"reply": "I cannot say.", "cited": []}'))
    assert kitchen.ask(REFUND).needs_human


def test_without_good_passages_nothing_is_written(kitchen: Kitchen, llm_server: LlmServer) -> None:
    answer = kitchen.ask("What is the boiling point of tungsten?")
    assert (answer.text, answer.needs_human) == (HANDOFF_TEXT, True)
    assert (answer.cache.status, answer.cache.reason) == ("bypass", "no-passages")
    assert stages_called(llm_server) == ["classify"]
    llm_server.calls.clear()
    kitchen.ask("What is the boiling point of tungsten?")
    assert llm_server.calls == []


@pytest.mark.parametrize("message", ["Hello", "Thank you!", "goodbye"])
def test_smalltalk_gets_a_short_reply_that_is_kept(
    kitchen: Kitchen, llm_server: LlmServer, message: str
) -> None:
    answer = kitchen.ask(message)
    assert (answer.sources, answer.needs_human) == ((), False)
    assert stages_called(llm_server) == ["classify"]
    assert kitchen.ask(message).cache.level == "response"


def test_who_wants_a_person_gets_one_at_once(kitchen: Kitchen, llm_server: LlmServer) -> None:
    answer = kitchen.ask("I want to talk to a person")
    assert (answer.text, answer.needs_human) == (PERSON_TEXT, True)
    assert stages_called(llm_server) == ["classify"]


# who may share ------------------------------------------------------------------------------------------


def test_a_personal_answer_is_kept_for_its_customer_alone(kitchen: Kitchen, llm_server: LlmServer) -> None:
    mine = "My order number is 4711882. When are refunds paid for a returned item?"
    first = kitchen.ask(mine, customer_id="ada")
    assert first.cache.status == "miss"
    assert kitchen.ask(mine, customer_id="ada").cache.status == "hit"
    assert kitchen.ask(mine, customer_id="eve").cache.status == "miss"
    nobody = kitchen.ask(mine)
    assert (nobody.cache.status, nobody.cache.reason) == ("bypass", "personal")
    assert kitchen.ask(mine).cache.status == "bypass"


def test_a_personal_message_leaves_no_shared_trace(kitchen: Kitchen) -> None:
    kitchen.ask("My order number is 4711882. When are refunds paid for a returned item?")
    assert list(kitchen.store.names("*:*")) == []


def test_a_general_question_is_shared_between_customers(kitchen: Kitchen) -> None:
    kitchen.ask(REFUND, customer_id="ada")
    assert kitchen.ask(REFUND, customer_id="eve").cache.status == "hit"
    assert kitchen.ask(REFUND).cache.status == "hit"


# what a request may ask of the cache --------------------------------------------------------------------


def test_no_cache_makes_it_anew_at_every_level_and_shares_the_result(
    kitchen: Kitchen, llm_server: LlmServer
) -> None:
    kitchen.ask(REFUND)
    llm_server.calls.clear()
    kitchen.clock.advance(10)
    anew = kitchen.ask(REFUND, cache="no_cache")
    assert (anew.cache.status, anew.cache.reason) == ("bypass", "no-cache")
    assert stages_called(llm_server) == ["classify", "generate", "validate"]
    assert kitchen.ask(REFUND).cache.age_s == 0


def test_no_store_neither_looks_up_nor_keeps(kitchen: Kitchen, llm_server: LlmServer) -> None:
    kitchen.ask(REFUND, cache="no_store")
    assert list(kitchen.store.names("*:*")) == []
    kitchen.ask(REFUND)
    llm_server.calls.clear()
    assert kitchen.ask(REFUND, cache="no_store").cache.reason == "no-store"
    assert stages_called(llm_server) == ["classify", "generate", "validate"]


def test_max_age_refuses_what_is_older(kitchen: Kitchen) -> None:
    from cachemgmt.api import Directives

    kitchen.ask(REFUND)
    kitchen.clock.advance(100)
    assert kitchen.ask(REFUND, directives=Directives(max_age_s=100)).cache.status == "hit"
    assert kitchen.ask(REFUND, directives=Directives(max_age_s=99)).cache.status == "miss"


def test_only_if_cached_never_pays(kitchen: Kitchen, llm_server: LlmServer) -> None:
    with pytest.raises(NotCached):
        kitchen.ask(REFUND, cache="only_if_cached")
    assert llm_server.calls == []
    kitchen.ask(REFUND)
    assert kitchen.ask(REFUND, cache="only_if_cached").cache.status == "hit"
    talk = [("user", "Hello"), ("assistant", "Hello!")]
    assert kitchen.ask(REFUND, talk, cache="only_if_cached").cache.level == "reply"


def test_a_switched_off_cache_makes_everything_anew(kitchen: Kitchen, llm_server: LlmServer) -> None:
    kitchen.ask(REFUND)
    kitchen.policies.learn(is_on=False)
    off = kitchen.ask(REFUND)
    assert (off.cache.status, off.cache.reason) == ("bypass", "switched-off")
    kitchen.policies.learn(is_on=True)
    assert kitchen.ask(REFUND).cache.status == "hit"


# failures -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", ["classify", "generate", "validate"])
@pytest.mark.parametrize(
    "failure",
    [Fail(401), Fail(429, retry_after=30), Fail(503), Truncate(), Malformed()],
    ids=lambda one: repr(one)[:20],
)
def test_a_failing_provider_is_an_error_and_nothing_is_stored(
    kitchen: Kitchen, llm_server: LlmServer, stage: str, failure: Fail
) -> None:
    llm_server.always(stage, failure)
    with pytest.raises(ProviderError):
        kitchen.ask(REFUND)
    assert list(kitchen.store.names("re*:*")) == []
    llm_server.always(stage, None)
    with pytest.raises(ProviderError):  # for a moment, it is not even tried
        kitchen.ask(REFUND)
    kitchen.clock.advance(2.1)
    assert kitchen.ask(REFUND).cache.status == "miss"


@pytest.mark.parametrize("stage", ["classify", "generate", "validate"])
def test_a_refusal_leads_to_a_person_and_is_not_kept(
    kitchen: Kitchen, llm_server: LlmServer, stage: str
) -> None:
    llm_server.script(stage, Refuse())
    answer = kitchen.ask(REFUND)
    assert (answer.text, answer.needs_human) == (HANDOFF_TEXT, True)
    assert (answer.cache.status, answer.cache.reason) == ("bypass", "refused")
    kitchen.clock.advance(2.1)
    assert not kitchen.ask(REFUND).needs_human


def test_a_passing_fault_is_ridden_out(kitchen: Kitchen, llm_server: LlmServer) -> None:
    llm_server.script("generate", Fail(500))
    llm_server.script("validate", Malformed())
    assert not kitchen.ask(REFUND).needs_human


# many at once -------------------------------------------------------------------------------------------


def ask_together(kitchen: Kitchen, messages: Sequence[str]) -> list[Answer]:
    with ThreadPoolExecutor(len(messages)) as pool:
        return list(pool.map(kitchen.ask, messages))


@pytest.mark.django_db(transaction=True)
def test_many_at_once_pay_once(llm_server: LlmServer) -> None:
    kitchen = Kitchen(make_openai_provider(llm_server))
    hold = Hold(reached=threading.Event(), until=threading.Event())
    llm_server.script("generate", hold)
    with ThreadPoolExecutor(12) as pool:
        first = pool.submit(kitchen.ask, REFUND)
        assert hold.reached.wait(30)
        others = [pool.submit(kitchen.ask, REFUND) for _ in range(11)]
        hold.until.set()
        answers = [first.result(30), *(other.result(30) for other in others)]
    assert len(llm_server.calls_of("generate")) == 1
    assert len(llm_server.calls_of("classify")) == 1
    assert {answer.text for answer in answers} == {answers[0].text}
    assert answers[0].cache.status == "miss"
    assert {answer.cache.status for answer in answers[1:]} <= {"collapsed", "hit"}


# money --------------------------------------------------------------------------------------------------


def test_spent_and_saved_are_what_was_billed(kitchen: Kitchen, llm_server: LlmServer) -> None:
    for model, price in (("small-model", "1"), ("big-model", "10")):
        ModelPrice.objects.create(
            model_pattern=model, valid_from="2020-01-01", input_usd=price, output_usd=price
        )
    first = kitchen.ask(REFUND)
    billed = sum(
        (call.prompt_tokens + call.completion_tokens) * Decimal(10 if call.model == "big-model" else 1)
        for call in llm_server.calls
    ) / Decimal(1_000_000)
    assert first.spent_usd == billed
    assert first.saved_usd == 0
    again = kitchen.ask(REFUND)
    assert (again.spent_usd, again.saved_usd) == (Decimal(0), billed)
    in_talk = kitchen.ask(REFUND, [("user", "Hello"), ("assistant", "Hello!")])
    assert (in_talk.spent_usd, in_talk.saved_usd) == (Decimal(0), billed)


def test_what_is_reused_saves_the_seconds_that_its_making_took(db: None, llm_server: LlmServer) -> None:
    clock = FakeClock()

    @contextmanager
    def taking_three_seconds() -> Iterator[None]:
        yield
        clock.advance(3.0)

    provider = SlottedProvider(make_openai_provider(llm_server), taking_three_seconds)
    kitchen = Kitchen(provider, clock=clock)
    assert kitchen.ask(REFUND).saved_s == 0.0
    assert kitchen.ask(REFUND).saved_s == 9.0, "classified, written and checked"
    in_talk = kitchen.ask(REFUND, [("user", "Hello"), ("assistant", "Hello!")])
    assert (in_talk.cache.level, in_talk.saved_s) == ("reply", 9.0)
    assert metrics()["total"]["saved_s"] == 18.0


def test_an_unknown_price_is_unknown_and_not_zero(kitchen: Kitchen) -> None:
    assert kitchen.ask(REFUND).spent_usd is None
    again = kitchen.ask(REFUND)
    assert (again.spent_usd, again.saved_usd) == (Decimal(0), None)


def test_an_unreachable_provider_does_not_harm_what_is_stored(
    kitchen: Kitchen, llm_server: LlmServer
) -> None:
    kitchen.ask(REFUND)
    llm_server.always("classify", Fail(503))
    assert kitchen.ask(REFUND).cache.status == "hit"
    with pytest.raises(ProviderUnavailable):
        kitchen.ask("Do you ship to Norway?")
