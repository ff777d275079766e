"""What can go wrong between a question and its answer.

ChatError
├── ProviderError                 the LLM gave no usable result
│   ├── ProviderMisconfigured     it does not accept our key, model or request
│   ├── ProviderBusy              it asks us to slow down
│   ├── ProviderUnavailable       it cannot be reached, or fails on its side
│   ├── ProviderTimedOut          it did not answer in time
│   ├── ProviderRefused           it declines to answer this text
│   └── ProviderUnreadable        its output is cut off or not what was asked for
├── IndexUnavailable              the passages cannot be searched
├── Overloaded                    as many questions as may wait are waiting already
├── CallsUsedUp                   the caller may not have the language model called for now
├── UnknownCollection             there is no such collection
└── NotCached                     only-if-cached was asked for, and there is nothing stored
"""

from typing import Literal

SHAPES_RESULTS = False  # errors are never stored: see chat.source_code

Setting = Literal["OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_MODEL"]
"""What an operator sets. OPENAI_MODEL stands for the variable of the stage at hand."""


class ChatError(Exception):
    """The question could not be answered."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (self.__doc__ or "").strip())


class ProviderError(ChatError):
    """The language model gave no usable result."""


class ProviderMisconfigured(ProviderError):
    """The language model does not accept the configured key, model or request."""

    def __init__(self, message: str | None = None, *, setting: Setting | None = None) -> None:
        super().__init__(message)
        self.setting = setting
        """The setting that is likely wrong, None where that cannot be told."""


class ProviderBusy(ProviderError):
    """The language model asks to slow down."""

    def __init__(self, message: str | None = None, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class ProviderUnavailable(ProviderError):
    """The language model cannot be reached or fails on its side."""


class ProviderTimedOut(ProviderError):
    """The language model did not answer in time."""


class ProviderRefused(ProviderError):
    """The language model declines to answer."""


class ProviderUnreadable(ProviderError):
    """The language model's output is cut off or not of the form that was asked for."""


class IndexUnavailable(ChatError):
    """The policy passages cannot be searched right now."""


class Overloaded(ChatError):
    """As many questions as may wait are waiting already."""


class CallsUsedUp(ChatError):
    """The key has used up its calls to the language model for now. Stored answers are given as before."""

    def __init__(self, message: str | None = None, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class UnknownCollection(ChatError):
    """There is no such collection of policies."""


class NotCached(ChatError):
    """Nothing is stored for this question, and only a stored answer was asked for."""
