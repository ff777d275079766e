"""A policy as it was written, before anything is made of it."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceDocument:
    """A policy's text, the title it goes by, and its key: an id or path, unique in its collection."""

    key: str
    title: str
    text: str
