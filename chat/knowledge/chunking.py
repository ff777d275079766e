"""A document as passages: one per section, long ones cut where sentences end.

Markdown is read with markdown-it; plain text is Markdown without headings.
"""

import html
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from math import ceil
from posixpath import basename

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode

from chat.source_code import SOURCE

CHUNKING = SOURCE.digest(sys.modules[__name__], length=4)
"""Names the way documents are cut: it changes with this module's code."""

MAX_WORDS = 180
"""A passage's length: an embedder that sees 256 tokens sees it whole, with its title and headings."""

EACH_A_WORD = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"  # Japanese, Chinese, Korean
WORD = re.compile(rf"[{EACH_A_WORD}]|[^\W{EACH_A_WORD}]+")
SENTENCE_END = re.compile(r"[.!?…]+[\"'”’)\]]*\s+(?![a-z])|[。！？]+")
ABBREVIATION = re.compile(
    r"(?:\b[a-z]|\b(?:e\.g|i\.e|etc|vs|cf|approx|mr|mrs|ms|dr|no|nr|art|sec|inc|ltd|co))\.$", re.I
)
FRONT_MATTER = re.compile(r"---\n((?:[\w-]+:.*\n|[ \t#-].*\n|\n)*)(?:---|\.\.\.)[ \t]*(?:\n|$)")
FRONT_MATTER_TITLE = re.compile(r"^title:[ \t]*(.+?)[ \t]*$", re.M)
TEMPLATE_TARGET = re.compile(r"\]\(\s*\{[{%][^\n]*?[}%]\}[^\s()]*\)")
"""A link's target that a site generator fills in: Markdown does not take it for one because of its spaces."""
HTML_NOISE = re.compile(r"<!--.*?-->|<(script|style)\b.*?</\1\s*>|</?[a-zA-Z][^<>]*>", re.S | re.I)


@dataclass(frozen=True, kw_only=True, slots=True)
class Chunk:
    """A passage of a document: its text, and the headings above it, outermost first, without the title."""

    heading_path: tuple[str, ...]
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class _Piece:
    """What is never cut: a sentence, a list item, a table's row. `before` is what parts it from the piece
    before; `leads` says that the next piece belongs to it."""

    text: str
    before: str
    leads: bool = False

    @property
    def n_words(self) -> int:
        return len(WORD.findall(self.text))


def title_in(text: str) -> str | None:
    """Return the title that the document itself gives: in its front matter, else its first heading."""
    front_matter, body = _parted(text)
    found = FRONT_MATTER_TITLE.search(front_matter)
    if found:
        return found[1].strip("\"'").strip() or None
    headings = (node for node in _tree(body).children if node.type == "heading")
    return next((heading for node in headings if (heading := _inline(node))), None)


def title_from_key(key: str) -> str:
    """Return a readable title for a document that gives none, from its key or file name."""
    name = re.sub(r"(?<=.)/(index|readme)\.\w+$", "", key.rstrip("/"), flags=re.I)
    words = re.sub(r"[-_\s]+", " ", basename(name).split(".")[0]).strip()
    return words[:1].upper() + words[1:] or key


def chunks_of(title: str, text: str) -> list[Chunk]:
    """Return the document's passages in its order. A document without any text has none."""
    chunks = []
    for heading_path, pieces in _sections(title, _parted(text)[1]):
        chunks += [Chunk(heading_path=heading_path, text=part) for part in _parts(pieces)]
    return chunks


def _parted(text: str) -> tuple[str, str]:
    """Return the front matter ("" where there is none) and the rest, with Unix line ends."""
    text = re.sub(r"\r\n?", "\n", text.removeprefix("\ufeff"))
    text = TEMPLATE_TARGET.sub("](#)", text)
    found = FRONT_MATTER.match(text)
    return (found[1], text[found.end() :]) if found else ("", text)


@cache
def _markdown() -> MarkdownIt:
    # Indented code is off: in plain text, an indented line is just indented.
    return MarkdownIt("commonmark").enable("table").disable("code")


def _tree(text: str) -> SyntaxTreeNode:
    return SyntaxTreeNode(_markdown().parse(text))


def _sections(title: str, text: str) -> Iterator[tuple[tuple[str, ...], list[_Piece]]]:
    """Yield each section's heading path and its pieces; sections without text are left out."""
    headings: list[tuple[int, str]] = []
    pieces: list[_Piece] = []
    is_first = True
    for node in _tree(text).children:
        if node.type != "heading":
            pieces += _pieces(node)
            continue
        if pieces:
            yield tuple(heading for _, heading in headings), pieces
            pieces = []
        level, heading = int(node.tag[1]), _inline(node)
        headings = [(above, name) for above, name in headings if above < level]
        is_title = is_first and _plain(heading) == _plain(title)
        is_first = False
        if heading and not is_title:
            headings.append((level, heading))
    if pieces:
        yield tuple(heading for _, heading in headings), pieces


