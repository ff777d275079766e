"""How an answer came about, in words for the chat page."""

import json
from collections.abc import Mapping
from typing import get_args

from cachemgmt.api import REASONS, Failed, Status

STATUSES: Mapping[Status, str] = {
    "hit": "A stored answer was reused. No model was called for it.",
    "miss": "Nothing that could be reused was stored, so the answer was made anew.",
    "stale": "A stored answer was reused past its time, as a rule allows.",
    "collapsed": "Somebody else was asking the same at that moment. Both got the one answer that was made.",
    "bypass": "The stored answers were left out of it, for the reason given.",
}

BEING_MADE = "A stored answer was reused past its time. A new one is being made for whoever asks next."
COULD_NOT = "A new answer could not be made: {}. So a stored one was reused past its time."

STALE: Mapping[str, str] = {
    "": BEING_MADE,
    "expired": BEING_MADE,
    **{why: COULD_NOT.format(REASONS[why]) for why in get_args(Failed)},
}
"""What is said of a stale answer, by its reason; "" where it has none. Of others `STATUSES` says enough."""

LEVELS: Mapping[str, str] = {
    "response": "level response: one look-up",
    "reply": "level reply: put together from stored parts",
}


def page_words() -> str:
    """Return the words as JSON, for the page's script."""
    return json.dumps({"statuses": STATUSES, "stale": STALE, "levels": LEVELS, "reasons": REASONS})
