"""How endpoints that are not OpenAI's own dress their answers, and errors that they send with status 200."""

import json
from collections.abc import Callable

from tests.fakes.llm_script import Body, Dressed


def content(dress: Callable[[str], object]) -> Dressed:
    """Return an endpoint that writes the content of its messages in another way."""
    return Dressed(message=lambda message: {**message, "content": dress(message["content"])})


DRESSES: dict[str, Dressed] = {
    "thoughts with an object": content(lambda said: f'<think>Perhaps {{"a":1}}, no.</think>\n\n{said}'),
    "thoughts without a beginning": content(lambda said: f'Perhaps {{"a": 1}}.\n</think>\n{said}'),
    "thoughts without an end": content(lambda said: f"<think>\nLet me see.\n{said}"),
    "thoughts of another kind": content(lambda said: f"<reasoning>{{}}</reasoning>{said}"),
    "thoughts in brackets": content(lambda said: f"[THINK]Hm.[/THINK]{said}"),
    "channels": content(
        lambda said: (
            f"<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>{said}"
        )
    ),
    "thoughts in a field": Dressed(
        message=lambda message: {**message, "reasoning_content": '{"a": 1}', "reasoning": "Hm."}
    ),
    "fence, then prose with braces": content(
        lambda said: f"```json\n{said}\n```\nI filled {{in}} the form {{as told}}."
    ),
    "prose before with braces": content(lambda said: f"The form {{intent, reply}} is filled in: {said}"),
    "another object after": content(lambda said: f'{said}\n{{"note": "done"}}'),
    "a list of one": content(lambda said: f"[{said}]"),
    "wrapped": content(lambda said: f'{{"result": {said}}}'),
    "parts": content(lambda said: [{"type": "text", "text": said}]),
    "several parts": content(
        lambda said: [
            {"type": "thinking", "thinking": '{"a": 1}'},
            {"type": "text", "text": said[:9]},
            {"type": "text", "text": said[9:]},
            {"type": "image_url", "image_url": {"url": "data:"}},
        ]
    ),
    "decoded": content(json.loads),
    "by a tool": Dressed(
        message=lambda message: {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "1", "type": "function", "function": {"arguments": message["content"]}}],
        }
    ),
    "a mark in the content": content(lambda said: f"\ufeff{said}"),
    "camel case": content(
        lambda said: (
            said.replace("is_personal", "isPersonal")
            .replace("is_supported", "Is Supported")
            .replace("cited", "Cited")
        )
    ),
    "over several lines": content(lambda said: json.dumps(json.loads(said), indent=4)),
    "comment lines": Dressed(
        body=lambda body: b": OPENROUTER PROCESSING\n\n: OPENROUTER PROCESSING\r\n\r\n\n" + body
    ),
    "blank lines": Dressed(body=lambda body: b"\n         \n\n" + body),
    "a mark before the body": Dressed(body=lambda body: b"\xef\xbb\xbf" + body),
    "finish reason null": Dressed(body=lambda body: body.replace(b'"stop"', b"null")),
    "finish reason unknown": Dressed(body=lambda body: body.replace(b'"stop"', b'"eos_token"')),
    "error null": Dressed(body=lambda body: b'{"error": null, ' + body[1:]),
}


def told(body: object) -> Body:
    """Return an endpoint that answers every request with status 200 and this JSON."""
    return Body(json.dumps(body).encode())


PASSING_ERRORS: dict[str, Body] = {
    # SWE-agent/mini-swe-agent#902
    "502": told({"error": {"code": 502, "message": "Provider returned error"}, "user_id": "u"}),
    "code as a text": told({"error": {"code": "503", "message": "overloaded"}}),
    "error as a text": told({"error": "upstream connect error"}),
    "unknown kind": told({"error": {"message": "Something went wrong", "type": "server_error"}}),
    "in the choice": told(
        {"choices": [{"error": {"code": 502, "message": "cut"}, "message": {"content": "", "role": "a"}}]}
    ),
    "as finish reason": told({"choices": [{"finish_reason": "error", "message": {"content": "{"}}]}),
    "no choices beside it": told({"choices": [], "error": {"code": 500, "message": "internal"}}),
    "null choices": told({"choices": None, "error": {"message": "internal"}}),
    "without the word": told({"object": "error", "message": "CUDA out of memory", "code": 50001}),
    "detail": told({"detail": "Worker died"}),
    "base_resp": told({"errors": [{"code": 7009, "message": "Upstream is out"}], "success": False}),
}
