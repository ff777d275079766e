import json

import pytest

from cachemgmt.api import ProviderCall
from chat.errors import ProviderUnreadable
from chat.judging.intents import intents
from chat.providers import openai_provider
from chat.providers.base import Provider
from chat.types import Reply, Verdict
from tests.chat.providers.asking import (
    HISTORY,
    QUESTION,
    STAGES,
    classify,
    generate,
    validate,
)
from tests.fakes.llm_script import Action, Fenced, Malformed, Say
from tests.fakes.llm_server import LlmServer

CLASSIFIED: dict[str, object] = {
    "intent": "refund_policy",
    "confidence": 0.9,
    "language": "en",
    "is_personal": False,
    "leans_on_context": False,
    "self_contained": "",
}


@pytest.mark.parametrize("stage", STAGES)
def test_form_asked_for_is_one_that_strict_endpoints_take(
    provider: Provider, llm_server: LlmServer, stage: str
) -> None:
    STAGES[stage](provider)

    schema = llm_server.calls[0].request["response_format"]["json_schema"]["schema"]
    assert schema["required"] == list(schema["properties"])
    assert schema["additionalProperties"] is False
    assert not {"minimum", "maximum", "pattern", "minLength", "default", "$ref"} & set(keys_of(schema))
    assert stage != "classify" or schema["properties"]["intent"]["enum"] == list(intents())


def keys_of(value: object) -> list[str]:
    if isinstance(value, dict):
        return [*value, *(key for child in value.values() for key in keys_of(child))]
    return [key for child in value for key in keys_of(child)] if isinstance(value, list) else []


@pytest.mark.parametrize("stage", STAGES)
def test_malformed_output_is_asked_for_once_more(
    provider: Provider, llm_server: LlmServer, stage: str
) -> None:
    booked: list[ProviderCall] = []
    expected = STAGES[stage](provider)
    llm_server.script(stage, Malformed())

    assert STAGES[stage](provider, book=booked.append) == expected
    assert [call.outcome for call in booked] == ["unreadable", "ok"]
    assert all(call.completion_tokens for call in booked)


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize(
    "action", [Malformed(), Say('{"answer": "yes"}'), Say("[1, 2]"), Say("{" * 5000 + "}")]
)
def test_output_of_the_wrong_form_twice_is_unreadable(
    provider: Provider, llm_server: LlmServer, stage: str, action: Action
) -> None:
    booked: list[ProviderCall] = []
    llm_server.always(stage, action)

    with pytest.raises(ProviderUnreadable):
        STAGES[stage](provider, book=booked.append)
    assert [(call.stage, call.outcome) for call in booked] == [(stage, "unreadable")] * 2


@pytest.mark.parametrize("stage", STAGES)
def test_output_in_a_fence_is_read(provider: Provider, llm_server: LlmServer, stage: str) -> None:
    expected = STAGES[stage](provider)
    llm_server.script(stage, Fenced())

    assert STAGES[stage](provider) == expected
    assert len(llm_server.calls) == 2


def say(**changes: object) -> Say:
    return Say(json.dumps({**CLASSIFIED, **changes}))


def test_invented_intent_becomes_other(provider: Provider, llm_server: LlmServer) -> None:
    llm_server.script("classify", say(intent="lamp_worship"))

    assert classify(provider, QUESTION).intent == "other"


@pytest.mark.parametrize(("given", "expected"), [("en", "en"), ("pt-BR", "pt"), ("DE", "de"), (" fr ", "fr")])
def test_language_is_kept_as_two_letters(
    provider: Provider, llm_server: LlmServer, given: str, expected: str
) -> None:
    llm_server.script("classify", say(language=given))

    assert classify(provider, QUESTION).language == expected


@pytest.mark.parametrize("given", ["GREY", "red", "Klingonish", "xx", "English or German", ""])
def test_invented_language_becomes_english(provider: Provider, llm_server: LlmServer, given: str) -> None:
    llm_server.script("classify", say(language=given))

    assert classify(provider, QUESTION).language == "en"
    assert len(llm_server.calls) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"confidence": 101},
        {"confidence": True},
        {"confidence": "nan"},
        {"confidence": -0.1},
        {"confidence": "high"},
        {"language": 7},
        {"is_personal": "perhaps"},
        {"leans_on_context": None},
        {"intent": 7},
        {"leans_on_context": True, "self_contained": "  "},
    ],
    ids=str,
)
def test_classification_out_of_range_is_unreadable(
    provider: Provider, llm_server: LlmServer, changes: dict[str, object]
) -> None:
    llm_server.always("classify", say(**changes))

    with pytest.raises(ProviderUnreadable):
        classify(provider, QUESTION, *HISTORY)


def test_self_contained_form_made_up_without_a_history_is_dropped(
    provider: Provider, llm_server: LlmServer
) -> None:
    llm_server.script("classify", say(leans_on_context=True, self_contained="Do lamps float?"))

    assert classify(provider, "do they float?").self_contained is None


def test_citations_of_passages_that_were_not_given_are_dropped(
    provider: Provider, llm_server: LlmServer
) -> None:
    llm_server.script("generate", Say(json.dumps({"reply": " Yes. ", "cited": [2, 1, -1, 1, 0, 99]})))

    assert generate(provider) == Reply(text="Yes.", cited=(0, 1))


def test_empty_reply_is_left_to_validation(provider: Provider, llm_server: LlmServer) -> None:
    llm_server.script("generate", Say(json.dumps({"reply": " ", "cited": [0]})))

    assert generate(provider) == Reply(text="", cited=(0,))


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ((True, []), Verdict(is_supported=True)),
        ((True, [" "]), Verdict(is_supported=True)),
        ((True, ["30 is not 60."]), Verdict(is_supported=False, objections=("30 is not 60.",))),
        ((False, []), Verdict(is_supported=False, objections=(openai_provider.UNNAMED_OBJECTION,))),
    ],
)
def test_verdict_in_doubt_is_a_no(
    provider: Provider, llm_server: LlmServer, said: tuple[bool, list[str]], expected: Verdict
) -> None:
    llm_server.script("validate", Say(json.dumps({"is_supported": said[0], "objections": said[1]})))

    assert validate(provider, "Sixty days.") == expected
