"""How a line of the log looks: an error is told by its type and where it was raised, not by its words."""

import logging
import traceback
from collections.abc import Iterator
from types import TracebackType
from typing import TypeAlias

OfCode = AttributeError | ImportError | NameError
"""Errors whose words name parts of the code. The words of any other may quote a customer, a key or a row."""

ExcInfo: TypeAlias = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class LineFormatter(logging.Formatter):
    """Formats a traceback without what the errors say. At level DEBUG they are logged whole."""

    def formatException(self, ei: ExcInfo) -> str:  # noqa: N802, the base class's name
        """Return the tracebacks of the error and of those that led to it, the first one first."""
        if ei[1] is None or logging.getLogger().isEnabledFor(logging.DEBUG):
            return super().formatException(ei)
        return "\nwhich led to\n".join(reversed([told_of(error) for error in causes_of(ei[1])]))


def causes_of(error: BaseException | None) -> Iterator[BaseException]:
    """Yield the error, then what it was raised from or while handling, and so on."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def told_of(error: BaseException) -> str:
    """Return the error's traceback and its type."""
    frames = "".join(traceback.format_tb(error.__traceback__))
    name = f"{type(error).__module__}.{type(error).__qualname__}"
    words = f": {error}" if isinstance(error, OfCode) else ""
    return f"Traceback (most recent call last):\n{frames}{name}{words}"
