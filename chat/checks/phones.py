"""The telephone numbers in a reply: each must stand in the passages, in whatever writing.

By its groups of digits a wrong number can be made of right ones, so it is compared as a whole. What stands
in the question does not count: a number is dialled, as an address is opened.

Two numbers are the same if their digits are. If one is international, it tells the country, and the other is
the same if it is what is dialled within that country (by Google's libphonenumber). So no country need be set
or guessed: two national numbers are the same only by their digits, whatever the country.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import phonenumbers

from chat.checks.as_read import as_read
from chat.checks.links import without_links
from chat.types import Passage

_GAP = r"(?=\D)\)?(?:\.| ?[-/·]? ?)\(?"
_RUN = re.compile(rf"(?<!\d[:.,])(?<![\w£$€#])(?<![^\W\d_]-)(?:\+ ?\(?|\(\+?)?\d+(?:{_GAP}\d+)*(?!\w)")
_FEW_DIGITS = re.compile(r"\d[^\d\n]{0,5}\d[^\d\n]{0,5}\d")
"""Most texts have not even this, which is quicker to see."""
_GROUP = re.compile(r"\d+")
_EXTENSION = re.compile(r",?;? ?(?:ext(?:ension|n)?|x|#|durchwahl|poste|interno)[. :=]{0,2}(\d{1,6})\b", re.I)
_NO_PHONE = re.compile(
    r"(?<![\d./-])(?:(?:0?[1-9]|[12]\d|3[01])[./-]\d\d?[./-](?:(?:19|20)\d\d|\d\d)"  # dates
    r"|(?:19|20)\d\d[./-]\d\d?[./-]\d\d?)(?![./-]?\d)"
    r"|(?<![\d.-])[0-2]?\d\.[0-5]\d ?- ?[0-2]?\d\.[0-5]\d(?![\d.-])"  # opening hours
    r"|(?<![\d-] )(?<![\d-])[0-2]\d[0-5]\d-[0-2]\d[0-5]\d(?![ -]?\d)"
    r"|\b[A-Z]{2}\d\d(?: ?[A-Z\d]{4}){2,7}(?: ?[A-Z\d]{1,4})?\b"  # an IBAN
    r"|(?<!\d)\d{4}([ -]?)\d{4}\1\d{4}\1\d{4}(?!\d)"  # a card
    r"|(?<![\d.])\b0\.\d+\b(?!\.\d)|\b0-\d{2,7}-\d{2,7}-[\dX]\b"  # a decimal; an ISBN
)
_IDENTIFIER = re.compile(
    r"\b(?:order|invoice|account|card|reference|ref|customer|tracking|parcel|serial|article|item|product|isbn|vat|"
    r"iban|ean|gtin|barcode|sku|policy|sort code|booking|ticket|claim|case|id|company|charity|registration|"
    r"licen[cs]e|model|version|code|bestellung|auftrag|rechnung|konto|kunden|commande|facture|pedido|factura)"
    r"(?:s?[- ]?(?:number|num|nummer|numbers|no|nr|id|code)?\b)?[^\w]{0,3}(?:is |with |[a-z]{2} ?)?#? ?$",
    re.IGNORECASE,
)
_CUE = re.compile(
    r"(?:\b(?:call(?:s|ed|ing|back)?|(?:tele)?phones?|tel|ring|dial(?:l?ing)?|text(?:ing)?|sms|fax|whatsapp|"
    r"hotline|helpline|mobile|landline|telefon\w*|anruf\w*|rufnummer|rufen|appel\w*|téléphone\w*|teléfono|"
    r"telefono|ll[aá]m[ae]\w*|chiam\w+|bel(?:len)?|телефон\w*)\b|[☎📞]|电话|電話|전화)(?P<between>[^\d!?;\n]{0,30})$",
    re.IGNORECASE,
)
_AFTER_CUE = re.compile(
    r"\W{0,3}(?:(?:us|them|stop|number|no|free|on|at|to|is|the|uns|unter)\b\W{0,2}){0,4}", re.IGNORECASE
)
_UNIT_AFTER = re.compile(
    r" ?(?:[%£$€:]|[.,]\d|-?(?:(?:working|business|calendar) )?(?:days?|weeks?|months?|years?|hours?|hrs?|"
    r"minutes?|mins?|seconds?|times?|am|pm|a\.m|p\.m|o'clock|gbp|usd|eur|euros?|pounds?|dollars?|pence|"
    r"points?|kg|g|km|miles?|cm|mm|m|percent|per cent|items?|people|characters|customers|others?|more)\b)",
    re.IGNORECASE,
)
_US_GROUPS = ([3, 3, 4], [1, 3, 3, 4])
MIN_DIGITS, MAX_DIGITS = 7, 15
"""Of a number that is no short code; E.164 allows no more than 15."""
_MAX_NATIONAL = 12
_MOST_GROUPS = MAX_DIGITS
_INTERNATIONAL_PREFIXES = ("00", "011")


@dataclass(frozen=True, slots=True)
class Phone:
    """A number where it stands: `digits` as dialled, with "+" if it is international."""

    digits: str
    extension: str
    written: str
    start: int
    end: int


def unsupported_phones(reply: str, passages: Sequence[Passage]) -> list[str]:
    """Return an objection for each telephone number of `reply` that stands in none of `passages`. Pure.

    A number may be told without its extension, but not with one that stands nowhere.
    """
    offered: set[tuple[str, str]] = set()
    for passage in passages:
        offered |= _offered(as_read(" \n ".join([passage.title, *passage.heading_path, passage.text])))
    found = phones(without_links(reply))
    strange = dict.fromkeys(phone.written for phone in found if not _is_known(phone, offered))
    return [f"The phone number '{written}' is not in the passages." for written in strange]


def phones(text: str) -> Iterator[Phone]:
    """Yield the telephone numbers of a text in order.

    One is international (+44, 0044), begins with the 0 of most countries, is grouped as in North America, or
    stands after a word such as "call". A date, an amount, a card or "order 0123456789" is none.
    """
    text = as_read(text)
    if not _FEW_DIGITS.search(text):
        return
    text_without_others = _NO_PHONE.sub(lambda match: "_" * len(match.group()), text)
    for run in _RUN.finditer(text_without_others):
        groups = [(run.start() + g.start(), run.start() + g.end()) for g in _GROUP.finditer(run.group())]
        if _IDENTIFIER.search(text[max(0, run.start() - 40) : run.start()]):
            continue
        yield from _phones_in(text, run.start(), groups)


def without_phones(text: str) -> str:
    """Return the text as a customer reads it, with a gap for each telephone number."""
    text = as_read(text)
    for phone in reversed(list(phones(text))):
        text = f"{text[: phone.start]} ; {text[phone.end :]}"
    return text


def _phones_in(text: str, run_start: int, groups: Sequence[tuple[int, int]]) -> Iterator[Phone]:
    """Yield the telephone numbers that a run's groups of digits make, one after the other."""
    end = 0
    for n, (start, _) in enumerate(groups):
        if start < end:
            continue
        lead = text[groups[n - 1][1] : start] if n else text[run_start:start]
        whole_start = start if n else run_start
        if n and lead.strip(" (") and lead != " / ":  # a hyphen or a dot: this is the inside of a number
            continue
        own = _without_what_follows(text, groups[n : n + _MOST_GROUPS])
        digits = [text[a:b] for a, b in own]
        read = _international(digits, lead) or _national(digits)
        if read is None and n == 0:
            read = _announced(digits, text[max(0, run_start - 48) : run_start])
        if read:
            dialled, n_groups = read
            end = own[n_groups - 1][1]
            extension = _EXTENSION.match(text, end)
            end = extension.end() if extension else end
            yield Phone(dialled, extension[1] if extension else "", text[whole_start:end], whole_start, end)


