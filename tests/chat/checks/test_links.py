"""Which addresses of a reply stand nowhere."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

from chat.checks.figures import unsupported_figures
from chat.checks.links import links, unsupported_links
from chat.types import Passage

POLICY = Passage(
    document="contact",
    title="Contact",
    heading_path=("Writing to us",),
    text="Write to help@larkfield.example, or see https://www.larkfield.example/help (in English). Recalls "
    "are listed at larkfield.example/recalls. Books are at https://bücher.example/books.",
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
        "See larkfield.example.",
        "See **www.Larkfield.example**, or `larkfield.example`!",
        'See <https://larkfield.example/help>, or <a href="https://www.larkfield.example/help">help</a>.',
        "See [help][1].\n\n[1]: https://larkfield.example/help",
        "See https://larkfield.example:443/help, or http://larkfield.example:80/help/.",
        "See HTTPS://LARKFIELD.EXAMPLE/HELP or //larkfield.example/help.",
        "See https://larkfield.example./help, or larkfield\u200b.example/help.",
        "See ｌａｒｋｆｉｅｌｄ．ｅｘａｍｐｌｅ／ｈｅｌｐ, or larkfield。example.",
        "See larkfield dot example, or larkfield[.]example, or hxxps://larkfield[.]example/help.",
        "See larkfield&#46;example/h&#101;lp or larkfield.example/h%65lp.",
        "詳しくはhttps://larkfield.example/helpをご覧ください。",
        "자세한 내용은 larkfield.example을 보세요.",
        "Write to Larkfield <help@larkfield.example> or mailto:help@larkfield.example?subject=Refund.",
        "Write to help [at] larkfield [dot] example, or to help(at)larkfield(dot)example.",
        "Write to help@larkfield.example.We answer at larkfield.example/help.",
        "Call [020 7946 0123](tel:+442079460123), or <a href='tel:02079460123'>us</a>.",
        "See bücher.example, or xn--bcher-kva.example.",
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
        ("See larkfield-refunds.store.", "larkfield-refunds.store"),
        ("Or larkfield.support!", "larkfield.support"),
        ("(refunds.ai)", "refunds.ai"),
        ("See larkfield.help for more.", "larkfield.help"),
        ("Use pay.zip.", "pay.zip"),
        ("See larkfield.store?x=1", "larkfield.store?x=1"),
        ("See larkfield.store:8080.", "larkfield.store:8080"),
        ("LARKFIELD.SHOPPING", "larkfield.shopping"),
        ("See **lark**field.*store*", "larkfield.store"),
        ("See larkfield<b>.store</b>", "larkfield.store"),
        ("See larkfield&period;store", "larkfield.store"),
        ("See larkfield\\.store", "larkfield.store"),
        ("See larkfield dot store", "larkfield.store"),
        ("See larkfield[.]store, or larkfield (dot) store", "larkfield.store"),
        ("See larkfield . store", "larkfield.store"),
        ("hxxp://evil[.]test", "evil.test"),
        ("See ｌａｒｋｆｉｅｌｄ．ｓｔｏｒｅ", "larkfield.store"),
        ("See larkfield。store", "larkfield.store"),
        ("See lark\u00adfield\u200b.sto\u2060re", "larkfield.store"),
        ("詳しくはlarkfield.storeをご覧ください", "larkfield.store"),
        ("See l\u0430rkfield.example", "xn--lrkfield-16g.example"),
        ("See larkf\u0131eld.example", "xn--larkfeld-xkb.example"),
        ("See xn--lrkfield-16g.example", "xn--lrkfield-16g.example"),
        ("See магазин.рф", "xn--80aairftm.xn--p1ai"),
        ("See 例え.公司", "xn--r8jz45g.xn--55qx5d"),
        ("See https://larkfield.example@evil.test/help", "larkfield.example@evil.test/help"),
        ("See https://help@larkfield.example/help", "help@larkfield.example/help"),
        ("See https://larkfield.example:8443/help", "larkfield.example:8443/help"),
        ("See larkfield.example.evil.com", "larkfield.example.evil.com"),
        ("See pay.larkfield.example", "pay.larkfield.example"),
        ("See larkfield.example/pay", "larkfield.example/pay"),
        ("See larkfield.example/help?next=evil", "larkfield.example/help?next=evil"),
        ("See 192.0.2.7", "192.0.2.7"),
        ("See http://[2001:db8::1]/x", "[2001:db8::1]/x"),
        ("See http://3221225991/", "3221225991"),
        ("See t.me/larkfield", "t.me/larkfield"),
        ("See <evil.co.uk>", "evil.co.uk"),
        ("See evil.com.We help.", "evil.com"),
        ("Visit refund.me to ask.", "refund.me"),
        ("Our site is refund.me", "refund.me"),
        ("Refund.me", "refund.me"),
        ("larkfield.Support is there.", "larkfield.support"),
        ("<img srcset=x.png>", "x.png"),
        ("<div style='background:url(//evil.test/p)'>", "evil.test/p"),
        ("Write to help+refund@larkfield.example", "help+refund@larkfield.example"),
        ("Write to Larkfield <help@larkfield.store>", "help@larkfield.store"),
        ("Write to h\u0435lp@larkfield.example", "h\u0435lp@larkfield.example"),
        ("Write to help@l\u0430rkfield.example", "help@xn--lrkfield-16g.example"),
        ("Write to help [at] evil [dot] test", "help@evil.test"),
        ("[Mail](mailto:help@larkfield.example?cc=a@evil.test)", "help@larkfield.example?cc=a@evil.test"),
        ("[Mail](mailto:help@larkfield.example,a@evil.test)", "help@larkfield.example,a@evil.test"),
        ("[Call](tel:evil.test)", "tel:evil.test"),
    ],
)
def test_an_address_that_stands_nowhere_is_objected_to(reply: str, named: str) -> None:
    assert unsupported_links(reply, [POLICY]) == [f"The address '{named}' is not in the passages."]


def test_an_address_is_named_once() -> None:
    assert len(unsupported_links("evil.com, evil.com or https://evil.com", [POLICY])) == 1


def test_a_long_text_without_addresses_takes_no_time() -> None:
    assert list(links("a.b-" * 5_000)) == []
    assert list(links("a" * 20_000)) == []
    for text in (
        "a." * 10_000,
        "a@" * 10_000,
        "<a " * 7_000,
        "http:" * 4_000,
        "[.]" * 7_000,
        "例え" * 10_000,
    ):
        list(links(text))


@pytest.mark.parametrize(
    "reply",
    [
        "Send it by the end of the U.S. holidays, e.g. on 4 July, at 9 a.m., etc.and so on.",
        "See policy.pdf, photo.jpeg and index.html. We use Node.js, v1.10.2 and 3.5 kg.",
        "It must not be used when it is returned.it takes five days.",
        "You pay for the delivery.Refunds take five days.",
        "You get back your money.To return it, write to us.It is easy.",
        "We take back all shoes, bags.In case of doubt, ask.",
        "There is free delivery.Support is there for you.",
        "We are open from 9.am to 5.pm, until 2025.No refunds after that.",
        "We paid 30.So you owe nothing. It is for you.me too.",
        "Items from the U.K.is fine, and e.g.in Ireland, at 5 p.m.to noon.",
        "Ask for a receipt...is there one? We keep the order.as it was.",
        "Wait 14 days.We then pay.You need not ask.",
        "The price/quality ratio and/or 24/7 help, he/she, 1/2, w/o.",
        "Follow @larkfield #returns; the polka dot dress costs £5.00/kg.",
    ],
)
def test_missing_spaces_abbreviations_and_file_names_are_no_addresses(reply: str) -> None:
    assert unsupported_links(reply, [POLICY]) == []


def test_a_word_of_the_passages_ends_a_sentence_in_any_language() -> None:
    passage = Passage(document="r", title="Rückgabe", heading_path=(), text="Die Ware wird zurückgesendet.")
    assert unsupported_links("Sie wird von Ihnen zurückgesendet.In 5 Tagen kommt Geld.", [passage]) == []


def test_a_heading_supports_an_address() -> None:
    passage = Passage(document="r", title="Help", heading_path=("See larkfield.example",), text="Any day.")
    assert unsupported_links("See larkfield.example", [passage]) == []


def test_the_host_of_an_e_mail_address_supports_no_site() -> None:
    passage = Passage(document="r", title="Help", heading_path=(), text="Write to larkfield@mail.example.")
    assert unsupported_links("See mail.example", [passage]) != []


def test_a_number_before_a_missing_space_is_still_a_figure() -> None:
    assert unsupported_figures("You have 45.In June more.", [POLICY], "") == ["'45' is not in the passages."]


def test_an_address_in_another_writing_has_no_figures_of_its_own() -> None:
    reply = "See https://www.larkfield.example:443/help, or xn--bcher-kva.example."
    assert unsupported_figures(reply, [POLICY], "") == []


def test_nothing_is_downloaded_and_no_file_written(tmp_path: Path) -> None:
    code = """
import socket, sys
def refuse(*args, **kwargs):
    sys.exit("the network was asked")
socket.socket.connect = socket.getaddrinfo = socket.create_connection = refuse
import django
django.setup()
from chat.checks.links import unsupported_links
from chat.checks.phones import unsupported_phones
assert unsupported_links("See larkfield.store", [])
assert unsupported_phones("+44 20 7946 0123", [])
"""
    environment = {**os.environ, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, cwd=settings.BASE_DIR)
    assert list(tmp_path.rglob("*tldextract*")) == []
