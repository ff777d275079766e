"""Is a text personal, so that no other customer may be given its answer? Judged by rules; unsure means yes.

The rules see the normalised text only, since two texts with one key must be judged alike: there are no
capital letters to tell a name by. Four things betray a person: marks of identity (an e-mail address, a long
number, "my name is ..."), a wish about one's own affairs ("where is my order"), a short text that asks
nothing and holds a number or a street (an answer to a question of ours), and a short text that asks nothing
and holds a word that is not common English (perhaps a name).

`common_words.txt` holds the common words: the most frequent whole words of BERT's English vocabulary
(Apache-2.0), without those that are first names or frequent surnames, and with the words of shops.
"""

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from cachemgmt.api import normalise_message

WORDS_FILE = Path(__file__).parent / "common_words.txt"
SHORT = 7
"""A text of so many words or fewer that asks nothing is taken for an answer to a question of ours."""
VERY_SHORT = 3
"""Up to here one uncommon word is enough. In a longer text one alone is a slip of the pen: a third counts."""
LONG_NUMBER = 4
"""A number of so many digits that is no amount may name one person or contract: a PIN, an order."""

_CURRENCY = r"[£$€]|usd|eur|gbp|rs\.?|inr|aud"
_UNIT = (
    r"%|percent|£|\$|€|usd|eur|euros?|gbp|pounds?|dollars?|bucks|quid|cents?|pence|p|k|rupees?|rs|inr|aud|"
    r"working|business|calendar|days?|weeks?|months?|years?|yrs?|hours?|hrs?|minutes?|mins?|seconds?|am|pm|"
    r"o'clock|kg|kgs|kilos?|g|grams?|lbs?|oz|km|miles?|cm|mm|m|metres?|meters?|feet|ft|inch|inches|gb|mb|tb|"
    r"mbps|points?|items?|pieces?|people|persons?|times?|x|st|nd|rd|th"
)
_AMOUNT = re.compile(
    rf"\b\d{{1,2}}:\d\d\b|(?<!\w)(?:{_CURRENCY}) ?\d{{1,6}}(?:[.,]\d+)*(?!\d)|"
    rf"(?<![\w.,])(?:\d{{1,4}}|\d{{1,3}}(?:,\d{{3}})+)(?:[.,]\d{{1,2}})? ?(?:{_UNIT})(?!\w)|"
    r"\b(?:in|since|by|of|for|from|until|till|before|after|year|to|and) (?:19|20)\d\d\b"
)
"""A number that says how much, how long or in which year, not who."""