def _without_what_follows(text: str, groups: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the groups without those that belong to what comes next: "… 0123 24 hours", "… 0123 9-17"."""
    own = list(groups)
    while own and _UNIT_AFTER.match(text, own[-1][1]):
        own.pop()
    if len(own) > 3:
        (first, first_end), (second, end) = own[-2:]
        is_span = max(first_end - first, end - second) <= 2 and text[first_end:second].strip() in {"-", "/"}
        if is_span and text[own[-3][1] : first].isspace() and sum(b - a for a, b in own[:-2]) >= 9:
            return own[:-2]
    return own


def _international(digits: Sequence[str], lead: str) -> tuple[str, int] | None:
    if not digits:
        return None
    if "+" in lead:
        n_groups = _fitting(digits, MAX_DIGITS)
        dialled = "".join(digits[:n_groups])
        return (f"+{dialled}", n_groups) if len(dialled) >= MIN_DIGITS else None
    for prefix in _INTERNATIONAL_PREFIXES:
        n_groups = _fitting(digits, MAX_DIGITS + len(prefix))
        dialled = "".join(digits[:n_groups])
        is_apart = digits[0] == prefix or (prefix == "00" and re.match("00[1-9]", digits[0]))
        if is_apart and dialled.startswith(prefix) and len(dialled) >= len(prefix) + 9:
            return f"+{dialled.removeprefix(prefix)}", n_groups
    return None


def _national(digits: Sequence[str]) -> tuple[str, int] | None:
    n_groups = _fitting(digits, _MAX_NATIONAL)
    dialled = "".join(digits[:n_groups])
    if re.match("0[1-9]", dialled) and len(dialled) >= MIN_DIGITS + 1:
        return dialled, n_groups
    for lengths in _US_GROUPS:
        own = digits[: len(lengths)]
        if [len(group) for group in own] == lengths and re.match("1?[2-9]", "".join(own)):
            return f"+1{''.join(own[-3:])}", len(own)
    return None


def _announced(digits: Sequence[str], before: str) -> tuple[str, int] | None:
    """Return the number that follows a word such as "call"; a short code must stand alone and right after."""
    cue = _CUE.search(before)
    if cue is None:
        return None
    n_groups = _fitting(digits, _MAX_NATIONAL)
    dialled = "".join(digits[:n_groups])
    if len(dialled) >= MIN_DIGITS:
        return dialled, n_groups
    is_short_code = len(digits) == 1 and len(dialled) >= 3 and _AFTER_CUE.fullmatch(cue["between"])
    return (dialled, 1) if is_short_code else None


def _fitting(digits: Sequence[str], most: int) -> int:
    """Return how many of the first groups have at most so many digits together."""
    n_digits = 0
    for n, group in enumerate(digits):
        n_digits += len(group)
        if n_digits > most:
            return n
    return len(digits)


def _offered(text: str) -> set[tuple[str, str]]:
    """Return digits and extension of all that may be a telephone number: any groups that stand together.

    A short code must stand alone; a piece of another number is none.
    """
    offered = {(phone.digits, extension) for phone in phones(text) for extension in ("", phone.extension)}
    offered |= {(group, "") for group in re.findall(r"(?<!\w)\d{3,6}(?!\w)", without_phones(text))}
    for run in _RUN.finditer(text):
        groups = _GROUP.findall(run.group())
        extension = _EXTENSION.match(text, run.end())
        for n in range(len(groups)):
            for end in range(n + 1, min(len(groups), n + _MOST_GROUPS) + 1):
                dialled = "".join(groups[n:end])
                if MIN_DIGITS <= len(dialled) <= MAX_DIGITS + 3:
                    offered.add((f"+{dialled}" if n == 0 and "+" in run.group() else dialled, ""))
                    if extension and end == len(groups):
                        offered.add((dialled, extension[1]))
    return offered


def _is_known(phone: Phone, offered: set[tuple[str, str]]) -> bool:
    if (phone.digits, phone.extension) in offered:
        return True
    return any(
        _is_same(phone.digits, digits) for digits, extension in offered if extension == phone.extension
    )


def _is_same(one: str, other: str) -> bool:
    """Return whether one number is international, exists in its country, and the other is dialled there."""
    if other.startswith("+"):
        one, other = other, one
    if not one.startswith("+") or len(other) < MIN_DIGITS:
        return False
    try:
        number = phonenumbers.parse(one)
        if other.startswith("+"):
            return number == phonenumbers.parse(other)
    except phonenumbers.NumberParseException:
        return False
    dialled = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.NATIONAL)
    return phonenumbers.is_valid_number(number) and re.sub(r"\D", "", dialled) == other
