"""Policies' sentences: how passages fall into them, how they are quoted, and what is such a quote."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from chat.knowledge.chunking import ABBREVIATION, SENTENCE_END
from chat.types import Passage

_LIST_MARK = re.compile(r"^\s*(?:[-*+•]|\d{1,3}[.)])\s+")
_QUOTE_MARKS = str.maketrans("’‘‛`´“”„‟«»", '\'\'\'\'\'""""""')
_CELLS = " | "
_ENDED = re.compile(r"[.!?…:。！？][\"')\]”’]*$")


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence, a list item or a table's row, word for word but without the list's mark.

    `lead` is the line it cannot be understood without: the "We do not accept:" above a list, a table's head.
    `own_line`: it must not be run together with others. `is_item`: it was part of a list.
    """

    text: str
    lead: str | None = None
    own_line: bool = False
    is_item: bool = False


def sentences_of(text: str) -> list[Sentence]:
    """Return the text's sentences in order. Where an end is in doubt ("No. 5", "e.g. this") there is none."""
    found: list[Sentence] = []
    lead: str | None = None
    for block in re.split(r"\n[ \t]*\n", text):
        is_table = False
        lines = [line for line in block.splitlines() if line.strip()]
        if not lines:
            continue
        if not _LIST_MARK.match(lines[0]):
            lead = None if _CELLS in lines[0] or not _is_list(lines) else lead
        for line in lines:
            is_item = _LIST_MARK.match(line) is not None
            if _CELLS in line:
                found.append(Sentence(line.strip(), lead=lead if is_table else None, own_line=True))
                lead, is_table = (lead, True) if is_table else (line.strip(), True)
            elif is_item:
                item = _LIST_MARK.sub("", line).strip()
                found.append(Sentence(item, lead=lead, own_line=True, is_item=True))
            else:
                parts = _split(line.strip())
                found += [
                    Sentence(part, own_line=part[0].islower() or not _ENDED.search(part)) for part in parts
                ]
                lead = parts[-1] if parts and parts[-1].endswith(":") else None
    return found


def _is_list(lines: Sequence[str]) -> bool:
    return any(_LIST_MARK.match(line) for line in lines)


def _split(line: str) -> list[str]:
    starts = [0]
    for end in SENTENCE_END.finditer(line):
        if not ABBREVIATION.search(line[: end.end()].rstrip()):
            starts.append(end.end())
    parts = [line[a:b].strip() for a, b in zip(starts, [*starts[1:], len(line)], strict=True)]
    return [part for part in parts if part]


def source_line(passage: Passage) -> str:
    """Return how a quote's source is named, e.g. 'From “Refunds”, How long a refund takes:'."""
    section = "" if passage.section == passage.title else f", {passage.section}"
    return f"From “{passage.title}”{section}:"


def quote(passage: Passage, chosen: Sequence[Sentence]) -> str:
    """Return the chosen sentences of the passage, each at most once, as a paragraph that names its source."""
    lines = [source_line(passage)]
    shown: set[str] = set()
    joins = True
    for sentence in chosen:
        lead = [Sentence(sentence.lead)] if sentence.lead else []
        for part in [*lead, sentence]:
            if part.text in shown:
                continue
            shown.add(part.text)
            if part.own_line or not joins:
                lines.append(f"- {part.text}" if part.is_item else part.text)
            else:
                lines[-1] += f" {part.text}"
            joins = not part.own_line
    return "\n".join(lines)


def unquoted(reply: str, passages: Sequence[Passage]) -> list[str]:
    """Return the sentences of the reply that do not stand word for word in a passage.

    White space, quote marks and list marks may differ; nothing may be left out, since half a sentence can
    say the opposite of the whole. The line that names a source counts for nothing.
    """
    known = {_plain(sentence.text) for passage in passages for sentence in sentences_of(passage.text)}
    names = sorted({_plain(source_line(passage)) for passage in passages}, key=len, reverse=True)
    strangers = []
    for line in reply.splitlines():
        rest = line.strip()
        for name in names:
            if _plain(rest).startswith(name):
                rest = _plain(rest)[len(name) :].strip()
                break
        if any(_is_made_of(_plain(form), known) for form in (rest, _LIST_MARK.sub("", rest))):
            continue
        strangers += [part.text for part in sentences_of(rest) if _plain(part.text) not in known]
    return strangers


def _is_made_of(line: str, known: set[str]) -> bool:
    """Return whether the line is nothing but known sentences, one after the other."""
    starts = {0}
    for start in range(len(line)):
        if start in starts:
            starts |= {start + len(text) + 1 for text in known if line.startswith(text, start)
                       and line[start + len(text) : start + len(text) + 1] in {"", " "}}  # fmt: skip
    return not line or len(line) + 1 in starts


def _plain(text: str) -> str:
    return " ".join(text.translate(_QUOTE_MARKS).split())
