"""The index finds what is published, and mends itself from the database."""

import os
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from django.conf import settings
from django.db import Error, InterfaceError, OperationalError
from numpy.typing import NDArray
from pytest_django import Settings

from chat.errors import IndexUnavailable
from chat.knowledge import chroma
from chat.knowledge.embedders import HashedWordsEmbedder
from chat.knowledge.index import Index
from chat.knowledge.publishing import publish
from chat.models import Collection, Document, StoredVector
from chat.types import Passage
from tests.chat.knowledge.conftest import document, found, put

Floats = NDArray[np.float32]

CHILD = """
import os, signal, sys
import django
import numpy as np
django.setup()
from chat.knowledge import chroma
from chat.types import Passage

class Vectors:
    def __getitem__(self, rows):
        if int(sys.argv[2]) == rows.start:
            os.kill(os.getpid(), signal.SIGKILL)
        return np.eye(384, dtype=np.float32)[rows]

chroma.ROWS_PER_CALL = 1
passages = [Passage(document=f"d{n}", title="T", heading_path=("H",), text=f"Text {n}") for n in range(4)]
chroma.write(sys.argv[1], passages, Vectors())
"""


def write_in_another_process(folder: Path, name: str, *, killed_before_row: int = -1) -> None:
    arguments = [sys.executable, "-c", CHILD, name, str(killed_before_row)]
    environment = {**os.environ, "TRIA_DATA_DIR": str(folder.parent), "CHROMA_URL": ""}
    environment["DJANGO_SETTINGS_MODULE"] = "tria_site.settings"
    ended = subprocess.run(
        arguments, cwd=settings.BASE_DIR, env=environment, check=False, capture_output=True
    )
    expected = 0 if killed_before_row < 0 else -signal.SIGKILL
    assert ended.returncode == expected, ended.stderr.decode()


def some_passages() -> tuple[list[Passage], Floats]:
    passages = [Passage(document=f"d{n}", title="T", heading_path=("H",), text=f"Text {n}") for n in range(4)]
    return passages, np.eye(384, dtype=np.float32)[:4]


def test_the_best_passages_come_first_with_their_place(index: Index, shop: Collection) -> None:
    put(
        shop,
        document("fees", "## Costs\n### UK\nA parcel to London costs three pounds."),
        "cookies",
        "coffee",
    )
    vector = [float(value) for value in HashedWordsEmbedder().embed(["What costs a parcel to London?"])[0]]
    best, *_ = index.search(
        collection="shop",
        revision=shop.revision,
        question="What costs a parcel to London?",
        vector=vector,
        top_n=2,
    )
    assert (best.document, best.title, best.heading_path) == ("fees", "Fees", ("Costs", "UK"))
    assert best.text == "A parcel to London costs three pounds."
    assert 0.5 < best.score <= 1


def test_equal_passages_keep_the_order_of_their_documents(index: Index, shop: Collection) -> None:
    same = "Refunds take five days."
    put(shop, *(document(key, same, title="Refunds") for key in ("c", "a", "b")))
    assert found(index, shop, "How long do refunds take?") == ["a", "b", "c"]


def test_without_a_revision_nothing_is_found(index: Index, shop: Collection) -> None:
    assert found(index, shop, "anything", revision="") == []


def test_documents_without_text_are_found_by_nobody(index: Index, shop: Collection) -> None:
    put(shop, document("empty", "# Only a heading"))
    assert found(index, shop, "heading") == []


def test_a_revision_that_was_never_published_is_unavailable(index: Index, shop: Collection) -> None:
    put(shop, "coffee")
    with pytest.raises(IndexUnavailable):
        found(index, shop, "coffee", revision="0" * 24)


def test_a_search_on_the_previous_revision_keeps_working(index: Index, shop: Collection) -> None:
    put(shop, "coffee")
    old = shop.revision
    assert found(index, shop, "coffee") == ["coffee"]
    put(shop, "tea")
    assert found(index, shop, "coffee", revision=old) == ["coffee"]
    assert found(index, shop, "coffee") == ["coffee", "tea"]
    assert found(Index(HashedWordsEmbedder()), shop, "coffee", revision=old) == ["coffee"]


def test_the_one_before_the_previous_revision_is_removed_with_its_files(
    index: Index, shop: Collection, chroma_dir: Path
) -> None:
    put(shop, "coffee")
    oldest = shop.revision
    put(shop, "tea")
    put(shop, "cocoa")
    assert len(chroma.all_names()) == 2
    with pytest.raises(IndexUnavailable):
        found(index, shop, "coffee", revision=oldest)


def test_other_collections_are_left_alone(index: Index, shop: Collection) -> None:
    other = Collection.objects.create(slug="shop-2", name="Other")
    put(other, "cookies")
    for key in ("coffee", "tea", "cocoa"):
        put(shop, key)
    assert found(index, other, "cookies") == ["cookies"]


