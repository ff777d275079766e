"""`manage.py check_provider` against endpoints of every kind, over HTTP."""

import json
import re
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from cachemgmt.models import LlmCall, ModelPrice
from tests.fakes.fixtures import MODELS
from tests.fakes.llm_dresses import DRESSES, PASSING_ERRORS
from tests.fakes.llm_oddities import REFUSALS, error, refuse
from tests.fakes.llm_script import Body, Dressed, Fail, Picky, Refuse, Say
from tests.fakes.llm_server import LlmServer

pytestmark = pytest.mark.django_db
STAGES = ("classify", "generate", "validate")


@pytest.fixture(autouse=True)
def endpoint(settings: Any, llm_server: LlmServer) -> None:
    settings.LLM_PROVIDER = "openai"
    settings.EMBEDDER = "minilm"
    settings.OPENAI = {
        "api_key": llm_server.api_key,
        "base_url": llm_server.base_url,
        "timeout_s": 10.0,
        "models": dict(MODELS),
    }


def run(capsys: pytest.CaptureFixture[str]) -> str:
    """Return what the command prints, and what it raises behind it."""
    try:
        call_command("check_provider")
    except CommandError as failure:
        return f"{capsys.readouterr().out}{failure}"
    return capsys.readouterr().out


def rows(out: str) -> dict[str, list[str]]:
    """Return the table by stage: model, works, tokens, price, seconds, refuses."""
    found = [re.split(r"  +", line, maxsplit=6) for line in out.splitlines()]
    return {cells[0]: cells[1:] for cells in found if cells[0] in {*STAGES, "embed"} and len(cells) == 7}


def price(model: str) -> None:
    ModelPrice.objects.create(model_pattern=model, valid_from="2026-01-01", input_usd="1", output_usd="2")


def test_a_plain_endpoint_works_and_every_call_is_booked(
    capsys: pytest.CaptureFixture[str], llm_server: LlmServer
) -> None:
    price("small-model")
    out = run(capsys)

    table = rows(out)
    assert list(table) == list(STAGES)
    assert [cells[1] for cells in table.values()] == ["yes"] * 3
    assert {cells[2] for cells in table.values()} == {"told"}
    assert [cells[3] for cells in table.values()] == ["known", "unknown", "known"]
    assert all(0 <= float(cells[4]) < 10 for cells in table.values())
    assert {cells[5] for cells in table.values()} == {"nothing"}
    assert "warning: big-model has no price" in out
    assert "warning: small-model" not in out
    assert out.endswith("All 3 work.\n")
    booked = LlmCall.objects.values_list("stage", "model", "purpose", "outcome")
    assert sorted(booked) == sorted((stage, MODELS[stage], "check", "ok") for stage in STAGES)


def test_the_embedder_is_asked_where_it_is_the_endpoints(
    capsys: pytest.CaptureFixture[str], settings: Any
) -> None:
    settings.EMBEDDER = "openai"
    assert rows(run(capsys))["embed"][:3] == ["embed-model", "yes", "told"]
    settings.LLM_PROVIDER = "extractive"
    assert list(rows(run(capsys))) == ["embed"]


def test_without_a_model_it_says_so_and_calls_nobody(
    capsys: pytest.CaptureFixture[str], settings: Any, llm_server: LlmServer
) -> None:
    settings.LLM_PROVIDER = "extractive"

    out = run(capsys)
    assert "extractive" in out
    assert "OPENAI_API_KEY" in out
    assert llm_server.calls == []


@pytest.mark.parametrize("oddity", [*REFUSALS, *DRESSES])
def test_an_odd_endpoint_works(
    capsys: pytest.CaptureFixture[str], llm_server: LlmServer, oddity: str
) -> None:
    for stage in STAGES:
        llm_server.always(stage, REFUSALS.get(oddity) or DRESSES[oddity])

    out = run(capsys)
    assert [cells[1] for cells in rows(out).values()] == ["yes"] * 3
    expected = {
        "json_schema": "response_format json_schema",
        "any form": "response_format json_schema, response_format json_object with a schema, "
        "response_format json_object",
        "temperature": "temperature",
        "max_tokens": "max_tokens",
        "any limit": "max_tokens, max_completion_tokens",
        "system": "the system role",
        "schema": "response_format json_schema",
    }
    refused = expected[oddity.partition(",")[0]] if oddity in REFUSALS else "nothing"
    assert {cells[5] for cells in rows(out).values()} == {refused}


