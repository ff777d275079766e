"""A reply that quotes the passages it is made of is never objected to, and one of another's is.

What is measured on, beside the sample, is no part of this repository: TRIA_EVAL_DATA says where it is.
"""

import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings as configured

from chat.checks.figures import unsupported_figures
from chat.checks.links import links, unsupported_links
from chat.checks.phones import unsupported_phones
from chat.knowledge.chunking import chunks_of, title_from_key, title_in
from chat.providers.quoting import sentences_of
from chat.types import Passage

DATA = Path(os.environ.get("TRIA_EVAL_DATA") or configured.BASE_DIR.parent / "shared" / "data") / "documents"
SAMPLE = Path(configured.BASE_DIR) / "sample" / "policies"

absent = pytest.mark.skipif(not DATA.exists(), reason=f"no {DATA}: TRIA_EVAL_DATA says where the data is")


def documents(name: str) -> Iterator[tuple[str, str]]:
    """Yield key and text of each document."""
    if name == "sample":
        yield from ((path.stem, path.read_text("utf-8")) for path in sorted(SAMPLE.glob("*.md")))
        return
    path = DATA / name
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open() as lines:
        for n, line in enumerate(lines):
            row = json.loads(line)
            if "content" not in row or n % 10 == 0:  # of the bank's 698 documents every tenth
                yield row["id"], row.get("text") or f"# {row['title']}\n\n{row['content']}"


def passages(name: str) -> dict[str, list[Passage]]:
    """Return each document's passages."""
    found = {}
    for key, text in documents(name):
        title = title_in(text) or title_from_key(key)
        found[key] = [
            Passage(document=key, title=title, heading_path=chunk.heading_path, text=chunk.text)
            for chunk in chunks_of(title, text)
        ]
    return found


@pytest.mark.parametrize(
    "name",
    [
        "sample",
        pytest.param("basecamp_policies_head.jsonl.gz", marks=absent),
        pytest.param("tau2_policies.jsonl", marks=absent),
        pytest.param("tau2_banking_knowledge_docs.jsonl.gz", marks=absent),
        pytest.param("abcd_guidelines.jsonl", marks=absent),
    ],
)
def test_no_sentence_of_a_passage_is_objected_to_as_a_reply_from_it(name: str) -> None:
    objections = []
    for own in passages(name).values():
        for passage in own:
            for sentence in sentences_of(passage.text):
                objections += unsupported_figures(sentence.text, [passage], "")
                objections += unsupported_links(sentence.text, [passage])
                objections += unsupported_phones(sentence.text, [passage])
    assert objections == []


@pytest.mark.parametrize("name", ["sample", pytest.param("basecamp_policies_head.jsonl.gz", marks=absent)])
def test_every_address_of_another_document_is_objected_to(name: str) -> None:
    stranger = Passage(document="other", title="Other", heading_path=(), text="See other.example or call us.")
    n_found = 0
    for own in passages(name).values():
        for passage in own:
            for sentence in sentences_of(passage.text):
                addresses = set(links(sentence.text))
                assert len(unsupported_links(sentence.text, [stranger])) == len(addresses)
                n_found += len(addresses)
    assert n_found > 5
