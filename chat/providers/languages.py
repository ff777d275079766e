"""Which language a model means: asked for a code, models also answer with a tag, three letters or a name."""

import re
from collections.abc import Mapping
from functools import cache

import langcodes
from django.conf.locale import LANG_INFO
from langcodes.tag_parser import LanguageTagError

WHERE_IT_CANNOT_BE_TOLD = "en"
"""The prompt's own rule for a message that is too short to tell."""
_UNTOLD = frozenset({"und", "undetermined", "unknown"})


def language_code(named: str) -> str:
    """Return the ISO 639 code of a language: two letters, or three where it has no shorter one ("fil").

    Understands tags ("pt-BR", "en_US"), three letters ("eng", "ger") and names in English or in the
    language itself ("English", "deutsch", "British English"). Raises ValueError for all else.
    """
    plain = named.strip(" \t\r\n.\"'`").casefold()
    if plain in _UNTOLD:
        return WHERE_IT_CANNOT_BE_TOLD
    code = _codes_by_name().get(plain) or _code_in_tag(plain) or _code_among_words(plain)
    if code is None:
        raise ValueError("not a language")
    return code


def _code_in_tag(tag: str) -> str | None:
    """Return the language of a BCP 47 tag, None where it is no such tag or names no known language."""
    try:
        language = langcodes.get(langcodes.standardize_tag(tag, macro=True)).language
    except LanguageTagError:
        return None
    return language if language and langcodes.tag_is_valid(language) else None


def _code_among_words(text: str) -> str | None:
    """Return the one language that is named among the words, None where there is none or several."""
    codes = {_codes_by_name().get(word) for word in re.findall(r"[^\W\d_]+", text)} - {None}
    return codes.pop() if len(codes) == 1 else None


@cache
def _codes_by_name() -> Mapping[str, str]:
    names = {"chinese": "zh", "mandarin": "zh", "中文": "zh"}  # Django names only kinds of Chinese.
    for info in LANG_INFO.values():
        for name in (info.get("name"), info.get("name_local")):
            if name:
                names.setdefault(name.casefold(), info["code"].partition("-")[0])
    return names
