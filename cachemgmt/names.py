"""What stored results are about, by name, for people to choose from: whoever knows the names says them."""

from collections.abc import Callable, Mapping
from typing import Literal

Kind = Literal["intent", "collection", "document"]
Names = Callable[[], Mapping[str, str]]
"""Returns each name with what people call it. May query the database."""

_registered: dict[Kind, Names] = {}


def register_names(kind: Kind, names: Names) -> None:
    """Say how the names of that kind are found."""
    _registered[kind] = names


def names_of(kind: Kind) -> Mapping[str, str]:
    """Return the names of that kind with what people call them; none where nobody registered any."""
    found = _registered.get(kind)
    return found() if found else {}
