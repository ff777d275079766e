"""Why a result was not reused, not kept, or reused past its time: all that is told, in words."""

from collections.abc import Mapping
from typing import Literal

MissReason = Literal[
    "absent",
    "expired",
    "flushed",
    "max-age",
    "mixed-up",
    "other-history",
    "policies-changed",
    "store-out",
    "unconfirmed",
    "unreadable",
]
"""Why a look-up can fail without anybody having meant it to."""

BypassReason = Literal["disabled", "switched-off", "level-off", "no-cache", "no-store", "personal", "empty"]
"""Why a stored result was deliberately not looked up, or a new one not kept."""

HandedOff = Literal["person-wanted", "no-passages", "not-in-passages", "validation-failed", "refused"]
"""Why a question was handed to a person."""

Failed = Literal["provider-failed", "overloaded", "calls-used-up"]
"""Why a stale result served in place of a new one."""

Reason = Literal[MissReason, BypassReason, HandedOff, Failed]

REASONS: Mapping[str, str] = {
    "absent": "nothing stored for it yet",
    "expired": "the time of the stored one was over",
    "flushed": "the stored one had been flushed",
    "max-age": "the stored one was older than asked for",
    "mixed-up": "the stored one belonged to another question",
    "other-history": "the stored one was made under another database",
    "policies-changed": "the policies have changed since",
    "store-out": "the cache could not be reached",
    "unconfirmed": "it could not be confirmed that the stored one was not flushed",
    "unreadable": "the stored one could not be read",
    "disabled": "the cache is disabled",
    "switched-off": "the cache is switched off",
    "level-off": "this level of the cache is switched off",
    "no-cache": "asked to make it anew",
    "no-store": "asked not to keep it",
    "personal": "it is personal, so it is not shared",
    "empty": "nothing was said that could be looked up",
    "person-wanted": "a person was asked for",
    "no-passages": "no passage of the policies bears on it",
    "not-in-passages": "the passages do not hold the answer",
    "validation-failed": "no reply could be proven from the policies",
    "refused": "the language model declined",
    "provider-failed": "the language model failed",
    "overloaded": "too many questions were waiting",
    "calls-used-up": "the key's calls to the language model were used up",
}
"""Each reason in words that go on a sentence: customers and operators read the same ones."""