def test_tokens_that_are_not_told_are_a_warning(
    capsys: pytest.CaptureFixture[str], llm_server: LlmServer
) -> None:
    price("*")

    def without_usage(body: bytes) -> bytes:
        return json.dumps({**json.loads(body), "usage": None}).encode()

    llm_server.always("generate", Dressed(body=without_usage))

    out = run(capsys)
    assert rows(out)["generate"][2] == "not told"
    assert "warning: big-model does not tell its tokens" in out
    assert out.endswith("All 3 work.\n")


NO_MODEL = error(
    "The model `big-model` does not exist or you do not have access to it.", code="model_not_found"
)
OLLAMA_NO_MODEL = error("model 'big-model' not found, try pulling it first", type="api_error")
AZURE_NO_MODEL = {"error": {"code": "DeploymentNotFound", "message": "There is none."}}
DEEPSEEK_NO_MODEL = error("Model Not Exist", code="invalid_request_error")


@pytest.mark.parametrize(
    ("action", "advice"),
    [
        (Fail(401, code="invalid_api_key"), "OPENAI_API_KEY"),
        (Fail(403), "OPENAI_API_KEY"),
        (Fail(402), "credit"),
        (Fail(429, code="insufficient_quota"), "credit"),
        (refuse(lambda _: True, 404, NO_MODEL), "OPENAI_MODEL_GENERATE"),
        (refuse(lambda _: True, 404, OLLAMA_NO_MODEL), "OPENAI_MODEL_GENERATE: the endpoint knows no such"),
        (refuse(lambda _: True, 400, DEEPSEEK_NO_MODEL), "OPENAI_MODEL_GENERATE: the endpoint knows no such"),
        (refuse(lambda _: True, 404, AZURE_NO_MODEL), "OPENAI_MODEL_GENERATE: the endpoint knows no such"),
        (Fail(404), "OPENAI_BASE_URL"),
        (Fail(400), "OPENAI_MODEL_GENERATE"),
        (Fail(429, retry_after=30), "too much to do"),
        (Fail(503, retry_after=0), "OPENAI_BASE_URL"),
        (PASSING_ERRORS["502"], "endpoint is up"),
        (Body(b"<!DOCTYPE html>", "text/html"), "OPENAI_BASE_URL"),
        (Say("I'd rather chat."), "keeps to a form"),
        (Refuse(), "declines"),
    ],
    ids=str,
)
def test_what_does_not_work_is_told_with_what_to_do(
    capsys: pytest.CaptureFixture[str], llm_server: LlmServer, action: Fail | Picky | Body | Say, advice: str
) -> None:
    llm_server.always("generate", action)

    out = run(capsys)
    assert [cells[1] for cells in rows(out).values()] == ["yes", "no", "yes"]
    [line] = [line for line in out.splitlines() if line.startswith("generate: ")]
    assert advice in line
    assert out.endswith("1 of 3 do not work.")
    assert llm_server.api_key not in out


def test_a_wrong_key_is_told_and_not_shown(capsys: pytest.CaptureFixture[str], settings: Any) -> None:
    settings.OPENAI["api_key"] = "sk-wrong"

    out = run(capsys)
    assert out.count("Check OPENAI_API_KEY") == 3
    assert out.endswith("3 of 3 do not work.")
    assert "sk-wrong" not in out


def test_a_key_that_is_none_is_told_and_not_shown(capsys: pytest.CaptureFixture[str], settings: Any) -> None:
    settings.OPENAI["api_key"] = "my secret key"

    out = run(capsys)
    assert "OPENAI_API_KEY" in out
    assert "secret" not in out


def test_an_address_without_its_end_is_told(capsys: pytest.CaptureFixture[str], settings: Any) -> None:
    settings.OPENAI["base_url"] = settings.OPENAI["base_url"].removesuffix("/v1")

    assert "Check OPENAI_BASE_URL, which mostly ends in /v1" in run(capsys)


def test_an_endpoint_that_cannot_be_reached_is_told_without_its_password(
    capsys: pytest.CaptureFixture[str], settings: Any
) -> None:
    settings.OPENAI["base_url"] = "http://user:hush@127.0.0.1:9/v1"

    out = run(capsys)
    assert "endpoint  http://127.0.0.1:9/v1" in out
    assert "Check OPENAI_BASE_URL, and that the endpoint is up" in out
    assert "hush" not in out
