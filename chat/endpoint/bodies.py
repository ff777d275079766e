"""Reads the bodies of responses: their JSON, the error in them, and what an error of any shape says."""

import json
import re
from dataclasses import dataclass
from typing import Any

_ECHOES = frozenset({"input", "ctx", "url"})
"""Where validation errors quote the request."""
_ERROR_FIELDS = frozenset({"detail", "errors", "message", "msg", "error_msg", "error_message"})


_STATUS_OF_KIND = (
    (re.compile(r"rate.?limit|too.?many|resource.?exhausted|insufficient.?quota", re.IGNORECASE), 429),
    (re.compile(r"api.?key|auth", re.IGNORECASE), 401),
    (re.compile(r"permission|forbidden", re.IGNORECASE), 403),
    (re.compile(r"not.?found", re.IGNORECASE), 404),
    (re.compile(r"invalid.?request|bad.?request|invalid.?argument|context.?length", re.IGNORECASE), 400),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class ErrorReport:
    """What an error says: words for its kind (codes, types), what it points at (`param`, `loc`), texts."""

    codes: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()


def decoded(body: bytes) -> object:
    """Return the JSON of a body that may begin with a byte order mark, comment lines (": …", with which some
    endpoints keep a connection alive) and blank lines. Raises ValueError or RecursionError."""
    text = body.decode(json.detect_encoding(body)).lstrip("\ufeff")
    while text.startswith((":", " ", "\t", "\r", "\n")):
        text = text.partition("\n")[2] if text.startswith(":") else text.lstrip()
    value: object = json.loads(text)
    return value


def read_report(error: object) -> tuple[ErrorReport, int | None]:
    """Return what an error of any shape says, and the HTTP status that it stands for where it names one."""
    codes: list[str] = []
    places: list[str] = []
    texts: list[str] = []
    waiting: list[tuple[str, Any]] = [("", error)]
    while waiting:
        name, value = waiting.pop(0)
        if isinstance(value, dict):
            waiting += [(str(key), item) for key, item in value.items() if key not in _ECHOES]
        elif isinstance(value, list):
            if name == "loc":
                places.append(".".join(map(str, value)))
            else:
                waiting += [(name, item) for item in value]
        elif name in {"code", "type", "status", "statusCode", "status_code", "error_code"}:
            codes += [str(value)] if value else []
        elif isinstance(value, str):
            (places if name == "param" else texts).append(value)
    report = ErrorReport(codes=tuple(codes), places=tuple(places), texts=tuple(texts))
    return report, _status_of(codes, texts)


def _status_of(codes: list[str], texts: list[str]) -> int | None:
    numbers = [int(code) for code in codes if re.fullmatch(r"[45]\d\d", code)]
    if numbers:
        return numbers[0]
    said = [code for code in codes if not code.isdigit()] or texts
    return next((status for kind, status in _STATUS_OF_KIND if any(map(kind.search, said))), None)


def error_in(body: object) -> object | None:
    """Return the part of a body that is an error, None if there is none."""
    if not isinstance(body, dict):
        return None
    choices = body.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    if choice.get("error") or choice.get("finish_reason") == "error":
        return choice.get("error") or body.get("error") or "The answer ends in an error."
    if choice or body.get("data"):
        return None
    if body.get("error"):
        error: object = body["error"]
        return error
    return body if _ERROR_FIELDS & set(body) else None
