"""Answers past their time: given while new ones are made or cannot be, and never where they are wrong."""

import pytest

from cachemgmt.engine.reuse.knowledge import Flush, Flushes, Rule
from chat.errors import Overloaded, ProviderError
from tests.fakes.kitchen import POLICIES, Kitchen
from tests.fakes.llm_script import Fail, Refuse
from tests.fakes.llm_server import LlmServer

REFUND = "What's your refund policy?"
TALK = [("user", "Hello"), ("assistant", "Hello! How can I help?")]
STALE_S = 31 * 60.0


def rules(*, stale_while_revalidate_s: float) -> dict[tuple[str, str], Rule]:
    rule = Rule(ttl_s=1800, stale_while_revalidate_s=stale_while_revalidate_s)
    return {(level, ""): rule for level in ("response", "reply")}


def run_background(kitchen: Kitchen) -> None:
    while kitchen.background:
        kitchen.background.pop(0)()


def test_at_31_minutes_the_answer_is_made_anew(kitchen: Kitchen) -> None:
    kitchen.ask(REFUND)
    kitchen.clock.advance(STALE_S)
    again = kitchen.ask(REFUND)
    assert (again.cache.status, again.cache.reason) == ("miss", "expired")
    assert kitchen.background == []


def test_a_stale_answer_serves_at_once_while_one_refresh_makes_a_new_one(
    kitchen: Kitchen, llm_server: LlmServer
) -> None:
    kitchen.policies.learn(rules=rules(stale_while_revalidate_s=600))
    first = kitchen.ask(REFUND)
    kitchen.clock.advance(STALE_S)
    llm_server.calls.clear()
    for _ in range(3):
        stale = kitchen.ask(REFUND)
        assert (stale.cache.status, stale.cache.level, stale.text) == ("stale", "response", first.text)
        assert stale.cache.age_s == STALE_S
        assert (stale.cache.ttl_s or 0) < 0
        assert stale.spent_usd == 0
    assert llm_server.calls == []
    assert len(kitchen.background) == 1
    run_background(kitchen)
    assert [call.stage for call in llm_server.calls] == ["generate", "validate"]
    fresh = kitchen.ask(REFUND)
    assert (fresh.cache.status, fresh.cache.age_s) == ("hit", 0)


def test_a_stale_reply_serves_in_mid_conversation_too(kitchen: Kitchen, llm_server: LlmServer) -> None:
    kitchen.policies.learn(rules=rules(stale_while_revalidate_s=600))
    first = kitchen.ask(REFUND)
    kitchen.clock.advance(STALE_S)
    llm_server.calls.clear()
    stale = kitchen.ask(REFUND, TALK)
    assert (stale.cache.status, stale.cache.level, stale.text) == ("stale", "reply", first.text)
    assert llm_server.calls == []
    run_background(kitchen)
    assert kitchen.ask(REFUND, TALK).cache.status == "hit"


def test_a_failing_refresh_leaves_the_stale_answer(kitchen: Kitchen, llm_server: LlmServer) -> None:
    kitchen.policies.learn(rules=rules(stale_while_revalidate_s=600))
    kitchen.ask(REFUND)
    kitchen.clock.advance(STALE_S)
    llm_server.always("generate", Fail(503))
    kitchen.ask(REFUND)
    run_background(kitchen)
    assert kitchen.ask(REFUND).cache.status == "stale"


def test_it_is_made_anew_for_who_would_not_have_had_it_made_for_him(
    kitchen: Kitchen, llm_server: LlmServer
) -> None:
    kitchen.policies.learn(rules=rules(stale_while_revalidate_s=600))
    kitchen.ask(REFUND)
    kitchen.clock.advance(STALE_S)
    assert kitchen.ask(REFUND, cache="only_if_cached").cache.status == "stale"
    llm_server.calls.clear()
    run_background(kitchen)
    assert [call.stage for call in llm_server.calls] == ["generate", "validate"]
    assert kitchen.ask(REFUND, cache="only_if_cached").cache.status == "hit"


@pytest.mark.parametrize("stage", ["generate", "validate"])
def test_a_stale_answer_serves_while_the_provider_fails(
    kitchen: Kitchen, llm_server: LlmServer, stage: str
) -> None:
    first = kitchen.ask(REFUND)
    kitchen.clock.advance(3 * 60 * 60)
    llm_server.always(stage, Fail(503))
    stale = kitchen.ask(REFUND)
    assert (stale.cache.status, stale.cache.reason, stale.text) == ("stale", "provider-failed", first.text)
    llm_server.always(stage, None)
    kitchen.clock.advance(2.1)
    assert kitchen.ask(REFUND).cache.status == "miss"


