import json
import logging
import os
import socket
import subprocess
import sys
import time
import traceback

import pytest

from chat.errors import (
    ProviderBusy,
    ProviderError,
    ProviderMisconfigured,
    ProviderRefused,
    ProviderTimedOut,
    ProviderUnavailable,
    ProviderUnreadable,
)
from tests.chat.endpoint.desk import SECRET_WORDS, Desk, tokens
from tests.fakes.llm_script import Action, Body, Disconnect, Drip, Fail, Hang, Refuse, Say, Truncate
from tests.fakes.llm_server import LlmServer


def test_answer_is_returned_and_booked_with_the_tokens_its_response_states(desk: Desk) -> None:
    desk.server.script("validate", Say("quite right"))

    assert desk.ask() == "quite right"
    [call] = desk.booked
    assert (call.stage, call.model, call.outcome) == ("validate", "small-model", "ok")
    assert call.seconds > 0
    assert tokens(call) == tokens(desk.server.calls[0])
    assert (call.prompt_tokens or 0) > 20
    assert call.completion_tokens == 2


def test_request_is_deterministic_bounded_and_asks_for_the_form(desk: Desk) -> None:
    desk.ask(schema={"type": "object"})

    request = desk.server.calls[0].request
    assert request["temperature"] == 0
    assert request["max_tokens"] == 50
    assert request["response_format"]["type"] == "json_schema"
    assert request["response_format"]["json_schema"] == {
        "name": "validate",
        "strict": True,
        "schema": {"type": "object"},
    }


def test_request_without_a_schema_names_no_form(desk: Desk) -> None:
    desk.ask()

    assert "response_format" not in desk.server.calls[0].request


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422])
def test_rejected_request_is_not_repeated(desk: Desk, status: int) -> None:
    desk.server.script("validate", Fail(status))

    with pytest.raises(ProviderMisconfigured, match=str(status)):
        desk.ask()
    assert desk.outcomes == ["error"]
    assert desk.booked_tokens == [(0, 0, 0)]
    assert desk.waits == []


def test_wrong_key_is_a_misconfiguration(llm_server: LlmServer) -> None:
    with pytest.raises(ProviderMisconfigured, match="401"):
        Desk(llm_server, api_key="sk-other").ask()


def test_wrong_base_url_is_a_misconfiguration(llm_server: LlmServer) -> None:
    with pytest.raises(ProviderMisconfigured, match="404"):
        Desk(llm_server, base_url=llm_server.base_url.removesuffix("/v1")).ask()


@pytest.mark.parametrize("key", ["sk-line\nbreak", "sk-umläut", "sk two"])
def test_key_that_no_header_can_carry_is_refused_without_being_shown(llm_server: LlmServer, key: str) -> None:
    with pytest.raises(ProviderMisconfigured) as caught:
        Desk(llm_server, api_key=key)
    assert key not in str(caught.value)


def test_used_up_credit_is_a_misconfiguration_and_not_repeated(desk: Desk) -> None:
    desk.server.script("validate", Fail(429, code="insufficient_quota"))

    with pytest.raises(ProviderMisconfigured, match="credit"):
        desk.ask()
    assert len(desk.booked) == 1


def test_busy_server_is_asked_twice_more_with_growing_waits(desk: Desk) -> None:
    desk.server.always("validate", Fail(429))

    with pytest.raises(ProviderBusy) as caught:
        desk.ask()
    assert caught.value.retry_after_s is None
    assert desk.outcomes == ["error"] * 3
    assert desk.waits == [0.375, 0.75]


def test_short_pause_that_a_busy_server_asks_for_is_kept(desk: Desk) -> None:
    desk.server.script("validate", Fail(429, retry_after=1.5), Say("now"))

    assert desk.ask() == "now"
    assert desk.waits == [1.5]
    assert desk.outcomes == ["error", "ok"]


@pytest.mark.parametrize("status", [429, 503])
def test_long_pause_is_passed_on_to_the_caller_at_once(desk: Desk, status: int) -> None:
    desk.server.script("validate", Fail(status, retry_after=30))

    with pytest.raises(ProviderBusy) as caught:
        desk.ask()
    assert caught.value.retry_after_s == 30
    assert desk.waits == []
    assert len(desk.booked) == 1


@pytest.mark.parametrize("retry_after", ["Wed, 21 Oct 2026 07:28:00 GMT", "-1", "inf", "nan", "soon"])
def test_pause_that_is_no_number_of_seconds_is_ignored(desk: Desk, retry_after: str) -> None:
    desk.server.script("validate", Fail(429, retry_after=retry_after), Say("now"))

    assert desk.ask() == "now"
    assert desk.waits == [0.375]


def test_server_error_is_tried_again(desk: Desk) -> None:
    desk.server.script("validate", Fail(500), Say("now"))

    assert desk.ask() == "now"
    assert desk.outcomes == ["error", "ok"]


def test_lasting_server_error_is_reported_after_three_tries(desk: Desk) -> None:
    desk.server.always("validate", Fail(503))

    with pytest.raises(ProviderUnavailable, match="503"):
        desk.ask()
    assert desk.outcomes == ["error"] * 3
    assert len(desk.server.calls) == 3


