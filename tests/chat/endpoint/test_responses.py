import json

import pytest

from chat.errors import (
    ProviderRefused,
    ProviderUnreadable,
)
from tests.chat.endpoint.desk import Desk, Tokens, tokens
from tests.fakes.llm_mind import embed
from tests.fakes.llm_script import Action, Body, Fail, Malformed, Refuse, Say, Truncate

OK_BODY = json.dumps({"choices": [{"message": {"content": "fine"}, "finish_reason": "stop"}]}).encode()


@pytest.mark.parametrize("action", [Refuse(), Say("half a sent", finish_reason="content_filter")])
def test_refusal_is_final_and_its_tokens_are_booked(desk: Desk, action: Action) -> None:
    desk.server.script("validate", action)

    with pytest.raises(ProviderRefused):
        desk.ask()
    assert desk.outcomes == ["refused"]
    assert desk.booked_tokens == [tokens(desk.server.calls[0])]
    assert (desk.booked[0].prompt_tokens or 0) > 0


def test_filter_that_rejects_the_request_is_a_refusal(desk: Desk) -> None:
    desk.server.script("validate", Fail(400, code="content_filter"))

    with pytest.raises(ProviderRefused):
        desk.ask()
    assert desk.outcomes == ["refused"]


def test_truncated_answer_is_not_repeated_as_it_would_be_cut_off_again(desk: Desk) -> None:
    desk.server.script("validate", Truncate())

    with pytest.raises(ProviderUnreadable, match="cut off"):
        desk.ask()
    assert desk.outcomes == ["unreadable"]
    assert desk.booked_tokens == [tokens(desk.server.calls[0])]


@pytest.mark.parametrize("content", [None, "", "  \n"])
def test_empty_answer_is_asked_for_once_more(desk: Desk, content: str | None) -> None:
    desk.server.script("validate", Say(content), Say("something"))

    assert desk.ask() == "something"
    assert desk.outcomes == ["unreadable", "ok"]
    assert desk.waits == [0.0]


def test_answer_of_the_wrong_form_is_asked_for_once_more_and_both_are_booked(desk: Desk) -> None:
    desk.server.script("validate", Say("twelve"), Say("12"))

    assert desk.ask(read=int) == 12
    assert desk.outcomes == ["unreadable", "ok"]
    assert desk.booked_tokens == [tokens(call) for call in desk.server.calls]


def test_answer_of_the_wrong_form_twice_is_reported(desk: Desk) -> None:
    desk.server.always("validate", Malformed())

    with pytest.raises(ProviderUnreadable):
        desk.ask(read=json.loads)
    assert desk.outcomes == ["unreadable"] * 2
    assert desk.booked_tokens == [tokens(call) for call in desk.server.calls]


@pytest.mark.parametrize(
    "body",
    [
        Body(b"<html>Sign in to the hotel's network</html>", "text/html"),
        Body(b"[" * 100_000),
        Body(b"[]"),
        Body(b"{}"),
        Body(b'{"choices": []}'),
        Body(b'{"choices": [{"message": "hello"}]}'),
        Body(b""),
    ],
    ids=["html", "deep", "list", "no choices", "empty choices", "no message", "nothing"],
)
def test_body_that_is_no_completion_is_unreadable(desk: Desk, body: Body) -> None:
    desk.server.always("validate", body)

    with pytest.raises(ProviderUnreadable):
        desk.ask()
    assert desk.outcomes == ["unreadable"] * 2
    assert desk.booked_tokens == [(None, 0, None)] * 2


def test_completion_under_the_wrong_content_type_is_read(desk: Desk) -> None:
    desk.server.script("validate", Body(OK_BODY, "text/plain"))

    assert desk.ask() == "fine"


