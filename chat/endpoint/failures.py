"""Says what an endpoint's errors mean, sent with an error's status or with 200.

No message made here quotes what the endpoint sent: it may hold the customer's words, the answer or the key.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from chat.endpoint.bodies import ErrorReport, decoded, error_in, read_report
from chat.endpoint.refusals import refused_options
from chat.endpoint.requests import Option
from chat.endpoint.usage import NOTHING, Usage
from chat.errors import (
    ProviderBusy,
    ProviderError,
    ProviderMisconfigured,
    ProviderRefused,
    ProviderUnavailable,
    ProviderUnreadable,
    Setting,
)

SHAPES_RESULTS = False  # failures are never stored: see chat.source_code

LONGEST_WAIT_S = 2.0
"""A server that asks for a longer pause than this is busy: nobody waits for it."""
LONGEST_REPORT = 100_000
"""Bytes of an error that are read."""
PASSING_STATUSES = frozenset({408, 409, 429})
NO_REFUSALS = frozenset({401, 402, 403, 408, 429})
"""What these are about is no parameter, whatever they say."""
FILTERS = frozenset({"content_filter", "content_policy_violation", "ResponsibleAIPolicyViolation"})
_FLAGGED = re.compile(r"flagged|moderation", re.IGNORECASE)
_NO_MODEL = re.compile(
    r"\b(?:model|deployment)\b.{0,120}(?:not (?:be )?(?:found|exist)|no such|unknown|does not exist"
    r"|not a valid)|(?:no such|unknown|invalid) model|not a valid model",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """A call that came to nothing: what to raise, how to book it, and what could help.

    Failures are returned, and raised only outside of any `except`: so the endpoint's own error, which may
    quote the key or the customer, is never chained to ours.
    """

    error: ProviderError
    outcome: Literal["error", "refused", "unreadable", "timeout"]
    is_passing: bool = False
    """The same call may succeed a moment later."""
    retry_after_s: float | None = None
    refused: tuple[Option, ...] = ()
    """The call may succeed with less of these."""
    usage: Usage = NOTHING
    """What the call cost, where no body says it: an error is not billed."""


def unreadable(message: str, *, is_passing: bool = True) -> Failure:
    """Return the failure of a call whose output is of no use."""
    return Failure(error=ProviderUnreadable(message), outcome="unreadable", is_passing=is_passing)


def failure_in(body: object, *, sent: str, of_what: str) -> Failure | None:
    """Return the failure that a response of status 200 tells of, None where it holds no error."""
    error = error_in(body)
    if error is None:
        return None
    report, status = read_report(error)
    return failure_of_report(
        status or 500, report, headers={}, sent=sent, of_what=f"200 with an error: {of_what}"
    )


def failure_of_status(
    status: int, body: bytes, *, headers: Mapping[str, str], sent: str, of_what: str
) -> Failure:
    """Return what a response of status 400 or above means; `sent` are the texts of the request."""
    try:
        report, _ = read_report(decoded(body[:LONGEST_REPORT]))
    except (ValueError, RecursionError):
        report = ErrorReport(texts=(body[:LONGEST_REPORT].decode(errors="replace"),))
    return failure_of_report(status, report, headers=headers, sent=sent, of_what=of_what)


def failure_of_report(
    status: int, report: ErrorReport, *, headers: Mapping[str, str], sent: str, of_what: str
) -> Failure:
    """Return what an error means; `status` is the response's, or the one that the error stands for."""
    of_what = f"HTTP status {status}: {of_what}."
    if _is_filtered(status, report):
        return Failure(error=ProviderRefused(of_what), outcome="refused")
    if "json_validate_failed" in report.codes:
        # The model did not keep to JSON: its failure, not the request's.
        return unreadable(f"The answer is not JSON. {of_what}")
    if status == 402 or "insufficient_quota" in report.codes:
        # Sent as 429, but no pause mends it.
        error: ProviderError = ProviderMisconfigured(
            f"The account's credit is used up. {of_what}", setting="OPENAI_API_KEY"
        )
        return Failure(error=error, outcome="error")
    refused = () if status in NO_REFUSALS else refused_options(report, sent=sent)
    if status not in PASSING_STATUSES and status < 500:
        error = ProviderMisconfigured(of_what, setting=_setting_at_fault(status, report))
        return Failure(error=error, outcome="error", refused=refused)
    retry_after_s = read_retry_after(headers)
    if status == 429 or (retry_after_s or 0) > LONGEST_WAIT_S:
        error = ProviderBusy(of_what, retry_after_s=retry_after_s)
    else:
        error = ProviderUnavailable(of_what)
    return Failure(
        error=error, outcome="error", is_passing=True, retry_after_s=retry_after_s, refused=refused
    )


def _is_filtered(status: int, report: ErrorReport) -> bool:
    """Return whether the text was declined; OpenRouter says so by 403."""
    return bool(FILTERS & set(report.codes)) or (status == 403 and any(map(_FLAGGED.search, report.texts)))


def _setting_at_fault(status: int, report: ErrorReport) -> Setting | None:
    """Return the setting that is likely wrong where an endpoint rejects a request."""
    if status in {401, 403}:
        return "OPENAI_API_KEY"
    if {"model_not_found", "DeploymentNotFound"} & set(report.codes) or any(
        map(_NO_MODEL.search, report.texts)
    ):
        return "OPENAI_MODEL"
    return "OPENAI_BASE_URL" if status in {404, 405} else None


def read_retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds a server asks to wait, None if it does not say so in seconds (dates are ignored)."""
    for name, unit_s in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers[name]) * unit_s
        except (KeyError, ValueError):
            continue
        if 0 <= seconds < float("inf"):
            return seconds
    return None
