"""The addresses in a reply, of the web and of e-mail: each must stand in the passages.

A customer may be led by them to somebody who pretends to be the company, and where a reply is shown as
Markdown or HTML, the address of a picture can carry what he wrote to whoever owns it. Comparing needs no
model, and no text can talk it round. What stands in the question does not count: it is the customer's word.

Whatever has a scheme, stands in a target's place in Markdown or HTML, or has an @ is an address; a bare name
is one if it has a public suffix. Addresses are compared whole, after their writings have been made one.
"""

import html
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from chat.checks.as_read import as_read
from chat.checks.hosts import has_suffix, is_two_sentences, plain_host, words_of
from chat.types import Passage

_REST = r"""[^\s<>"'()\[\]。、「」“”«»]"""
_LINK = re.compile(
    rf"""
      (?:(?<![a-z\d])[a-z][a-z\d+.-]{{0,20}}:|(?<![\w:/]))//(?:[^\s/@\[\]]*\[[\da-f:.]+\])?{_REST}*
    | \b(?:javascript|data|vbscript|file|blob):[^\s<>"')]+
    | (?:(?<=\]\()|(?<=\]:))\ *<?(?P<markdown>[^\s)>]+)
    | \b(?:href|src|srcset|action|formaction|background|poster)\ *=\ *["']?(?P<attribute>[^\s"'>]+)
    | \burl\(["'\ ]*(?P<css>[^\s"')]+)
    | (?P<email>[^\s@<>()\[\]:;,"“”]{{1,64}}@[^\W_][\w.-]*)
    | (?P<bare>(?<![\w.-])[\w-]+(?:\.[\w-]+)+)(?P<after>(?::\d{{1,5}}(?!\d))?(?:[/?\#]{_REST}*)?)
    """,
    re.VERBOSE | re.IGNORECASE,
)
_PHONE_LINK = re.compile(r"(?:tel|sms|callto):(?://)?[\d+(). /;=ext-]+", re.IGNORECASE)
_PUNCTUATION = " .,;:!?*_\"'“”‘’«»。、)]}>"
_SCHEME = re.compile(r"(?:(?P<scheme>[a-z][a-z\d+.-]*):)?//(?P<place>.*)", re.IGNORECASE | re.DOTALL)
_WEB = frozenset([None, "http", "https", "hxxp", "hxxps"])
_PLACE = re.compile(
    r"(?P<user>[^/?#]*@)?(?P<host>\[[^\]]*\]|[^/?#:]*)(?::(?P<port>\d+))?(?P<page>.*)", re.DOTALL
)

_TAG = re.compile(r"</?[a-z][^<>]*>|<!--.*?-->", re.IGNORECASE | re.DOTALL)
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
"""Scripts without spaces, or with endings on foreign words: a Latin address ends at their first letter."""
_DISGUISES = [
    (re.compile(r"\\(?=[!-/:-@\[-`{-~])|[*`]"), ""),  # marks that Markdown does not show
    (re.compile(r"(?<=[a-z\d])。(?=[a-z\d])", re.IGNORECASE), "."),  # browsers take it for a dot
    (re.compile(r" ?[\[({] ?(?:\.|dot|punkt|point|punto) ?[\])}] ?", re.IGNORECASE), "."),
    (re.compile(r" ?[\[({] ?(?:@|at) ?[\])}] ?", re.IGNORECASE), "@"),
    (re.compile(r"(?<=[^\W\d_]) (?:dot|\.) (?=[^\W\d_])", re.IGNORECASE), "."),
    (re.compile(rf"(?<=[!-\-0-~])(?=[{_UNSPACED}])|(?<=[{_UNSPACED}])(?=[a-z\d])", re.IGNORECASE), " "),
]


@dataclass(frozen=True, slots=True)
class Link:
    """An address: `address` is the same for all its writings, `start` and `end` are where it stands.

    `bare_name` is a name that nothing but its suffix shows to be a host.
    """

    address: str
    start: int
    end: int
    bare_name: str | None


def unsupported_links(reply: str, passages: Sequence[Passage]) -> list[str]:
    """Return an objection for each address in `reply` that stands in none of `passages`. Pure.

    The bare host of a page that stands there is supported, as it is the company's own; another page is not.
    """
    texts = [_undisguised(" \n ".join([one.title, *one.heading_path, one.text])) for one in passages]
    known = {link.address for text in texts for form in _forms(text) for link in _found(form)}
    known |= {re.split(r"[/?#]", address, maxsplit=1)[0] for address in known if "@" not in address}
    words = words_of(texts)
    strange: dict[str, None] = {}
    for form in _forms(_undisguised(reply)):
        for link in _found(form):
            is_known = link.address in known
            if not is_known and not (
                link.bare_name and is_two_sentences(link.bare_name, form[: link.start], words)
            ):
                strange[link.address] = None
    return [f"The address '{address}' is not in the passages." for address in strange]


def links(text: str) -> Iterator[str]:
    """Yield whatever may be an address in a text, without what may be left out when one is written."""
    for form in _forms(_undisguised(text)):
        yield from (link.address for link in _found(form))


def without_links(text: str) -> str:
    """Return the text as a customer reads it, with a gap for each address.

    "45.In" stays: it may be two sentences, and its number is to be checked.
    """
    plain = _undisguised(text)
    for link in reversed(list(_found(plain))):
        if link.bare_name and is_two_sentences(link.bare_name, plain[: link.start], frozenset()):
            continue
        plain = f"{plain[: link.start]} ; {plain[link.end :]}"
    return plain


def _undisguised(text: str) -> str:
    plain = as_read(html.unescape(text))
    for pattern, instead in _DISGUISES:
        plain = pattern.sub(instead, plain)
    return plain


def _forms(text: str) -> list[str]:
    """Return the text, and the text as HTML shows it: tags can stand in the middle of a name."""
    return [text, _TAG.sub("", text)] if _TAG.search(text) else [text]


def _found(text: str) -> Iterator[Link]:
    for match in _LINK.finditer(text):
        written = next(filter(None, match.group("markdown", "attribute", "css")), match.group())
        if _PHONE_LINK.fullmatch(written):
            continue
        name = match["bare"]
        if name and not (has_suffix(name) or _is_written_as_address(name, match["after"])):
            continue
        address = _address(written.strip(_PUNCTUATION))
        if address:
            yield Link(address, match.start(), match.end(), name if name and not match["after"] else None)


def _is_written_as_address(name: str, after: str) -> bool:
    return name.casefold().startswith("www.") or (after.startswith("/") and name[-2:].isalpha())


def _address(written: str) -> str:
    """Return the one form of an address: "https://www.Larkfield.example/Help/" is larkfield.example/help."""
    with_scheme = _SCHEME.fullmatch(written)
    if with_scheme and (with_scheme["scheme"] or "http").casefold() in _WEB:
        return _web_address(with_scheme["place"])
    if with_scheme or re.match(r"[a-z]+:(?!\d)", written, re.IGNORECASE):
        if not written.casefold().startswith("mailto:"):
            return written.casefold()
        receiver, _, fields = written[len("mailto:") :].partition("?")
        return _address(receiver if "@" not in fields and "%" not in fields else f"{receiver}?{fields}")
    return _web_address(written)


def _web_address(place: str) -> str:
    parts = _PLACE.fullmatch(place)
    if parts is None:
        return place.casefold()
    host = plain_host(parts["host"])
    port = f":{parts['port']}" if parts["port"] and parts["port"] not in {"80", "443"} else ""
    page = unquote(parts["page"]).casefold().rstrip("/")
    return f"{(parts['user'] or '').casefold()}{host}{port}{page}"