@pytest.mark.parametrize("action", [Hang(), Drip()])
def test_time_out_is_final_and_does_not_multiply_the_waiting(llm_server: LlmServer, action: Action) -> None:
    desk = Desk(llm_server, timeout_s=0.3)
    llm_server.always("validate", action)

    started = time.monotonic()
    with pytest.raises(ProviderTimedOut):
        desk.ask()
    assert time.monotonic() - started < 1.5
    assert desk.outcomes == ["timeout"]
    assert desk.booked_tokens == [(None, 0, None)], "what came too late may be billed all the same"
    assert len(llm_server.calls) == 1


def test_deadline_covers_all_tries_and_waits(llm_server: LlmServer) -> None:
    desk = Desk(llm_server, timeout_s=3.0, stands_still=True)
    llm_server.always("validate", Fail(429, retry_after=2))

    with pytest.raises(ProviderBusy):
        desk.ask()
    assert desk.waits == [2.0]
    assert len(desk.booked) == 2


def test_refused_connection_is_tried_again_and_reported(llm_server: LlmServer) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    desk = Desk(llm_server, base_url=f"http://127.0.0.1:{port}/v1")

    with pytest.raises(ProviderUnavailable, match="connection"):
        desk.ask()
    assert desk.outcomes == ["error"] * 3
    assert desk.booked_tokens == [(0, 0, 0)] * 3


@pytest.mark.parametrize("is_mid_response", [True, False])
def test_broken_connection_is_tried_again(desk: Desk, is_mid_response: bool) -> None:
    desk.server.script("validate", Disconnect(is_mid_response=is_mid_response), Say("now"))

    assert desk.ask() == "now"
    assert desk.outcomes == ["error", "ok"]


def test_lastingly_broken_connection_is_reported(desk: Desk) -> None:
    desk.server.always("validate", Disconnect())

    with pytest.raises(ProviderUnavailable):
        desk.ask()
    assert desk.outcomes == ["error"] * 3


def test_parameters_that_a_model_refuses_are_left_out_from_then_on(desk: Desk) -> None:
    desk.server.script(
        "validate",
        Fail(400, code="unsupported_parameter", param="max_tokens"),
        Fail(400, code="unsupported_value", param="temperature"),
        Fail(400, param="response_format"),
        Fail(400, param="response_format.schema"),
        Fail(400, param="response_format"),
        Fail(400, param="max_completion_tokens"),
    )

    desk.ask(schema={"type": "object"})
    assert desk.outcomes == ["error"] * 6 + ["ok"]
    assert desk.waits == []
    requests = [call.request for call in desk.server.calls]
    assert requests[1]["max_completion_tokens"] == 50
    assert requests[3]["response_format"] == {"type": "json_object", "schema": {"type": "object"}}
    assert requests[4]["response_format"] == {"type": "json_object"}
    desk.ask(schema={"type": "object"})
    assert len(desk.booked) == 8
    assert set(desk.server.calls[-1].request) == {"model", "messages"}
    assert desk.client.left_out("small-model") == [
        "response_format json_schema",
        "response_format json_object with a schema",
        "response_format json_object",
        "temperature",
        "max_tokens",
        "max_completion_tokens",
    ]


@pytest.mark.parametrize(("param", "n_calls"), [("messages", 1), ("temperature", 2), ("max_tokens", 3)])
def test_parameter_whose_absence_does_not_help_is_a_misconfiguration(
    desk: Desk, param: str, n_calls: int
) -> None:
    desk.server.always("validate", Fail(400, param=param))

    with pytest.raises(ProviderMisconfigured):
        desk.ask()
    assert len(desk.booked) == n_calls
    assert desk.client.left_out("small-model") == []


FAILURES: list[tuple[Action, type[ProviderError]]] = [
    (Fail(400), ProviderMisconfigured),
    (Fail(401), ProviderMisconfigured),
    (Fail(429), ProviderBusy),
    (Fail(500), ProviderUnavailable),
    (Disconnect(), ProviderUnavailable),
    (Disconnect(is_mid_response=False), ProviderUnavailable),
    (Refuse(), ProviderRefused),
    (Truncate(), ProviderUnreadable),
    (Say(SECRET_WORDS), ProviderUnreadable),
    (Body(SECRET_WORDS.encode()), ProviderUnreadable),
]


@pytest.mark.parametrize(("action", "kind"), FAILURES, ids=lambda value: repr(value)[:30])
def test_no_failure_shows_the_key_or_the_text(
    desk: Desk, action: Action, kind: type[ProviderError], caplog: pytest.LogCaptureFixture
) -> None:
    desk.server.always("validate", action)

    with caplog.at_level(logging.INFO), pytest.raises(kind) as caught:
        desk.ask(read=json.loads)
    error = caught.value
    assert error.__context__ is None
    records = [str(vars(record)) for record in caplog.records]
    shown = "".join([*traceback.format_exception(error), repr(error), caplog.text, *records])
    assert desk.server.api_key not in shown
    assert "Ottokar" not in shown
    assert str(error)


def test_retries_can_be_seen_in_the_log(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    desk.server.script("validate", Fail(500), Say("now"))

    desk.ask()
    [record] = [record for record in caplog.records if record.name == "chat.endpoint.client"]
    assert record.levelno == logging.WARNING
    assert vars(record)["stage"] == "validate"
    assert vars(record)["outcome"] == "error"


def test_importing_the_client_does_not_import_openai() -> None:
    code = "import django, sys; django.setup(); import chat.endpoint.client; print(*sys.modules)"
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "tria_site.settings"}

    run = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, env=environment, text=True
    )
    assert "openai" not in run.stdout.split()