def test_a_deleted_folder_is_made_again_from_the_database(
    index: Index, shop: Collection, chroma_dir: Path
) -> None:
    put(shop, "coffee", "tea")
    vectors = StoredVector.objects.count()
    shutil.rmtree(chroma_dir)
    chroma.forget_embedded()  # as in a process that starts now
    assert found(index, shop, "coffee")[0] == "coffee"
    assert StoredVector.objects.count() == vectors


def test_publishing_works_after_the_folder_was_deleted_under_a_running_process(
    index: Index, shop: Collection, chroma_dir: Path
) -> None:
    put(shop, "coffee")
    assert found(index, shop, "coffee") == ["coffee"]
    shutil.rmtree(chroma_dir)
    put(shop, "tea")
    assert found(index, shop, "tea")[0] == "tea"


def test_a_view_deleted_under_the_searcher_is_made_again(index: Index, shop: Collection) -> None:
    put(shop, "coffee", "tea")
    assert found(index, shop, "tea")[0] == "tea"
    for name in chroma.all_names():
        chroma.remove(name)
    assert found(index, shop, "tea")[0] == "tea"


def test_another_embedder_makes_its_own_view(shop: Collection) -> None:
    class OtherEmbedder(HashedWordsEmbedder):
        id = "other"

    put(shop, "coffee")
    assert found(Index(OtherEmbedder()), shop, "coffee") == ["coffee"]
    assert len(chroma.all_names()) == 2


def test_a_half_built_view_is_never_searched(index: Index, shop: Collection, chroma_dir: Path) -> None:
    put(shop, "coffee", "tea")
    name = index._name("shop", shop.revision)
    chroma.remove(name)
    write_in_another_process(chroma_dir, name, killed_before_row=2)
    assert chroma.opened(name) is None
    assert set(found(index, shop, "coffee")) == {"coffee", "tea"}


def test_a_killed_build_is_done_anew(chroma_dir: Path) -> None:
    write_in_another_process(chroma_dir, "half.built", killed_before_row=3)
    chroma.write("half.built", *some_passages())
    rows = chroma.opened("half.built")
    assert rows is not None
    assert [one.document for one in chroma.all_passages(rows)] == ["d0", "d1", "d2", "d3"]


def test_an_open_client_sees_what_another_process_builds(chroma_dir: Path) -> None:
    passages, vectors = some_passages()
    chroma.write("mine.1", passages, vectors)
    mine = chroma.opened("mine.1")
    assert mine is not None
    assert chroma.opened("theirs.1") is None
    write_in_another_process(chroma_dir, "theirs.1")
    theirs = chroma.opened("theirs.1")
    assert theirs is not None
    assert chroma.nearest(theirs, vectors[2], 1)[0] == [passages[2]]
    assert chroma.nearest(mine, vectors[1], 1)[0] == [passages[1]]


def test_an_open_client_sees_what_another_process_completes(chroma_dir: Path) -> None:
    passages, vectors = some_passages()
    write_in_another_process(chroma_dir, "theirs.1", killed_before_row=2)
    assert chroma.opened("theirs.1") is None
    write_in_another_process(chroma_dir, "theirs.1")
    theirs = chroma.opened("theirs.1")
    assert theirs is not None
    assert len(chroma.nearest(theirs, vectors[3], 10)[0]) == len(passages)


@pytest.mark.django_db(transaction=True)
def test_many_first_searches_build_a_missing_view_once(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = Collection.objects.create(slug="shop", name="Shop")
    put(shop, "coffee", "tea")
    for name in chroma.all_names():
        chroma.remove(name)
    writes: list[str] = []
    write = chroma.write

    def write_and_count(name: str, passages: list[Passage], vectors: Floats) -> None:
        writes.append(name)
        write(name, passages, vectors)

    monkeypatch.setattr(chroma, "write", write_and_count)
    with ThreadPoolExecutor(4) as threads:
        views = set(map(id, threads.map(lambda _: index._view("shop", shop.revision), range(8))))
    assert len(views) == len(writes) == 1


def test_chromas_failures_are_named(index: Index, shop: Collection, settings: Settings) -> None:
    put(shop, "coffee")
    settings.CHROMA_URL = "http://127.0.0.1:9"  # nobody listens there
    with pytest.raises(IndexUnavailable):
        found(index, shop, "coffee")
    with pytest.raises(IndexUnavailable):
        publish(shop, [document("tea")])
    shop.refresh_from_db()
    assert list(Document.objects.values_list("key", flat=True)) == ["coffee"]


@pytest.mark.parametrize("error", [OperationalError, InterfaceError])
def test_a_missing_view_is_unavailable_while_the_database_is_out(
    index: Index, shop: Collection, monkeypatch: pytest.MonkeyPatch, error: type[Error]
) -> None:
    def out(*_: object, **__: object) -> None:
        raise error("out")

    monkeypatch.setattr(Collection.objects, "filter", out)
    with pytest.raises(IndexUnavailable):
        found(index, shop, "coffee", revision="0" * 24)
