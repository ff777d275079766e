"""Files are read as documents; what is broken is named with its place, and stops nothing else."""

import gzip
import json
from pathlib import Path

import pytest

from chat.knowledge.ingest import FoundDocuments, read_documents


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "policies"
    folder.mkdir()
    return folder


def write_lines(path: Path, *rows: object) -> Path:
    path.write_text(
        "\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows), encoding="utf-8"
    )
    return path


def problems(reading: FoundDocuments, folder: Path) -> list[str]:
    return [str(problem).replace(f"{folder}/", "") for problem in reading.problems]


def test_folders_are_read_recursively_and_keys_seen_from_them(folder: Path) -> None:
    (folder / "shipping").mkdir()
    (folder / "shipping" / "uk.md").write_text("# To the UK\nFree.")
    (folder / "returns.MARKDOWN").write_text("Text.")
    (folder / "notes.txt").write_text("Text.")
    (folder / "logo.png").write_bytes(b"\x89PNG")
    (folder / ".hidden.md").write_text("Text.")
    reading = read_documents([folder])
    assert [(one.key, one.title) for one in reading.documents] == [
        ("notes", "Notes"),
        ("returns", "Returns"),
        ("shipping/uk", "To the UK"),
    ]
    assert not reading.problems


def test_a_file_given_twice_is_read_once(folder: Path) -> None:
    (folder / "returns.md").write_text("Text.")
    reading = read_documents([folder, folder / "returns.md", folder])
    assert [one.key for one in reading.documents] == ["returns"]
    assert not reading.problems


def test_json_lines_state_key_title_and_text_in_either_way(folder: Path) -> None:
    path = write_lines(
        folder / "all.jsonl",
        {"id": 7, "content": "Text."},
        "",
        {"id": "x", "path": "refund/index.md", "text": "---\ntitle: Refunds\n---\nText."},
        {"id": "b", "title": "Given", "text": "# Other\nText."},
    )
    reading = read_documents([path])
    assert [(one.key, one.title) for one in reading.documents] == [
        ("7", "7"),
        ("refund/index.md", "Refunds"),
        ("b", "Given"),
    ]


def test_gzip_is_read_like_its_content(folder: Path) -> None:
    (folder / "returns.md.gz").write_bytes(gzip.compress(b"# Sending back\nText."))
    (folder / "all.jsonl.gz").write_bytes(gzip.compress(b'{"id": "a", "text": "Text."}'))
    assert [(one.key, one.title) for one in read_documents([folder]).documents] == [
        ("a", "A"),
        ("returns", "Sending back"),
    ]


def test_a_byte_order_mark_is_no_text(folder: Path) -> None:
    (folder / "a.md").write_bytes("\ufeff# Über uns\nText.".encode())
    (folder / "b.jsonl").write_bytes(b'\xef\xbb\xbf{"id": "b", "text": "Text."}\r\n')
    reading = read_documents([folder])
    assert [(one.key, one.title) for one in reading.documents] == [("a", "Über uns"), ("b", "B")]
    assert reading.documents[0].text.startswith("#")


def test_broken_files_and_lines_are_named_and_the_others_go_in(folder: Path) -> None:
    (folder / "empty.md").write_text(" \n")
    (folder / "latin.md").write_bytes(b"# Fine\nGr\xfc\xdfe")
    (folder / "cut.md.gz").write_bytes(gzip.compress(b"text " * 100)[:-12])
    (folder / "plain.md.gz").write_bytes(b"not gzip")
    (folder / "nul.txt").write_bytes(b"a\0b")
    write_lines(
        folder / "rows.jsonl",
        {"id": "good", "text": "Text."},
        '{"id": "a", ',
        ["a"],
        {"text": "Text."},
        {"id": "c", "text": 5},
        {"id": "d", "text": "Text.", "title": ["t"]},
        {"id": "e" * 301, "text": "Text."},
        '{"id": "f", "text": "half \\ud83d"}',
    )
    with (folder / "rows.jsonl").open("ab") as rows:
        rows.write(b'\n{"id": "g", "text": "\xff"}')
    reading = read_documents([folder])
    assert [one.key for one in reading.documents] == ["good"]
    found = problems(reading, folder)
    assert found[0].startswith("cut.md.gz:1: cannot be read: ")
    assert found[1:4] == [
        "empty.md:1: there is no text in it",
        "latin.md:2: not UTF-8 (byte 0xfc)",
        "nul.txt:1: there is a NUL character in it",
    ]
    assert found[4].startswith("plain.md.gz:1: cannot be read: ")
    assert found[5].startswith("rows.jsonl:2: not JSON: ")
    assert found[6:] == [
        "rows.jsonl:3: not a JSON object",
        'rows.jsonl:4: neither "path" nor "id" is given',
        'rows.jsonl:5: neither "text" nor "content" is a string',
        'rows.jsonl:6: "title" is not a string',
        "rows.jsonl:7: its key is longer than 300 characters",
        "rows.jsonl:8: there is half of a surrogate pair in it",
        "rows.jsonl:9: not UTF-8 (byte 0xff)",
    ]


def test_a_key_that_comes_twice_is_named_with_both_places(folder: Path) -> None:
    (folder / "a.md").write_text("First.")
    write_lines(folder / "b.jsonl", {"id": "x", "text": "Text."}, {"id": "a", "text": "Second."})
    reading = read_documents([folder])
    assert {one.key: one.text for one in reading.documents}["a"] == "First."
    assert problems(reading, folder) == ["b.jsonl:2: the key 'a' is already that of a.md:1"]


def test_paths_that_lead_nowhere_are_named(folder: Path) -> None:
    (folder / "table.csv").write_text("a,b")
    reading = read_documents([folder / "gone.md", folder / "table.csv", folder])
    found = problems(reading, folder)
    assert found[0] == "gone.md:1: there is no such file or folder"
    assert found[1].startswith("table.csv:1: not a kind of file that is read (.md, ")
    assert "no policies in this folder" in found[2]
