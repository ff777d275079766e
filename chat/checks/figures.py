"""The figures in a reply: each must stand in the passages or in the question.

A language model that checks a reply overlooks a wrong number now and then; comparing numbers needs no
model. A figure is a number, in digits or words, with the unit next to it; both must match, after "2 weeks"
and "14 days" have been made one. The digits of telephone numbers and addresses are no figures: those are
compared as a whole (`phones`, `links`).
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from chat.checks.as_read import as_read
from chat.checks.links import without_links
from chat.checks.phones import without_phones
from chat.types import Passage

_BELOW_TWENTY = """
    zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
    seventeen eighteen nineteen
"""
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_WORTH = {word: n for n, word in enumerate(_BELOW_TWENTY.split())} | {
    word: 20 + 10 * n for n, word in enumerate(_TENS.split())
}
_SCALES = {"dozen": 12, "hundred": 100, "thousand": 1000, "million": 1_000_000}
_SPECIAL = {"half": (Decimal(50), "%"), "twice": (Decimal(2), "time"), "fortnight": (Decimal(14), "day")}

_MONTHS_OF_YEAR = """
    january february march april may june july august september october november december
"""
_MONTHS = _MONTHS_OF_YEAR.split()

_FORMS = {  # what a unit is written as
    "gbp": "£ gbp pound quid", "usd": "$ usd dollar", "eur": "€ eur euro",
    "penny": "p penny pence", "cent": "cent",
    "%": "% percent per_cent", "working day": "working_day business_day", "day": "day calendar_day",
    "week": "week", "month": "month", "year": "year", "hour": "hour hr", "minute": "minute min",
    "second": "second", "kg": "kg kilo kilogram", "g": "g gram", "km": "km kilometre", "mile": "mile",
    "cm": "cm centimetre", "mm": "mm", "m": "m metre", "litre": "litre l", "ml": "ml", "gb": "gb", "mb": "mb",
    "point": "point", "time": "time", "am": "am a.m. in_the_morning",
    "pm": "pm p.m. in_the_afternoon in_the_evening",
}  # fmt: skip
_UNITS = {form.replace("_", " "): unit for unit, forms in _FORMS.items() for form in forms.split()}
_SAME_AS = {"week": (7, "day"), "year": (12, "month"), "hour": (60, "minute")}


def _form_pattern(form: str) -> str:
    return re.escape(form) + ("s?" if form[-1].isalpha() else "")


_UNIT = "|".join(_form_pattern(form) for form in sorted(_UNITS, key=len, reverse=True))
_WORD_NUMBER = "|".join([*_WORTH, *_SCALES])
_FIGURE = re.compile(
    rf"(?P<clock>(?<![\w.:])\d{{1,2}}:\d\d)(?: ?(?P<half_day>am|pm|a\.m\.|p\.m\.))?"
    rf"|(?P<date>\b\d{{1,4}}[/.-]\d{{1,2}}[/.-]\d{{2,4}}\b)"
    rf"|(?P<code>\b(?=[a-z-]*\d)(?!\d+(?:st|nd|rd|th|x|k|{_UNIT})\b)[a-z\d]*(?:\d[a-z]|[a-z]\d)[a-z\d]*\b)"
    rf"|(?P<month_before>\b(?:{'|'.join(_MONTHS)}) )?(?:(?P<currency>[£$€]) ?)?(?<![\w.])"
    rf"(?P<digits>\d{{1,3}}(?:,\d{{3}})+(?:\.\d+)?|\d+(?:[.,]\d+)?)(?:st|nd|rd|th)?"
    rf"(?:[ -]?(?P<unit>(?:{_UNIT})(?![\w£$€])))?(?: (?:of )?(?P<month>{'|'.join(_MONTHS)})\b)?"
    rf"|\b(?P<words>(?:{_WORD_NUMBER})(?:(?:[ -]|"
    rf",? and )(?:{_WORD_NUMBER}))*)\b(?:[ -](?P<word_unit>(?:{_UNIT})(?!\w)))?"
    rf"|\b(?:within|for|after|in|takes?|lasts?|to|than|least|most) an? (?P<single>{_UNIT})(?!\w)"
    rf"|\b(?P<special>{'|'.join(_SPECIAL)})\b"
)
_RANGE = re.compile(r" ?(?:-|to|and|or|until) ?$")


@dataclass(frozen=True, slots=True)
class Figure:
    """A number and its unit, `unit` None where none stands next to it; `written` as it stands in the text."""

    value: Decimal | str
    unit: str | None
    written: str


def unsupported_figures(reply: str, passages: Sequence[Passage], question: str) -> list[str]:
    """Return an objection for each figure of `reply` that stands neither in `passages` nor in `question`.

    Passages count with their headings. A unit must match where both have one: "14 days" does not support
    "14 euros", and "5 working days" not "5 days". Pure; a figure is named once.
    """
    sources = [" \n ".join([p.title, *p.heading_path, p.text]) for p in passages]
    texts = [*map(without_phones, sources), question]
    known = {(figure.value, figure.unit) for text in texts for figure in figures(text)}
    objections: list[str] = []
    for figure in figures(without_phones(without_links(reply))):
        objection = f"'{figure.written}' is not in the passages."
        if (figure.value, figure.unit) not in known and objection not in objections:
            objections.append(objection)
    return objections


def figures(text: str) -> Iterator[Figure]:
    """Yield the figures of a text in order. In "3 to 5 days" both numbers are days."""
    plain = re.sub(r"\s+", " ", as_read(text).casefold().translate(_PLAIN))
    plain = re.sub(r"\b(?:an?|one) year and a half\b", "18 months", plain)
    found = list(_FIGURE.finditer(plain))
    units: list[str | None] = [None] * len(found)
    for n in reversed(range(len(found))):
        units[n] = _unit_of(found[n])
        follows = n + 1 < len(found) and _RANGE.fullmatch(plain[found[n].end() : found[n + 1].start()])
        if units[n] is None and follows:
            units[n] = units[n + 1]
    for match, unit in zip(found, units, strict=True):
        yield from _read(match, unit)


_PLAIN = {ord("*"): None, ord("_"): " "}


def _unit_of(match: re.Match[str]) -> str | None:
    month = match["month"] or match["month_before"]
    if month:
        return month.strip()
    if match["currency"]:
        return _UNITS[match["currency"]]
    written = match["unit"] or match["word_unit"] or match["single"]
    if written is None:
        return None
    for form in (written, written.removesuffix("s")):
        if form in _UNITS:
            return _UNITS[form]
    return None


def _read(match: re.Match[str], unit: str | None) -> Iterable[Figure]:
    """Return the figure that was matched, or nothing where a word that may be a number is none ("one of")."""
    written = match.group().strip()
    if match["clock"] or unit in {"am", "pm"}:
        return [Figure(_clock(match, unit), "clock", written)]
    if match["date"] or match["code"]:
        return [Figure(match["date"] or match["code"], None, written)]
    if match["special"]:
        value, unit = _SPECIAL[match["special"]]
        return [Figure(value, unit, written)]
    if match["digits"]:
        value = _number(match["digits"])
    elif match["words"]:
        if match["words"] in {"one", "zero"} and unit is None:
            return []
        value = Decimal(_number_in_words(match["words"]))
    else:
        value, written = Decimal(1), f"a {match['single']}"
    factor, unit = _SAME_AS.get(unit or "", (1, unit))
    return [Figure(value * factor, unit, written)]


def _number(digits: str) -> Decimal:
    """Return the number of "1,250", "3.95" or "6,90"."""
    if re.fullmatch(r"\d+,\d{1,2}", digits):
        return Decimal(digits.replace(",", ".")).normalize()
    return Decimal(digits.replace(",", "")).normalize()


def _number_in_words(words: str) -> int:
    total = current = 0
    for word in re.findall(r"[a-z]+", words):
        if word in _WORTH:
            current += _WORTH[word]
        elif word in _SCALES:
            current = max(current, 1) * _SCALES[word]
            if _SCALES[word] >= 1000:
                total, current = total + current, 0
    return total + current


def _clock(match: re.Match[str], unit: str | None) -> str:
    """Return a time of day as "17:30"."""
    half_day = ((match["half_day"] if match["clock"] else unit) or "").replace(".", "")
    hours, _, minutes = (match["clock"] or match["digits"] or "0").partition(":")
    hour = int(hours.split(".")[0])
    if half_day:
        hour = hour % 12 + (12 if half_day == "pm" else 0)
    return f"{hour:02d}:{minutes or '00'}"
