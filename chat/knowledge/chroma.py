"""Passages and vectors in Chroma, embedded in this process or a server.

The only module that imports chromadb. That takes a second, so others import this module where they need it,
not at their top. Every function raises IndexUnavailable if Chroma fails.
"""

import fcntl
import json
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import Any, cast
from urllib.parse import urlsplit

import chromadb
import httpx
import numpy as np
from chromadb.api import ClientAPI, fastapi
from chromadb.api.models.Collection import Collection as ChromaCollection
from chromadb.api.shared_system_client import SharedSystemClient
from chromadb.config import Settings, System
from chromadb.errors import ChromaError, NotFoundError
from django.conf import settings
from numpy.typing import NDArray

from chat.errors import IndexUnavailable
from chat.types import Passage

Floats = NDArray[np.float32]
Rows = ChromaCollection

TIMEOUT_S = 10.0
ROWS_PER_CALL = 500
_connecting = Lock()
_clients: dict[str, ClientAPI] = {}


class RowsAreGone(IndexUnavailable):
    """The Chroma collection was deleted since it was opened."""


class TimedFastAPI(fastapi.FastAPI):
    """Chroma's HTTP client, which by itself would wait for a hung server for ever."""

    def __init__(self, system: System) -> None:
        super().__init__(system)
        self._session.timeout = httpx.Timeout(TIMEOUT_S, connect=min(TIMEOUT_S, 2.0))


# Chroma accepts no client class but by this name, and has no setting for the time to wait.
fastapi.FastAPI = TimedFastAPI  # type: ignore[misc]


@contextmanager
def mended() -> Iterator[None]:
    """Turn what Chroma raises into IndexUnavailable."""
    try:
        yield
    except NotFoundError as error:
        raise RowsAreGone from error
    except (ChromaError, httpx.HTTPError, OSError, ValueError, RuntimeError) as error:
        # ValueError is what its client makes of a server that is out.
        raise IndexUnavailable(f"Chroma failed: {type(error).__name__}") from error


def chroma() -> ClientAPI:
    """Return the client that the settings ask for, the same one at every call. Thread-safe."""
    place = settings.CHROMA_URL or str(settings.CHROMA_DIR)
    with _connecting:
        if place not in _clients:
            _clients[place] = _connected(place) if settings.CHROMA_URL else _embedded(place)
        return _clients[place]


def _embedded(folder: str) -> ClientAPI:
    Path(folder).mkdir(parents=True, exist_ok=True)
    return chromadb.PersistentClient(path=folder, settings=Settings(anonymized_telemetry=False))


def _connected(url: str) -> ClientAPI:
    parts = urlsplit(url)
    is_secure = parts.scheme == "https"
    return chromadb.HttpClient(
        host=parts.hostname or "localhost",
        port=parts.port or (443 if is_secure else 8000),
        ssl=is_secure,
        settings=Settings(anonymized_telemetry=False),
    )


def forget_embedded() -> None:
    """Let go of the embedded database's open files: their folder was deleted or replaced.

    It is not closed, for other threads may still be reading from it.
    """
    folder = str(settings.CHROMA_DIR)
    with _connecting:
        _clients.pop(folder, None)
        SharedSystemClient._identifier_to_system.pop(folder, None)


@mended()
def opened(name: str) -> Rows | None:
    """Return the Chroma collection if it is there and complete."""
    try:
        rows = chroma().get_collection(name, embedding_function=None)
    except NotFoundError:
        return None
    # A build that was killed leaves fewer rows than it set out to write.
    return rows if rows.count() == (rows.metadata or {}).get("n_passages") else None


