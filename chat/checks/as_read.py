"""Text as a customer reads it, so that what he cannot see does not decide a comparison."""

import re
import unicodedata

from chat.judging.unseen import without_unseen

_NOT_ASCII = re.compile(r"[^\x00-\x7f]")
_JOINERS = re.compile("[\u200c\u200d]")
_DASHES = str.maketrans(dict.fromkeys("‐‑‒–—―−", "-"))


def as_read(text: str) -> str:
    """Return the text without unseen characters, in the plainest characters that look the same.

    Full-width and styled letters become plain ones (NFKC), the digits of every script 0 to 9, every space a
    plain one, every dash a hyphen. A raised number stays: "30 days²" has a footnote, and is not "30 days2".
    """
    if text.isascii():
        return text
    plain = _NOT_ASCII.sub(_plain, _JOINERS.sub("", without_unseen(text)))
    return unicodedata.normalize("NFC", plain)


def _plain(match: re.Match[str]) -> str:
    character = match.group()
    digit = unicodedata.decimal(character, None)
    if digit is not None:
        return str(digit)
    if unicodedata.category(character) == "No":
        return character
    return unicodedata.normalize("NFKC", character).translate(_DASHES)