_EMAIL = re.compile(r"\S@\S|(?:mail|yahoo|outlook|rediff)\w{0,20}[. ]?com\b")
_EMAIL_ADDRESS = re.compile(r"[^\s@<>()]{1,64}@[^\s@<>()]{1,255}")
_IBAN = re.compile(r"\b[a-z]{2}\d{2}(?: ?[a-z0-9]{4}){3,7}(?: ?[a-z0-9]{1,3})?\b")
_POSTCODE = re.compile(r"\b[a-z]{1,2}\d[a-z\d]? \d[a-z]{2}\b")
_NUMBER = re.compile(r"(?<![\w.,])[#+(]?\d[\d ().,:/x*e-]*\d|\d")
_NUMBERED = re.compile(
    r"\b(?:orders?|bookings?|reservation|confirmation|ticket|claims?|polic\w+|account|acct|card|invoice|"
    r"reference|ref|case|customer|member|tracking|phone|mobile|contact|ssn|social|pin|id|zip|zipcode|"
    r"postcode|digits?|number|no|nr|ending)\b(?: (?:in|is|its|as|number|no|nr|id|code|of|with|was|the|"
    r"actually)){0,6}[ .:#-]*(?:[a-z]{1,4} )?\d{2,}"
)
_CODE = re.compile(r"(?<!\w)(?=[a-z-]{0,20}\d[a-z\d-]{0,20}\d)(?=[\d-]{0,20}[a-z])[a-z\d-]{5,60}")
_STREET = re.compile(
    r"\b\d+[a-z]? (?:[\w.]+ ){1,3}(?:street|st|road|rd|avenue|ave|drive|dr|lane|ln|court|ct|blvd|boulevard|"
    r"nagar|colony|way|place|pl|square|sq|terrace|highway|hwy|circle|apt|flat|close|grove|crescent|gardens)\b"
)
_STREET_WORD = re.compile(
    r"\b(?:street|st|road|rd|avenue|ave|lane|blvd|boulevard|nagar|colony|apt|flat no)\b"
)
_BIRTH = re.compile(r"\b(?:born (?:on|in)|dob|d\.o\.b\.?|my (?:date of birth|birthday|birth date))\b")
_SECRET = re.compile(
    r"(?<!if )\bmy (?:\w+ ){0,2}(?:pin|password|address|e-?mail) (?:is|:|=) (?!(?:not|wrong|incorrect|lost|"
    r"stolen|blocked|the|on|in|being|it|there|still|locked|out|no|already|a|too)\b)"
)
_NAMED = re.compile(
    r"\bmy (?:\w+ )?name(?:'s|s| is|:) ?\w|\bis my (?:\w+ )?name\b|\b(?:this|it)(?: is|"
    r"'?s) [a-z]+(?: [a-z]+)? (?:speaking|here)$|\bme llamo\b|\bmi chiamo\b|\bje m'appelle\b|"
    r"\bmein name ist\b|\bich heisse\b|\bmi nombre es\b"
)
_INTRODUCTION = re.compile(
    r"\b(?:my|full|first|last|sur|middle|family|user|his|her)? ?name(?:'s|s| is|:| as| -)?(?= ?\w)|"
    r"\b(?:order|booking|ticket|account|reference|customer|claim) (?:number|no|id|code)(?: is|:)|"
    r"\b(?:call me|speaking|myself|signed|regards|sincerely|this is|this's|it is|it's|its|i'm|im|i am|"
    r"ich bin|je suis|mr|mrs|ms|miss|dr)\b[.,]?"
)
"""What often stands before a name: personal where an uncommon word follows."""

_OWN = (
    r"my (?:\w+ ){0,2}(?:orders?|parcels?|packages?|deliver(?:y|ies)|shipments?|refunds?|money|returns?|"
    r"items?|stuff|subscription|bookings?|reservation|claims?|payments?|tracking|points|balance|account|"
    r"invoice)"
)
_OWN_AFFAIRS = re.compile(
    rf"\b(?:where(?:'s|s| is| are| has)|track|status of|update on|news (?:on|of|about)|look up|find|"
    rf"what(?:'s|s| is) happening (?:with|to)|what happened to|what about|"
    rf"(?:you|please|want to|like to|need to) (?:check|cancel|change|show|send|update|delete|"
    rf"close)) {_OWN}\b|"
    rf"^(?:check|cancel|change|show|update|delete|close|complete|confirm) {_OWN}\b|"
    rf"^(?:has|did|have|is|was|when will|when is) {_OWN} \w+|\bmy (?:balance|account balance)\b|"
    rf"(?<!if ){_OWN} (?:still |just )?(?:hasn't|has not|have not|haven't|never|is late|didn't|"
    rf"is missing)\b"
)

_ASKS = re.compile(
    r"\b(?:what(?:'?s|'?re)?|how|when|where|why|who|which|whether|if|can|could|do|does|did|will|would|should|"
    r"may (?:i|we|you)|must|isn't|can't|cannot|won't|doesn't|don't|didn't|was (?:ist|kostet|kosten|passiert|"
    r"sind)|wie|wann|wo|warum|kann (?:ich|man)|können|gibt|welche|comment|combien|quand|où|puis-je|est-ce|"
    r"quels?|quelles?|cómo|cuánto|cuándo|dónde|puedo|qué|come|quanto|quando|dove|posso)\b|^(?:is|are|am|has|"
    r"have|any)\b"
)
_WISHES = re.compile(
    r"\b(?:wants?|wanted|needs?|needed|like|looking|trying|tell|explain|show|send|know|please|pls|help)\b"
)

