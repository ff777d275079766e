"""What endpoints that are not OpenAI's own do, as they were seen or reported to do it."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from tests.fakes.llm_script import Dressed, Picky

Request = Mapping[str, Any]


def form_of(request: Request) -> str:
    """Return the type of the form that is asked for, "" for none."""
    return str(request.get("response_format", {}).get("type", ""))


def wants_schema(request: Request) -> bool:
    return form_of(request) == "json_schema"


def wants_form(request: Request) -> bool:
    return bool(form_of(request))


def has_temperature(request: Request) -> bool:
    return "temperature" in request


def has_max_tokens(request: Request) -> bool:
    return "max_tokens" in request


def has_limit(request: Request) -> bool:
    return bool({"max_tokens", "max_completion_tokens"} & set(request))


def has_system(request: Request) -> bool:
    return any(message["role"] == "system" for message in request["messages"])


def refuse(
    refuses: Callable[[Request], bool], status: int, body: object, then: Dressed | None = None
) -> Picky:
    """Return an endpoint that answers what it refuses with this JSON, or with this text."""
    is_text = isinstance(body, str)
    return Picky(
        refuses=refuses,
        status=status,
        body=str(body).encode() if is_text else json.dumps(body).encode(),
        content_type="text/plain" if is_text else "application/json",
        then=then,
    )


def error(message: str, **fields: object) -> dict[str, object]:
    """Return the usual form of an error."""
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, **fields}}


DEEPSEEK_UNAVAILABLE = refuse(
    wants_schema,
    400,
    error("This response_format type is unavailable now", code="invalid_request_error"),
)
REFUSALS: dict[str, Picky] = {
    # ItzCrazyKns/Vane#969, khoj-ai/khoj#1336, BerriAI/litellm#31466
    "json_schema, DeepSeek": DEEPSEEK_UNAVAILABLE,
    # browser-use#215
    "json_schema, plain text": refuse(
        wants_schema,
        422,
        "Failed to deserialize the JSON body into the target type: response_format: response_format.type "
        "`json_schema` is unavailable now at line 1 column 1193",
    ),
    "json_schema, FastAPI": refuse(
        wants_schema,
        422,
        {
            "detail": [
                {
                    "loc": ["body", "response_format", "type"],
                    "msg": "unexpected value; permitted: 'text', 'json_object'",
                }
            ]
        },
    ),
    # llama-cpp-python 0.3.36
    "json_schema, llama-cpp-python": refuse(
        wants_schema,
        500,
        error(
            "1 validation error: {'type': 'literal_error', 'loc': ('body', 'response_format', 'type'), "
            "'msg': \"Input should be 'text' or 'json_object'\", 'input': 'json_schema'}",
            type="internal_server_error",
        ),
    ),
    "json_schema, Groq": refuse(
        wants_schema, 400, error("This model does not support response format `json_schema`. See the docs.")
    ),
    "json_schema, Gemini": refuse(
        wants_schema,
        400,
        [
            error(
                'Invalid JSON payload received. Unknown name "additionalProperties" at '
                "'generation_config.response_schema': Cannot find field.",
                status="INVALID_ARGUMENT",
            )
        ],
    ),
    "json_schema, llama.cpp": refuse(wants_schema, 400, error("Failed to parse grammar", code=400)),
    "any form, error as a text": refuse(
        wants_form, 400, {"error": "response_format is not supported by this model"}
    ),
    "any form, nested": refuse(
        wants_form,
        400,
        {
            "error": {
                "message": "Provider returned error",
                "code": 400,
                "metadata": {
                    "raw": json.dumps(error("JSON mode is not supported for this model")),
                    "provider_name": "Some",
                },
            }
        },
    ),
    "any form, 501": refuse(wants_form, 501, {"message": "structured outputs are not available here"}),
    "temperature, o-series": refuse(
        has_temperature,
        400,
        error(
            "Unsupported value: 'temperature' does not support 0 with this model. Only the default (1) value "
            "is supported.",
            param="temperature",
            code="unsupported_value",
        ),
    ),
    "temperature, TGI": refuse(
        has_temperature,
        422,
        {
            "error": "Input validation error: `temperature` must be strictly positive",
            "error_type": "validation",
        },
    ),
    "temperature, LiteLLM": refuse(
        has_temperature,
        500,
        error(
            "litellm.UnsupportedParamsError: some does not support parameters: ['temperature'], for model=x. "
            "To drop these, set `litellm.drop_params=True`",
            type="None",
            code="500",
        ),
    ),
    "max_tokens, o-series": refuse(
        has_max_tokens,
        400,
        error(
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
            "'max_completion_tokens' instead.",
            param="max_tokens",
            code="unsupported_parameter",
        ),
    ),
    "any limit, vLLM": refuse(
        has_limit,
        400,
        {
            "object": "error",
            "message": "'max_tokens' or 'max_completion_tokens' is too large: 4000. This model's maximum "
            "context length is 4096 tokens and your request has 1041 input tokens (4000 > 4096 - 1041).",
            "type": "BadRequestError",
            "param": None,
            "code": 400,
        },
    ),
    "any limit, old vLLM": refuse(
        has_limit,
        400,
        error(
            "This model's maximum context length is 4096 tokens. However, you requested 5041 tokens (1041 in "
            "the messages, 4000 in the completion). Please reduce the length of the messages or completion."
        ),
    ),
    "any limit, FastAPI forbids": refuse(
        has_limit,
        422,
        {"detail": [{"type": "extra_forbidden", "loc": ["body", "max_tokens"], "msg": "Extra inputs"}]},
    ),
    "system, Gemma": refuse(has_system, 400, {"object": "error", "message": "System role not supported"}),
    "system, o1-mini": refuse(
        has_system,
        400,
        error(
            "Unsupported value: 'messages[0].role' does not support 'system' with this model.",
            param="messages[0].role",
            code="unsupported_value",
        ),
    ),
    "system, Google": refuse(
        has_system,
        400,
        [
            {
                "error": {
                    "code": 400,
                    "message": "Developer instruction is not enabled for models/gemma-3-27b-it",
                }
            }
        ],
    ),
    "system, Mistral template": refuse(
        has_system, 500, error("Conversation roles must alternate user/assistant/user/assistant/...")
    ),
    "system, FastAPI": refuse(
        has_system,
        422,
        {
            "detail": [
                {
                    "loc": ["body", "messages", 0, "role"],
                    "msg": "Input should be 'user' or 'assistant'",
                    "input": "system",
                }
            ]
        },
    ),
    "schema, refused with 200": Picky(
        refuses=wants_schema,
        status=200,
        body=json.dumps(error("response_format is not supported", code=400)).encode(),
    ),
}