@mended()
def write(name: str, passages: Sequence[Passage], vectors: Floats) -> None:
    """Make the Chroma collection, or do nothing if it is complete.

    Rows are named by their place, so that two processes may write the same ones to a server.
    """
    with _writing_alone():
        if opened(name) is not None:
            return  # another process has written it while this one waited
        if settings.CHROMA_URL is None:
            remove(name)  # nobody else is writing: this is what an interrupted build left
        rows = chroma().get_or_create_collection(
            name,
            embedding_function=None,
            configuration={"hnsw": {"space": "cosine", "ef_construction": 200, "ef_search": 200}},
            metadata={"n_passages": len(passages)},
        )
        for start in range(0, len(passages), ROWS_PER_CALL):
            batch = passages[start : start + ROWS_PER_CALL]
            rows.upsert(
                ids=[f"{start + n:09d}" for n in range(len(batch))],
                embeddings=cast("Any", vectors[start : start + len(batch)]),
                documents=[passage.text for passage in batch],
                metadatas=[_metadata(passage) for passage in batch],
            )


@mended()
def nearest(rows: Rows, vector: Floats, n_rows: int) -> tuple[list[Passage], Floats]:
    """Return about the `n_rows` nearest passages in the order they were written in, and their vectors."""
    found: Any = rows.query(
        query_embeddings=[cast("Any", vector)],
        n_results=n_rows,
        include=["embeddings", "documents", "metadatas"],
    )
    ids, texts, metadatas, vectors = (
        found[what][0] for what in ("ids", "documents", "metadatas", "embeddings")
    )
    order = sorted(range(len(ids)), key=ids.__getitem__)
    passages = [_passage(texts[n], metadatas[n]) for n in order]
    return passages, np.asarray(vectors, dtype=np.float32).reshape(len(ids), len(vector))[order]


@mended()
def any_vector(rows: Rows) -> Floats | None:
    """Return the vector of one of the passages, None where there are none."""
    found: Any = rows.get(limit=1, include=["embeddings"])
    return np.asarray(found["embeddings"][0], dtype=np.float32) if len(found["ids"]) else None


@mended()
def all_passages(rows: Rows) -> list[Passage]:
    """Return the passages in the order they were written in."""
    passages: dict[str, Passage] = {}
    for start in range(0, rows.count(), ROWS_PER_CALL):
        page: Any = rows.get(limit=ROWS_PER_CALL, offset=start, include=["documents", "metadatas"])
        for row_id, text, metadata in zip(page["ids"], page["documents"], page["metadatas"], strict=True):
            passages[row_id] = _passage(text, metadata)
    return [passages[row_id] for row_id in sorted(passages)]


@mended()
def all_names() -> list[str]:
    """Return the names of all Chroma collections."""
    return [rows.name for rows in chroma().list_collections()]


@mended()
def remove(name: str) -> None:
    """Delete the Chroma collection, if it is there, and the files that embedded Chroma leaves behind."""
    client = chroma()
    with suppress(NotFoundError):
        rows = client.get_collection(name, embedding_function=None)
        folders = _folders_of(str(rows.id)) if settings.CHROMA_URL is None else []
        client.delete_collection(name)
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)


def _folders_of(collection_id: str) -> list[Path]:
    folder = Path(settings.CHROMA_DIR)
    try:
        with closing(sqlite3.connect(f"file:{folder / 'chroma.sqlite3'}?mode=ro", uri=True)) as database:
            query = "SELECT id FROM segments WHERE collection = ?"
            found = [folder / row[0] for row in database.execute(query, [collection_id])]
    except sqlite3.Error:  # not this version's tables: better some dead files than a living one deleted
        return []
    return [path for path in found if path.is_dir()]


@contextmanager
def _writing_alone() -> Iterator[None]:
    """Wait until no other thread or process writes to the embedded database: two writers could spoil one
    collection's files. A server takes care of that itself."""
    if settings.CHROMA_URL is not None:
        yield
        return
    folder = Path(settings.CHROMA_DIR)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "writing.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _metadata(passage: Passage) -> dict[str, str]:
    return {
        "document": passage.document,
        "title": passage.title,
        "heading_path": json.dumps(passage.heading_path),
    }


def _passage(text: str, metadata: dict[str, str]) -> Passage:
    return Passage(
        document=metadata["document"],
        title=metadata["title"],
        heading_path=tuple(json.loads(metadata["heading_path"])),
        text=text,
    )
