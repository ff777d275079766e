"""Characters that nobody sees. In them a text can carry words that a person who reads it does not know of,
and a language model does."""

import re

_UNSEEN = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f"
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
    "|(?<=[\u200c\u200d])[\u200c\u200d]"
)
"""Marks of direction, fillers, variation selectors, tags. A joiner is spelling in some scripts; two in a row
are not."""


def without_unseen(text: str) -> str:
    """Return the text as a person sees it: without the characters that show nothing."""
    return _UNSEEN.sub("", text)
