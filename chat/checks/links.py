"""The addresses in a reply, of the web and of e-mail: each must stand in the passages.

A customer may be led by them to somebody who pretends to be the company, and where a reply is shown as
Markdown or HTML, the address of a picture can carry what he wrote to whoever owns it. Comparing needs no
model, and no text can talk it round. What stands in the question does not count: it is the customer's word.
"""

import re
from collections.abc import Iterator, Sequence

from chat.types import Passage

_TOP = (
    "app|biz|cn|co|com|de|dev|edu|eu|example|fr|gov|info|io|link|me|net|online|org|ru|shop|site|top|uk|us|xyz"
)
_LINK = re.compile(
    r"""
      \b[a-z][a-z\d+.-]{0,20}://[^\s<>"'()\[\]]+           # with a scheme
    | (?<![\w:/])//[^\s<>"'()\[\]]+                        # with the page's own scheme
    | \b(?:javascript|data|mailto|vbscript):[^\s<>"')]+
    | (?<=\]\()[^\s)]+ | (?<=\]:)\ *[^\s]+                 # Markdown
    | [^\s@<>()\[\]]{1,64}@[^\s@<>()\[\]]+                 # e-mail
    | \bwww\.[^\s<>"'()\[\]]+
    | \b(?:[a-z\d-]{1,63}\.){1,8}(?:[a-z]{2,}/[^\s<>"'()\[\]]*|(?:TOP)\b)
    """.replace("TOP", _TOP),
    re.VERBOSE,
)
_BEFORE_HOST = re.compile(r"^(?:(?:https?:)?//)?(?:www\.)?|^mailto:")


def unsupported_links(reply: str, passages: Sequence[Passage]) -> list[str]:
    """Return an objection for each address in `reply` that stands in none of `passages`. Pure."""
    known = {link for passage in passages for link in links(" \n ".join([passage.title, passage.text]))}
    strange = dict.fromkeys(link for link in links(reply) if link not in known)
    return [f"The address '{link}' is not in the passages." for link in strange]


def links(text: str) -> Iterator[str]:
    """Yield a text's addresses, without what may be left out when one is written ("https://www.")."""
    for found in _LINK.finditer(text.casefold()):
        bare = found.group().strip(" .,;:!?*_\"'“”‘’«»")
        yield _BEFORE_HOST.sub("", bare).rstrip("/")
