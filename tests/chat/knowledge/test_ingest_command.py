"""manage.py ingest_policies, and the sample company's policies."""

import io
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings as configured
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from pytest_django import Settings

from chat.errors import IndexUnavailable
from chat.knowledge.index import Index
from chat.knowledge.sample import load_sample
from chat.models import Collection, Document
from tests.chat.knowledge.conftest import found

pytestmark = pytest.mark.django_db


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "policies"
    folder.mkdir()
    for name in ("coffee", "tea"):
        (folder / f"{name}.md").write_text(f"All about {name}.")
    return folder


def ingest(*arguments: object) -> tuple[str, str]:
    """Run the command and return what it writes to stdout and stderr."""
    out, err = io.StringIO(), io.StringIO()
    try:
        call_command("ingest_policies", *map(str, arguments), stdout=out, stderr=err, no_color=True)
    except CommandError as error:
        return out.getvalue(), f"{err.getvalue()}{error}"
    return out.getvalue(), err.getvalue()


def test_it_publishes_and_sums_up(folder: Path, index: Index) -> None:
    out, err = ingest(folder, "--collection", "shop")
    shop = Collection.objects.get()
    assert not err
    assert out.splitlines() == [
        "embedded 4 of 4 texts",
        "  + coffee",
        "  + tea",
        f"shop: 2 added, 0 unchanged, 2 passages, 4 vectors newly embedded, revision {shop.revision}",
    ]
    assert found(index, shop, "tea")[0] == "tea"


def test_doing_it_twice_changes_nothing(folder: Path) -> None:
    ingest(folder, "--collection", "shop")
    published_at = Collection.objects.get().published_at
    out, _ = ingest(folder, "--collection", "shop")
    assert out.startswith("Everything is unchanged; nothing was published.\nshop: 2 unchanged, revision ")
    assert Collection.objects.get().published_at == published_at


def test_others_stay_without_prune_and_are_listed_with_it(folder: Path) -> None:
    ingest(folder, "--collection", "shop")
    (folder / "coffee.md").unlink()
    out, _ = ingest(folder, "--collection", "shop")
    assert "1 other documents are in shop and stay" in out
    out, _ = ingest(folder, "--collection", "shop", "--prune")
    assert "  - coffee" in out
    assert "1 unchanged, 1 removed, 1 passages" in out
    assert list(Document.objects.values_list("key", flat=True)) == ["tea"]


def test_broken_files_fail_the_command_but_not_the_others(folder: Path) -> None:
    (folder / "broken.md").write_bytes(b"\xff")
    out, err = ingest(folder, "--collection", "shop")
    assert "2 added" in out
    assert f"{folder}/broken.md:1: not UTF-8" in err
    assert "1 problem, see above; everything else is in." in err


def test_what_cannot_be_read_is_not_pruned(folder: Path) -> None:
    ingest(folder, "--collection", "shop")
    (folder / "coffee.md").write_bytes(b"\xff")
    _, err = ingest(folder, "--collection", "shop", "--prune")
    assert "Nothing is pruned" in err
    assert Document.objects.count() == 2


def test_a_wrong_path_makes_no_collection(tmp_path: Path) -> None:
    _, err = ingest(tmp_path / "gone", "--collection", "shop")
    assert "there is no such file or folder" in err
    assert not Collection.objects.exists()


def test_a_failing_index_is_reported_and_changes_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise IndexUnavailable

    monkeypatch.setattr(Index, "build", fail)
    _, err = ingest(folder, "--collection", "shop")
    assert err == "Nothing was changed: The policy passages cannot be searched right now."
    assert not Document.objects.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Name the collection: --collection NAME"),
        (["--collection", "sample"], "holds the sample company's policies alone"),
        (["--collection", "My Shop"], "cannot be a collection's name"),
    ],
)
def test_the_collection_must_be_ones_own(folder: Path, arguments: list[str], message: str) -> None:
    _, err = ingest(folder, *arguments)
    assert message in err
    assert not Collection.objects.exists()


def test_the_default_collection_is_taken(folder: Path, settings: Settings) -> None:
    settings.DEFAULT_COLLECTION = "shop"
    ingest(folder)
    assert Collection.objects.get().slug == "shop"


def test_the_sample_is_loaded_once(index: Index) -> None:
    first = load_sample()
    assert len(first.added) > 20
    again = load_sample()
    assert again.built is None
    assert len(again.unchanged) == len(first.added)
    assert found(index, Collection.objects.get(), "gift card expiry")[0] == "gift-cards"


def test_the_sample_follows_its_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    load_sample()
    policies = tmp_path / "sample" / "policies"
    policies.mkdir(parents=True)
    (policies / "returns.md").write_text("# Returns\nThirty days.")
    monkeypatch.setattr(configured, "BASE_DIR", tmp_path)
    done = load_sample()
    assert done.updated == ("returns",)
    assert len(done.removed) > 20


def test_the_sample_stays_out_of_production(settings: Settings) -> None:
    settings.IS_PRODUCTION = True
    with pytest.raises(ImproperlyConfigured):
        load_sample()


def test_reading_knowledge_code_imports_neither_chroma_nor_a_model() -> None:
    # Importing them takes longer than all else that a command does.
    code = (
        "import django, sys; django.setup(); import chat.knowledge.sample, chat.knowledge.index; "
        "print({'chromadb', 'tokenizers', 'openai'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=configured.BASE_DIR, check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == "set()"
