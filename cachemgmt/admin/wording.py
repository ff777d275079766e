"""How the admin says levels, times, amounts and targets to people."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from django.utils import timezone
from django.utils.formats import date_format

from cachemgmt.engine.reasons import REASONS
from cachemgmt.models import FlushRecord, TtlRule

UNITS = {86_400: "day", 3_600: "hour", 60: "minute", 1: "second"}
"""What times are said in, by seconds."""


@dataclass(frozen=True, slots=True)
class LevelWords:
    """A level's name for people, what it holds, and what flushing it does."""

    name: str
    holds: str
    flushing: str


LEVELS: Mapping[str, LevelWords] = {
    "response": LevelWords(
        "Complete answers",
        "The finished answer to a question, ready to send.",
        "The next customer's answer is put together again from the stored replies, mostly at no cost.",
    ),
    "intent": LevelWords(
        "Recognised intents",
        "What a message asks for: its intent, its language, whether it is personal.",
        "Messages are read anew by the language model, and complete answers put together again.",
    ),
    "policy": LevelWords(
        "Found policy passages",
        "The passages of the policies that a question needs.",
        "Passages are searched anew, at no cost. Complete answers stay.",
    ),
    "reply": LevelWords(
        "Written replies",
        "The text written from the passages and checked against them.",
        "Replies are written anew, and with them the complete answers made of them.",
    ),
    "vector": LevelWords(
        "Question vectors",
        "A question in the form that passages are searched with.",
        "Vectors are computed anew. No answer changes.",
    ),
}


OUTCOMES: Mapping[str, str] = {
    "hit": "a stored result was reused",
    "miss": "it was made anew",
    "collapsed": "several asked the same at once, and it was made once for all",
    "bypass": "not looked up or not kept, for the reason given",
    "stale": "one past its time was reused, while a new one was made or because none could be made",
    "error": "there was no answer, for the reason given",
}
"""What each outcome that is counted means."""

FAILURES: Mapping[str, str] = {
    "ProviderMisconfigured": "the language model refuses our key, model or request",
    "ProviderBusy": "the language model asked to slow down",
    "ProviderUnavailable": "the language model could not be reached",
    "ProviderTimedOut": "the language model did not answer in time",
    "ProviderRefused": "the language model declined",
    "ProviderUnreadable": "what the language model answered was unusable",
    "IndexUnavailable": "the policies could not be searched",
    "Overloaded": "too many questions were waiting",
    "CallsUsedUp": "the key's calls to the language model were used up",
    "UnknownCollection": "there is no such collection",
    "internal": "something went wrong that nobody foresaw; the server's log says what",
    "not-cached": "only a stored answer was asked for, and there was none",
}
"""Why a question had no answer, by the name under which that is counted."""


def reason(name: str) -> str:
    """Return a counted reason in words; one that has none as it is."""
    return REASONS.get(name) or FAILURES.get(name, name)


def level_name(level: str) -> str:
    """Return what people call the level; the level itself where it has no name."""
    words = LEVELS.get(level)
    return words.name if words else level


def duration(seconds: float) -> str:
    """Return a time in its two largest units, "1 hour 30 minutes"; "0 seconds" below one."""
    left, parts = round(seconds), []
    for size, unit in UNITS.items():
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count} {unit}{'' if count == 1 else 's'}")
    return " ".join(parts[:2]) or "0 seconds"


def time_saved(seconds: float) -> str:
    """Return a time that was saved: "12 minutes 5 seconds"; below ten seconds with a digit more."""
    return f"{seconds:.1f} seconds" if 0 < seconds < 10 else duration(seconds)


def roughly(seconds: float) -> str:
    """Return a time in its largest unit, "1 day"."""
    return " ".join(duration(seconds).split()[:2])


def windows(rule: TtlRule) -> str:
    """Return for how long a result is used once its time is over: "1 day when no new one can be made"."""
    parts = {
        "while a new one is made": rule.stale_while_revalidate_s,
        "when no new one can be made": rule.stale_if_error_s,
    }
    said = [f"{duration(window_s)} {when}" for when, window_s in parts.items() if window_s]
    return ", ".join(said) or "not used"


def rule(row: TtlRule) -> str:
    """Return what the rule says: "30 minutes, after that 1 day when no new one can be made"."""
    return f"{duration(row.ttl_s)}, after that {windows(row)}" if row.is_enabled else "not reused"


def usd(amount: Decimal | str | None) -> str:
    """Return an amount of USD, with cents, and with more digits where it is below a dollar."""
    if amount is None:
        return "unknown"
    value = Decimal(amount)
    size, sign = abs(value), "-" if value < 0 else ""
    if not size:
        return "$0"
    if size < Decimal("0.0001"):
        return f"{'more' if sign else 'less'} than {sign}$0.0001"
    return f"{sign}${size:,.2f}" if size >= 1 else f"{sign}${size:.4f}"


def share(part: float | None) -> str:
    """Return a share as a percentage, "no data" where nothing was counted."""
    return "no data" if part is None else f"{part:.1%}".replace(".0%", "%")


def entries(count: int | None) -> str:
    """Return how many entries that are, in words."""
    if count is None:
        return "an unknown number of stored results"
    return f"{count:,} stored result{'' if count == 1 else 's'}"


TARGET_WORDS = {
    "collection": "Collection",
    "intent": "Intent",
    "doc": "Document",
    "entry": "One answer",
    "customer": "Customer",
}


def target(kind: str, match: str) -> str:
    """Return what a flush removes: "Everything", "Level: Complete answers", "Names like …"."""
    if kind == "all":
        return "Everything"
    if kind == "pattern":
        return f"Names like {match}"
    if kind == "age":
        before = timezone.localtime(datetime.fromtimestamp(float(match), UTC))
        return f"Made before {date_format(before, 'DATETIME_FORMAT')}"
    label, _, value = match.partition(":")
    if label == "level":
        return f"Level: {level_name(value)}"
    return f"{TARGET_WORDS.get(label, label)}: {value}"


def flushed(record: FlushRecord) -> str:
    """Return what that flush removed."""
    return target(record.kind, record.match)