_WORD = re.compile(r"[^\W\d_]+(?:['-][^\W\d_]+)*")
_ENDING = re.compile(r"(?:s|es|ed|ied|ies|ing)$")
_ABSTRACT = re.compile(r"\w{4}(?:tions?|ments?|abl[ey]|ibl[ey]|ness|ities|ously|ically)$")
"""Endings of things and qualities, which hardly any name has."""


@cache
def common_words() -> frozenset[str]:
    """Return the words that are taken for no name, lower-case."""
    return frozenset(WORDS_FILE.read_text(encoding="utf-8").split())


def personal_reason(texts: Sequence[str]) -> str | None:
    """Return why one of a customer's texts is personal, in a word or two fit for metrics, else None.

    Pure, and the same for all texts with one normalised form. It is for what customers write; for what is
    written to them there is `reply_personal_reason`.
    """
    for text in texts:
        said = _normalised(text)
        reason = _mark_of_identity(said) or _unclear(said)
        if reason:
            return reason
    return None


def reply_personal_reason(reply: str, *, published: Sequence[str]) -> str | None:
    """Return why what is written to a customer is personal, else None.

    What stands in the `published` texts is not: the company's own e-mail address and telephone number are
    no customer's.
    """
    public = " ".join(_normalised(text) for text in published)
    said = _normalised(reply)
    left = _AMOUNT.sub(" ", said)
    rules = (
        ("e-mail", _EMAIL_ADDRESS),
        ("account", _IBAN),
        ("address", _POSTCODE),
        ("number", _CODE),
        ("number", _NUMBER),
    )
    for reason, pattern in rules:
        for found in pattern.finditer(left):
            value = found.group().strip(" ().,:;/-")
            if value not in public and (pattern is not _NUMBER or _digits(value) >= LONG_NUMBER):
                return reason
    return "name" if _NAMED.search(said) else None


def _mark_of_identity(said: str) -> str | None:
    """Return what in the text stands for one person or one contract, however it is asked."""
    left = _AMOUNT.sub(" ", said)
    rules = (
        ("e-mail", _EMAIL, said),
        ("account", _IBAN, said),
        ("address", _POSTCODE, said),
        ("address", _STREET, left),
        ("birth date", _BIRTH, said),
        ("number", _NUMBERED, left),
        ("number", _CODE, said),
        ("secret", _SECRET, said),
        ("name", _NAMED, said),
        ("own affairs", _OWN_AFFAIRS, said),
    )
    for reason, pattern, where in rules:
        if pattern.search(where):
            return reason
    if any(_digits(found.group()) >= LONG_NUMBER for found in _NUMBER.finditer(left)):
        return "number"
    for found in _INTRODUCTION.finditer(said):
        follower = _WORD.match(said, found.end() + 1)
        if follower and not _is_common(follower.group()):
            return "name"
    return None


def _unclear(said: str) -> str | None:
    """Return why a text that asks nothing may be a name, a street or a number given to us."""
    words = _WORD.findall(said)
    if _ASKS.search(said) or (len(words) > VERY_SHORT and _WISHES.search(said)):
        return None
    if len(words) <= SHORT and re.search(r"\d", _AMOUNT.sub(" ", said)):
        return "number"
    if not words:
        return "unclear"
    if _STREET_WORD.search(said):
        return "address"
    unknown = sum(not _is_common(word) for word in words)
    if unknown and (len(words) <= VERY_SHORT or (len(words) <= SHORT and unknown * 3 >= len(words))):
        return "perhaps a name"
    return None


def _normalised(text: str) -> str:
    return normalise_message(text).replace("’", "'")


def _digits(text: str) -> int:
    return sum(character.isdigit() for character in text)


def _is_common(word: str) -> bool:
    """Return whether a word, or what is left of it without its ending, is common English."""
    known = common_words()
    for part in re.split(r"['-]", word):
        if part in known or len(part) == 1 or _ABSTRACT.search(part):
            continue
        ending = _ENDING.search(part)
        stem = part[: ending.start()] if ending else ""
        if len(stem) < 4 or not known & {stem, stem + "e", stem + "y"}:
            return False
    return True