def test_a_stale_answer_serves_where_even_the_message_cannot_be_classified(
    kitchen: Kitchen, llm_server: LlmServer
) -> None:
    first = kitchen.ask(REFUND)
    kitchen.clock.advance(3 * 60 * 60)
    for stage in ("classify", "generate", "validate"):
        llm_server.always(stage, Fail(503))
    stale = kitchen.ask(REFUND)
    assert (stale.cache.status, stale.text) == ("stale", first.text)


@pytest.mark.parametrize("why", ["provider failed", "made anew behind it"])
def test_an_answer_from_a_stale_reading_does_not_pass_for_fresh(
    kitchen: Kitchen, llm_server: LlmServer, why: str
) -> None:
    if why == "made anew behind it":
        kitchen.policies.learn(rules={("intent", ""): Rule(ttl_s=3600, stale_while_revalidate_s=24 * 3600)})
    kitchen.ask(REFUND)
    kitchen.clock.advance(20 * 60 * 60)
    if why == "provider failed":
        llm_server.always("classify", Fail(503))
    for _ in range(2):
        answer = kitchen.ask(REFUND)
        assert (answer.cache.level or "reply", answer.intent) == ("reply", "refund_policy")
    llm_server.always("classify", None)
    kitchen.clock.advance(2.1)
    run_background(kitchen)
    kitchen.ask(REFUND)
    assert kitchen.ask(REFUND).cache.level == "response"


def test_a_refusal_is_no_failure(kitchen: Kitchen, llm_server: LlmServer) -> None:
    kitchen.ask(REFUND)
    kitchen.clock.advance(STALE_S)
    llm_server.always("generate", Refuse())
    assert kitchen.ask(REFUND).needs_human


@pytest.mark.parametrize("why", ["window over", "flushed", "policies changed", "switched off", "no-cache"])
def test_what_would_be_wrong_is_not_served_however_the_provider_fails(
    kitchen: Kitchen, llm_server: LlmServer, why: str
) -> None:
    kitchen.ask(REFUND)
    kitchen.clock.advance(STALE_S)
    llm_server.always("generate", Fail(503))
    match why:
        case "window over":
            kitchen.clock.advance(24 * 60 * 60)
        case "flushed":
            kitchen.policies.learn(flushes=Flushes([Flush(clock=1, kind="all")]))
        case "policies changed":
            kitchen.index.revisions["r2"] = POLICIES[2:]
            kitchen.policies.learn(revisions={"shop": "r2"})
        case "switched off":
            kitchen.policies.learn(is_on=False)
    with pytest.raises(ProviderError):
        kitchen.ask(REFUND, cache="no_cache" if why == "no-cache" else "")


def test_an_answer_whose_evidence_is_unchanged_serves_stale_under_new_policies(
    kitchen: Kitchen, llm_server: LlmServer
) -> None:
    first = kitchen.ask(REFUND)
    kitchen.clock.advance(STALE_S)
    kitchen.index.revisions["r2"] = list(POLICIES)
    kitchen.policies.learn(revisions={"shop": "r2"})
    llm_server.always("generate", Fail(503))
    stale = kitchen.ask(REFUND)
    assert (stale.cache.status, stale.cache.level, stale.text) == ("stale", "reply", first.text)


def test_a_stale_answer_flushed_while_the_provider_is_asked_is_not_served(
    kitchen: Kitchen, llm_server: LlmServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    kitchen.ask(REFUND)
    kitchen.clock.advance(STALE_S)
    llm_server.always("generate", Fail(503))
    provider = kitchen.pipeline.provider
    generate = provider.generate

    def flush_meanwhile(**inputs: object) -> object:
        kitchen.policies.learn(flushes=Flushes([Flush(clock=1, kind="all")]))
        return generate(**inputs)  # type: ignore[arg-type]

    monkeypatch.setattr(provider, "generate", flush_meanwhile)
    with pytest.raises(ProviderError):
        kitchen.ask(REFUND)


def test_where_no_more_may_wait_a_stale_answer_serves_else_an_error(kitchen: Kitchen) -> None:
    kitchen.ask(REFUND)
    kitchen.clock.advance(STALE_S)
    places = [kitchen.bulkhead.place() for _ in range(64)]
    for place in places:
        place.take()
    stale = kitchen.ask(REFUND)
    assert (stale.cache.status, stale.cache.reason) == ("stale", "overloaded")
    with pytest.raises(Overloaded):
        kitchen.ask("How long does shipping take?")
    for place in places:
        place.leave()
    assert kitchen.ask("How long does shipping take?").cache.status == "miss"
    assert kitchen.bulkhead.facts()["admitted"] == 0
