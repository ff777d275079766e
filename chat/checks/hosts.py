"""Which names are hosts: those that end in a public suffix, and are not two sentences without a space."""

import re
from collections.abc import Iterable

import idna
import tldextract

from chat.judging.privacy import common_words

_SUFFIXES = tldextract.TLDExtract(cache_dir=None, suffix_list_urls=(), extra_suffixes=("example", "onion"))
"""The list that comes with the package: nothing is downloaded and no file is written. Read at first use.
Private suffixes (github.io) are left out: with them, the bare name of such a host would not be one."""
MAX_LENGTH = 253  # RFC 1035, without the last dot

_BEGINNINGS = "am as at be by do here how in is it me my no now one pm so to us you"
_CAPITALISED_BEGINNINGS = "al au da de du es et il im la le lo ma ne se si su un"
"""Suffixes that are words a sentence begins with: in English, and in its neighbours if capitalised."""
_NEVER_BEGIN = "biz com edu gov inc info ltd net org"
_PRONOUNS = "her him it me that them these this those us you"
_LEADS = """
    address at browse by click from go here link online open page portal see site this through to under url
    use using via visit web website
"""
"""Words after which a name is an address: "visit refund.me"."""
_WORD_BEFORE = re.compile(r"([\w'’%)]+)(?: is)?[,;]? $")


def load_suffixes() -> None:
    """Read the list of suffixes, which takes a fifth of a second, before somebody waits for it."""
    _is_host(["a", "example"])


def has_suffix(name: str) -> bool:
    """Return whether a name with dots, or the name without its last labels, ends in a public suffix, or is an
    IPv4 address. Without: whoever puts a word behind a host must not hide it."""
    if len(name) > MAX_LENGTH:
        return False
    labels = name.strip(".").split(".")
    return _is_ipv4(labels) or any(_is_host(labels[:n]) for n in range(len(labels), 1, -1))


def is_two_sentences(name: str, before: str, words: frozenset[str]) -> bool:
    """Return whether a name is the end of one sentence and the beginning of the next: "returned.It takes".

    It is if the part before the last dot is a word, a number or an abbreviation; the part after it begins
    sentences ("it", "in"), or is a capitalised everyday word ("Support"); and `before`, the text in front of
    it, ends in a word that does not lead to an address ("visit"). `words` are the everyday words.
    """
    first, _, second = name.rpartition(".")
    is_short = first.isdigit() or all(len(part) == 1 for part in first.split("."))
    if not is_short and first.casefold() not in words:
        return False
    if not _begins_sentences(second):
        return False
    if is_short or first.casefold() in _PRONOUNS.split():
        return True
    word = _WORD_BEFORE.search(before)
    return word is not None and word[1].casefold() not in _LEADS.split()


def words_of(texts: Iterable[str]) -> frozenset[str]:
    """Return the everyday words: common English ones, and those the texts have in lower case, apart from
    names with dots."""
    own = re.findall(r"(?<![\w@./-])[^\W\d_]+(?![\w@/-]|\.\w)", " ".join(texts))
    return common_words() | {word for word in own if word.islower()}


def plain_host(host: str) -> str:
    """Return the one form of a host: in lower case, other scripts in Punycode, which shows letters that only
    look like Latin ones; without "www.", and without a sentence's first word if no suffix is written so."""
    head, _, last = host.rstrip(".").rpartition(".")
    if last.istitle() and not _is_host([last, last]) and _is_host(head.split(".")):
        host = head
    try:
        host = idna.encode(host, uts46=True).decode("ascii")
    except UnicodeError:
        host = host.casefold()
    return host.rstrip(".").removeprefix("www.")


def _begins_sentences(word: str) -> bool:
    lower = word.casefold()
    if lower in _BEGINNINGS.split():
        return True
    is_everyday = len(word) > 2 and lower in common_words() and lower not in _NEVER_BEGIN.split()
    return word.istitle() and (is_everyday or lower in _CAPITALISED_BEGINNINGS.split())


def _is_host(labels: list[str]) -> bool:
    if len(labels) < 2 or not all(labels):
        return False
    found = _SUFFIXES.extract_str(".".join(labels))
    return bool(found.suffix and found.domain)


def _is_ipv4(labels: list[str]) -> bool:
    return len(labels) == 4 and all(label.isdecimal() and int(label[:4]) < 256 for label in labels)
