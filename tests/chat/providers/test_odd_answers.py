"""What endpoints answer in their own way: the answer is found, and an error is told from an answer."""

from typing import Any

import pytest
from django.test import Client

from cachemgmt.api import ProviderCall
from chat import assembly
from chat.errors import (
    ProviderBusy,
    ProviderError,
    ProviderMisconfigured,
    ProviderRefused,
    ProviderUnavailable,
    ProviderUnreadable,
)
from chat.providers.base import Provider
from chat.types import Reply
from tests.chat.providers.asking import STAGES, classify, generate, validate
from tests.chat.providers.test_odd_endpoints import QUESTION, behave, results
from tests.fakes.kitchen import COLLECTION, Kitchen
from tests.fakes.llm_dresses import DRESSES, PASSING_ERRORS, told
from tests.fakes.llm_oddities import DEEPSEEK_UNAVAILABLE, error, refuse
from tests.fakes.llm_script import Body, Dressed, Fail, Say
from tests.fakes.llm_server import LlmServer


@pytest.mark.parametrize("oddity", DRESSES)
def test_answers_are_found_in_whatever_stands_around_them(
    provider: Provider, llm_server: LlmServer, oddity: str
) -> None:
    expected = results(provider)
    behave(llm_server, DRESSES[oddity])

    assert results(provider) == expected
    assert len(llm_server.calls) == 2 * len(STAGES)


@pytest.mark.parametrize("oddity", PASSING_ERRORS)
def test_error_sent_with_status_200_is_tried_again_and_then_passing(
    provider: Provider, llm_server: LlmServer, oddity: str
) -> None:
    booked: list[ProviderCall] = []
    llm_server.script("generate", PASSING_ERRORS[oddity])
    assert generate(provider, book=booked.append) == generate(provider)
    assert [call.outcome for call in booked] == ["error", "ok"]

    llm_server.always("generate", PASSING_ERRORS[oddity])
    with pytest.raises(ProviderUnavailable):
        generate(provider, book=booked.append)
    assert [call.outcome for call in booked[2:]] == ["error"] * 3


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"error": {"code": "rate_limit_exceeded", "message": "slow down"}}, ProviderBusy),
        ({"error": {"code": 429, "message": "slow down"}}, ProviderBusy),
        ({"error": {"code": 8, "status": "RESOURCE_EXHAUSTED"}}, ProviderBusy),
        ({"error": {"code": "insufficient_quota"}}, ProviderMisconfigured),
        ({"error": {"code": 402, "message": "Insufficient credits"}}, ProviderMisconfigured),
        ({"error": {"code": "invalid_api_key"}}, ProviderMisconfigured),
        ({"error": {"type": "authentication_error"}}, ProviderMisconfigured),
        ({"error": {"code": 400, "message": "bad"}}, ProviderMisconfigured),
        ({"error": {"code": "model_not_found"}}, ProviderMisconfigured),
        ({"error": {"code": "content_filter"}}, ProviderRefused),
    ],
    ids=str,
)
def test_error_sent_with_status_200_is_what_its_code_says(
    provider: Provider, llm_server: LlmServer, body: object, kind: type[ProviderError]
) -> None:
    llm_server.always("classify", told(body))

    with pytest.raises(kind):
        classify(provider, QUESTION)


@pytest.mark.parametrize(
    "action",
    [
        Body(b"<!DOCTYPE html><p>Hello {you}", "text/html"),
        Body(b": OPENROUTER PROCESSING\n\n"),
        Body(b": no end of the line"),
        told({"choices": []}),
        told({"choices": None}),
        told({"choices": ["text"]}),
        told({"choices": [{"message": {"content": None, "reasoning_content": '{"is_supported": true}'}}]}),
        told({"choices": [{"message": {"content": [{"type": "image_url"}]}}]}),
        told({"choices": [{"message": {"content": 7}}]}),
        told({"choices": [{"message": {"content": None, "tool_calls": [{"function": {"name": "f"}}]}}]}),
    ],
)
def test_answer_without_any_text_is_asked_for_once_more(
    provider: Provider, llm_server: LlmServer, action: Body
) -> None:
    booked: list[ProviderCall] = []
    llm_server.always("validate", action)

    with pytest.raises(ProviderUnreadable):
        validate(provider, "Yes.", book=booked.append)
    assert [call.outcome for call in booked] == ["unreadable"] * 2