TOLD = {"prompt_tokens": 7, "completion_tokens": 2}


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (TOLD, (7, 0, 2)),
        ({"prompt_tokens": 7, "completion_tokens": 2, "prompt_tokens_details": None}, (7, 0, 2)),
        ({"prompt_tokens": 7, "completion_tokens": 0}, (7, 0, 0)),
        ({"prompt_tokens": 7.0, "completion_tokens": "2"}, (7, 0, 2)),
        # What is not told, or cannot be true, is unknown; the rest counts.
        ({}, (None, 0, None)),
        (None, (None, 0, None)),
        ("much", (None, 0, None)),
        ([7, 2], (None, 0, None)),
        ({"prompt_tokens": 7}, (7, 0, None)),
        ({"completion_tokens": 2}, (None, 0, 2)),
        ({"prompt_tokens": 7, "completion_tokens": None}, (7, 0, None)),
        ({"prompt_tokens": "many", "completion_tokens": 2}, (None, 0, 2)),
        ({"prompt_tokens": -7, "completion_tokens": 2}, (None, 0, 2)),
        ({"prompt_tokens": 7.5, "completion_tokens": 2}, (None, 0, 2)),
        ({"prompt_tokens": True, "completion_tokens": 2}, (None, 0, 2)),
        ({"prompt_tokens": 10**30, "completion_tokens": "9" * 5000}, (None, 0, None)),
        ({"prompt_tokens": float("inf"), "completion_tokens": 2}, (None, 0, 2)),
        # The sum tells the part that is missing.
        ({"prompt_tokens": 7, "total_tokens": 9}, (7, 0, 2)),
        ({"completion_tokens": 2, "total_tokens": 9}, (7, 0, 2)),
        ({"total_tokens": 9}, (None, 0, None)),
        ({"prompt_tokens": 7, "total_tokens": 3}, (7, 0, None)),
        # Of cached tokens: none where they are not told or not among the prompt's.
        ({**TOLD, "prompt_tokens_details": {"cached_tokens": 3}}, (7, 3, 2)),
        ({**TOLD, "prompt_tokens_details": {"cached_tokens": None}}, (7, 0, 2)),
        ({**TOLD, "prompt_tokens_details": {"cached_tokens": 9}}, (7, 0, 2)),
        ({**TOLD, "prompt_tokens_details": [3]}, (7, 0, 2)),
    ],
)
def test_usage_is_booked_as_far_as_it_is_told(desk: Desk, usage: object, expected: Tokens) -> None:
    desk.server.script("validate", Body(json.dumps({**json.loads(OK_BODY), "usage": usage}).encode()))

    assert desk.ask() == "fine"
    assert desk.booked_tokens == [expected]


def test_a_completion_without_usage_has_unknown_tokens(desk: Desk) -> None:
    desk.server.script("validate", Body(OK_BODY))

    assert desk.ask() == "fine"
    assert desk.booked_tokens == [(None, 0, None)]


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 4}, (4, 0, 0)),
        ({"total_tokens": 4}, (4, 0, 0)),
        ({}, (None, 0, 0)),
        (None, (None, 0, 0)),
    ],
)
def test_embedding_completes_nothing_and_its_prompt_is_told_or_unknown(
    desk: Desk, usage: object, expected: Tokens
) -> None:
    body = {"data": [{"index": 0, "embedding": [1.0]}], "usage": usage}
    desk.server.script("embed", Body(json.dumps(body).encode()))

    assert desk.embed(["one"]) == [[1.0]]
    assert desk.booked_tokens == [expected]


def test_vectors_come_in_the_order_of_their_texts_over_several_calls(desk: Desk) -> None:
    texts = [f"policy number {number} about {'refunds' if number % 2 else 'lamps'}" for number in range(600)]

    vectors = desk.embed(texts)

    assert vectors == [embed(text) for text in texts]
    assert [len(call.request["input"]) for call in desk.server.calls] == [256, 256, 88]
    assert [(call.stage, call.model, call.outcome) for call in desk.booked] == [
        ("embed", "embed-model", "ok")
    ] * 3
    assert desk.booked_tokens == [tokens(call) for call in desk.server.calls]


def test_no_texts_need_no_call(desk: Desk) -> None:
    assert desk.embed([]) == []
    assert desk.booked == []


@pytest.mark.parametrize(
    "data",
    [
        [{"index": 0, "embedding": [1.0]}],
        [{"index": 0, "embedding": [1.0]}, {"index": 0, "embedding": [1.0]}],
        [{"index": 0, "embedding": [1.0]}, {"index": 2, "embedding": [1.0]}],
        [{"index": 0, "embedding": [1.0]}, {"index": 1, "embedding": [1.0, 0.0]}],
        [{"index": 0, "embedding": []}, {"index": 1, "embedding": []}],
        [{"index": 0, "embedding": [None]}, {"index": 1, "embedding": [1.0]}],
        "none",
    ],
    ids=["too few", "twice", "gap", "lengths", "empty", "null", "no list"],
)
def test_vectors_that_do_not_fit_their_texts_are_unreadable(desk: Desk, data: object) -> None:
    desk.server.always("embed", Body(json.dumps({"data": data, "usage": {"prompt_tokens": 4}}).encode()))

    with pytest.raises(ProviderUnreadable):
        desk.embed(["one", "two"])
    assert desk.outcomes == ["unreadable"] * 2
    assert desk.booked_tokens == [(4, 0, 0)] * 2


def test_embedding_is_tried_again_when_the_server_is_busy(desk: Desk) -> None:
    desk.server.script("embed", Fail(429, retry_after=0))

    assert len(desk.embed(["one"])) == 1
    assert desk.outcomes == ["error", "ok"]
