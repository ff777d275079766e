"""Files as documents: what `ingest_policies` reads, and what it has to say of what it cannot read."""

import codecs
import gzip
import json
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from chat.knowledge.chunking import title_from_key, title_in
from chat.source_document import SourceDocument

TEXT_SUFFIXES = (".md", ".markdown", ".txt")
LINES_SUFFIXES = (".jsonl",)
SUFFIXES = tuple(f"{suffix}{gz}" for suffix in TEXT_SUFFIXES + LINES_SUFFIXES for gz in ("", ".gz"))
MAX_KEY = MAX_TITLE = 300


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where something is written: a file, and a line (from 1) where there is one."""

    path: Path
    line: int = 1

    def __str__(self) -> str:
        return f"{self.path}:{self.line}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """What is wrong, and where."""

    place: Place
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundDocuments:
    """What was found in files: the documents that can be taken in, and the problems of the rest."""

    documents: tuple[SourceDocument, ...]
    problems: tuple[Problem, ...]


class _Broken(ValueError):
    """A document or a line that cannot be taken in; the message says why."""


def read_documents(paths: Iterable[Path]) -> FoundDocuments:
    """Return the documents of these files and, recursively, folders.

    The key of a text file is its path without its suffix, seen from the given folder ("shipping/uk"), or its
    name where the file itself is given; a JSON line states its own as "path" or "id". A key that comes
    twice is a problem, and the first one counts.
    """
    problems: list[Problem] = []
    found: dict[str, tuple[Place, SourceDocument]] = {}
    for base, file in _files(paths, problems):
        for place, document in _documents_in(base, file, problems):
            if document.key in found:
                first = found[document.key][0]
                problems.append(
                    Problem(place=place, message=f"the key {document.key!r} is already that of {first}")
                )
            else:
                found[document.key] = (place, document)
    return FoundDocuments(
        documents=tuple(document for _, document in found.values()), problems=tuple(problems)
    )


def _files(paths: Iterable[Path], problems: list[Problem]) -> Iterator[tuple[Path, Path]]:
    """Yield each file once, with the folder that keys are seen from. Hidden files are passed over."""
    seen: set[Path] = set()
    for given in paths:
        if given.is_dir():
            inside = (
                path
                for path in sorted(given.rglob("*"))
                if path.name.lower().endswith(SUFFIXES)
                and path.is_file()
                and not any(part.startswith(".") for part in path.relative_to(given).parts)
            )
            files = [(given, path) for path in inside]
            if not files:
                message = f"no policies in this folder (looked for {', '.join(SUFFIXES)})"
                problems.append(Problem(place=Place(path=given), message=message))
        elif not given.exists():
            files = []
            problems.append(Problem(place=Place(path=given), message="there is no such file or folder"))
        elif not given.name.lower().endswith(SUFFIXES):
            files = []
            message = f"not a kind of file that is read ({', '.join(SUFFIXES)})"
            problems.append(Problem(place=Place(path=given), message=message))
        else:
            files = [(given.parent, given)]
        for base, path in files:
            if path.resolve() not in seen:
                seen.add(path.resolve())
                yield base, path


def _documents_in(base: Path, file: Path, problems: list[Problem]) -> Iterator[tuple[Place, SourceDocument]]:
    try:
        content = _content(file)
    except _Broken as error:
        problems.append(Problem(place=Place(path=file), message=str(error)))
        return
    name = file.name.lower().removesuffix(".gz")
    if name.endswith(LINES_SUFFIXES):
        parts = [(n, line) for n, line in enumerate(content.split(b"\n"), 1) if line.strip()]
        read: Callable[[bytes], SourceDocument] = _of_line
    else:
        parts = [(1, content)]
        read = partial(_of_text, _key(base, file))
    for number, part in parts:
        try:
            yield Place(path=file, line=number), read(part)
        except UnicodeDecodeError as error:
            line = number + part.count(b"\n", 0, error.start)
            message = f"not UTF-8 (byte {part[error.start]:#04x})"
            problems.append(Problem(place=Place(path=file, line=line), message=message))
        except _Broken as error:
            problems.append(Problem(place=Place(path=file, line=number), message=str(error)))


def _key(base: Path, file: Path) -> str:
    path = file.relative_to(base)
    return (path.with_suffix("") if path.suffix.lower() == ".gz" else path).with_suffix("").as_posix()


def _content(file: Path) -> bytes:
    try:
        content = file.read_bytes()
        if file.name.lower().endswith(".gz"):
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise _Broken(f"cannot be read: {error}") from error
    return content.removeprefix(codecs.BOM_UTF8)


def _of_text(key: str, content: bytes) -> SourceDocument:
    return _document(key, None, content.decode("utf-8"))


def _of_line(line: bytes) -> SourceDocument:
    """Return the document that a JSON line states. Raises _Broken, UnicodeDecodeError."""
    try:
        row = json.loads(line.decode("utf-8"))
    except json.JSONDecodeError as error:
        raise _Broken(f"not JSON: {error.msg} at character {error.pos + 1}") from error
    if not isinstance(row, dict):
        raise _Broken("not a JSON object")
    key = row.get("path") or row.get("id")
    text = row.get("text", row.get("content"))
    title = row.get("title")
    if not isinstance(key, str | int) or not str(key).strip():
        raise _Broken('neither "path" nor "id" is given')
    if not isinstance(text, str):
        raise _Broken('neither "text" nor "content" is a string')
    if title is not None and not isinstance(title, str):
        raise _Broken('"title" is not a string')
    return _document(str(key).strip(), title, text)


def _document(key: str, title: str | None, text: str) -> SourceDocument:
    if not text.strip():
        raise _Broken("there is no text in it")
    if len(key) > MAX_KEY:
        raise _Broken(f"its key is longer than {MAX_KEY} characters")
    if "\0" in key + (title or "") + text:
        raise _Broken("there is a NUL character in it")
    title = (title or "").strip() or title_in(text) or title_from_key(key)
    try:
        (key + title + text).encode()
    except UnicodeEncodeError as error:
        raise _Broken("there is half of a surrogate pair in it") from error
    return SourceDocument(key=key, title=title[:MAX_TITLE], text=text)