def _plain(text: str) -> str:
    return " ".join(WORD.findall(text.casefold()))


def _pieces(node: SyntaxTreeNode, indent: str = "") -> list[_Piece]:
    """Return a block's pieces; those of lists and tables each on a line of their own."""
    if node.type in {"paragraph", "heading"}:
        return _sentences(_inline(node), before="\n\n")
    if node.type in {"bullet_list", "ordered_list"}:
        start = int(node.attrs.get("start", 1))
        pieces = []
        for number, item in enumerate(node.children, start):
            pieces += _item(item, mark=f"{number}." if node.type == "ordered_list" else "-", indent=indent)
        return [_Piece(text=pieces[0].text, before="\n\n"), *pieces[1:]] if pieces and not indent else pieces
    if node.type == "table":
        rows = [" | ".join(_inline(cell) for cell in row.children) for row in node.walk() if row.type == "tr"]
        return _lines(rows)
    if node.type in {"fence", "code_block"}:
        return _lines(node.content.splitlines())
    if node.type == "html_block":
        return _sentences(_without_tags(node.content), before="\n\n")
    return [piece for child in node.children for piece in _pieces(child, indent)]


def _item(item: SyntaxTreeNode, *, mark: str, indent: str) -> list[_Piece]:
    """Return a list item: its own text in one piece, then what is listed below it."""
    own = [_inline(child) for child in item.children if child.type == "paragraph"]
    below = [child for child in item.children if child.type != "paragraph"]
    text = " ".join(part for part in own if part)
    pieces = [_Piece(text=f"{indent}{mark} {text}", before="\n", leads=text.endswith(":"))] if text else []
    for child in below:
        pieces += _pieces(child, indent + "  ")
    return pieces


def _lines(lines: Sequence[str]) -> list[_Piece]:
    filled = [line for line in lines if line.strip(" |")]
    return [_Piece(text=line, before="\n" if n else "\n\n") for n, line in enumerate(filled)]


def _inline(node: SyntaxTreeNode) -> str:
    """Return the text of a block's inline content, without marks, link targets and tags."""
    parts = []
    for child in node.walk():
        if child.type in {"text", "code_inline", "text_special"}:
            parts.append(child.content)
        elif child.type in {"softbreak", "hardbreak"} or (
            child.type == "html_inline" and child.content.lower().startswith("<br")
        ):
            parts.append(" ")
    return re.sub(r"\s+", " ", "".join(parts)).strip()


def _without_tags(source: str) -> str:
    return re.sub(r"\s+", " ", html.unescape(HTML_NOISE.sub(" ", source))).strip()


def _sentences(text: str, *, before: str) -> list[_Piece]:
    """Return a paragraph as sentences. Where an end is in doubt there is none."""
    starts = [0]
    for found in SENTENCE_END.finditer(text):
        if not ABBREVIATION.search(text[: found.end()].rstrip()):
            starts.append(found.end())
    sentences = [text[a:b].strip() for a, b in zip(starts, [*starts[1:], len(text)], strict=True)]
    return [
        _Piece(text=sentence, before=" " if n else before, leads=sentence.endswith(":"))
        for n, sentence in enumerate(sentence for sentence in sentences if sentence)
    ]


def _parts(pieces: list[_Piece]) -> Iterator[str]:
    """Yield a section's text in parts of about equal length, at most `MAX_WORDS` each unless one piece alone
    is longer. It is rather cut between paragraphs or list items than inside a paragraph."""
    while (total := sum(piece.n_words for piece in pieces)) > MAX_WORDS and len(pieces) > 1:
        wanted = total / ceil(total / MAX_WORDS)
        costs: dict[int, float] = {}
        n_words = 0
        for cut, (last, following) in enumerate(pairwise(pieces), 1):
            n_words += last.n_words
            if n_words > MAX_WORDS and costs:
                break
            inside = wanted / 4 if following.before == " " else 0
            costs[cut] = abs(n_words - wanted) + inside + (total if last.leads else 0)
        best = min(costs, key=costs.__getitem__)
        yield _joined(pieces[:best])
        pieces = pieces[best:]
    if pieces:
        yield _joined(pieces)


def _joined(part: Sequence[_Piece]) -> str:
    return part[0].text + "".join(piece.before + piece.text for piece in part[1:])
