"""Which part of a request an endpoint's error speaks of.

Endpoints agree neither on the status (400, 422, 500) nor on the form of an error (`param`, `loc`, a text,
JSON in a text). So an option counts as refused where the error names it: by `param` or `loc`, or in a text
that also says that something will not do. Careless endpoints quote the request in their errors. A word that
stands there only because it was sent says nothing: otherwise customers could write refusals themselves.
"""

import re
from collections.abc import Mapping

from chat.endpoint.bodies import ErrorReport
from chat.endpoint.requests import Option

SHAPES_RESULTS = False  # refusals are never stored: see chat.source_code

NAMES: Mapping[Option, re.Pattern[str]] = {
    "response_format": re.compile(
        r"response[ _]?(?:formats?|schema)\b|json[ _]?(?:schema|object|mode)\b|structured[ _]outputs?"
        r"|guided[ _]\w+|grammar",
        re.IGNORECASE,
    ),
    "temperature": re.compile(r"\btemperature\b", re.IGNORECASE),
    "token_limit": re.compile(r"\bmax_(?:completion_)?tokens\b|\bin the completion\b", re.IGNORECASE),
    "system_role": re.compile(
        r"\bsystem[ _'\"`]{1,3}(?:role|message|prompt|instruction|turn)s?\b|developer instruction"
        r"|\broles?\b.{0,60}\bsystem\b|roles must alternate|messages\W{1,3}0\W{1,4}role|unsupported \w*role",
        re.IGNORECASE,
    ),
}
_REFUSING = re.compile(
    r"fail|support|available|permit|allow|unknown|unexpected|unrecognized|invalid|validation|extra|forbid|deprecat"
    r"|should|must|only|cannot|not enabled|too (?:large|high|big|many|long)|at most|exceed"
    r"|maximum|instead|reduce",
    re.IGNORECASE,
)
_AS_SENT = re.compile(
    r"""\\*["'](?:temperature|max_(?:completion_)?tokens|response_format|json_schema|role|type)\\*["']\s*:\s*"""
    r"""(?:\\*["']\w*\\*["']|[\d.]+|(?=\{))"""
)
"""A parameter with its value, as in the request itself."""
_NOISE = re.compile(r"\\+(?:u[0-9a-f]{4}|[nrt])|[^a-z0-9]")
_AROUND = 12
"""Letters beside a name by which a quotation is known."""


def refused_options(report: ErrorReport, *, sent: str) -> tuple[Option, ...]:
    """Return the options that an error speaks of, those it points at first; `sent` is the request's text."""
    pointed_at = [option for option, name in NAMES.items() if any(map(name.search, report.places))]
    spoken_of = [
        option
        for text in report.texts
        if _REFUSING.search(text)
        for option, name in NAMES.items()
        if _speaks_of(name, _AS_SENT.sub(" ", text), sent)
    ]
    return tuple(dict.fromkeys([*pointed_at, *spoken_of]))


def _speaks_of(name: re.Pattern[str], text: str, sent: str) -> bool:
    """Return whether a text names something in words of its own."""
    plain_sent = _plain(sent)
    for found in name.finditer(text):
        before = _plain(text[max(0, found.start() - _AROUND) : found.end()])
        after = _plain(text[found.start() : found.end() + _AROUND])
        if before not in plain_sent and after not in plain_sent:
            return True
    return False


def _plain(text: str) -> str:
    return _NOISE.sub("", text.casefold())