def test_bare_line_ends_in_a_text_are_kept(provider: Provider, llm_server: LlmServer) -> None:
    llm_server.script("generate", Say('{"reply": "One.\nTwo.\tThree.", "cited": [0]}'))

    assert generate(provider) == Reply(text="One.\nTwo.\tThree.", cited=(0,))


def test_groq_s_failed_json_is_an_unreadable_answer(provider: Provider, llm_server: LlmServer) -> None:
    failed = error("Failed to generate JSON. Please adjust your prompt.", code="json_validate_failed")
    llm_server.script("generate", refuse(lambda _: True, 400, failed))

    assert generate(provider).cited
    assert "response_format" in llm_server.calls[-1].request


FILTERED: dict[str, tuple[int, object]] = {
    # openai/openai-python#786
    "Azure": (
        400,
        {
            "error": {
                "message": "The response was filtered due to the prompt triggering Azure OpenAI's policy.",
                "type": None,
                "param": "prompt",
                "code": "content_filter",
                "status": 400,
                "innererror": {"code": "ResponsibleAIPolicyViolation", "content_filter_result": {}},
            }
        },
    ),
    "a proxy of Azure": (
        400,
        {"error": {"code": "400", "innererror": {"code": "ResponsibleAIPolicyViolation"}}},
    ),
    "OpenRouter": (
        403,
        {"error": {"code": 403, "message": "The model requires moderation and your input was flagged"}},
    ),
}


@pytest.mark.parametrize("endpoint", FILTERED)
def test_a_filter_that_declines_the_text_is_a_refusal(
    provider: Provider, llm_server: LlmServer, endpoint: str
) -> None:
    status, body = FILTERED[endpoint]
    llm_server.always("generate", refuse(lambda _: True, status, body))

    with pytest.raises(ProviderRefused):
        generate(provider)
    assert len(llm_server.calls) == 1


def test_a_failure_an_unusable_answer_and_an_odd_one_make_a_result(
    provider: Provider, llm_server: LlmServer
) -> None:
    expected = results(provider)
    for stage in STAGES:
        llm_server.script(stage, Fail(500), Say("Certainly! {"))
        llm_server.always(stage, Dressed(body=lambda body: b": PROCESSING\n\n" + body))

    assert results(provider) == expected


@pytest.fixture
def client(kitchen: Kitchen, monkeypatch: pytest.MonkeyPatch, settings: Any) -> Client:
    """A client of the site, whose pipeline is the kitchen's."""
    monkeypatch.setattr(assembly, "pipeline", lambda: kitchen.pipeline)
    settings.DEFAULT_COLLECTION = COLLECTION
    return Client()


def ask_site(client: Client) -> Any:
    body = {"message": "What's your refund policy?"}
    return client.post(
        "/api/chat", body, content_type="application/json", headers={"Cache-Control": "no-cache"}
    )


@pytest.mark.parametrize("oddity", ["thoughts with an object", "several parts", "comment lines"])
def test_the_site_answers_through_an_odd_endpoint(client: Client, llm_server: LlmServer, oddity: str) -> None:
    expected = ask_site(client).json()["answer"]
    for stage in STAGES:
        llm_server.always(
            stage,
            refuse(DEEPSEEK_UNAVAILABLE.refuses, 422, "json_schema is unavailable", then=DRESSES[oddity]),
        )

    response = ask_site(client)
    assert response.status_code == 200
    assert response.json()["answer"] == expected
    assert response.json()["sources"]


@pytest.mark.parametrize("oddity", ["502", "error as a text", "in the choice"])
def test_the_site_says_503_to_an_error_sent_with_status_200(
    client: Client, llm_server: LlmServer, oddity: str
) -> None:
    llm_server.always("generate", PASSING_ERRORS[oddity])

    response = ask_site(client)
    assert response.status_code == 503
    assert response.json()["type"] == "urn:tria:problem:provider-unavailable"
    assert response["Retry-After"]
