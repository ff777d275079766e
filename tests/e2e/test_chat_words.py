"""How the chat page words numbers, and every status and reason: its own module, run in the browser."""

import pytest
from playwright.sync_api import Page

from cachemgmt.engine.reasons import REASONS
from chat.http.words import STALE, STATUSES
from tests.e2e.conftest import Product

CALL = "([name, value]) => import('/static/chat/words.js').then((words) => words[name](value))"


@pytest.fixture
def words(browser_page: Page, product: Product) -> Page:
    browser_page.goto(product.url)
    return browser_page


WORDINGS = [
    ("money", None, "an unknown amount"),
    ("money", "0", "$0"),
    ("money", "0.0617", "$0.0617"),
    ("money", "0.000043", "$0.000043"),
    ("money", "0.0000000043", "under $0.000001"),
    ("money", "1.50", "$1.5"),
    ("money", "100", "$100"),
    ("saved", {"saved_usd": "0", "saved_s": 0}, "saved $0"),
    ("saved", {"saved_usd": "0", "saved_s": 0.83}, "saved 0.8 s"),
    ("saved", {"saved_usd": "0.0617", "saved_s": 12.3}, "saved 12 s and $0.0617"),
    ("saved", {"saved_usd": None, "saved_s": 140}, "saved 2 min and an unknown amount"),
    ("milliseconds", 1.24, "1.2 ms"),
    ("milliseconds", 11873.2, "11,873 ms"),
    ("duration", 89, "89 s"),
    ("duration", 1740, "29 min"),
    ("duration", 86400, "24 h"),
    ("duration", 604800, "7 days"),
    ("reason", "some-new-reason", "some new reason"),
    ("level", "response", "level response: one look-up"),
    ("level", "some-new-level", "some-new-level"),
    *[("reason", name, said) for name, said in REASONS.items()],
    *[("status", {"status": name, "reason": "absent"}, said) for name, said in STATUSES.items()],
    *[("status", {"status": "stale", "reason": why or None}, said) for why, said in STALE.items()],
    ("status", {"status": "some-new-status", "reason": None}, "some-new-status"),
]


def test_numbers_and_reasons_are_worded(words: Page) -> None:
    for name, value, said in WORDINGS:
        assert words.evaluate(CALL, [name, value]) == said, (name, value)


SHAPES = [
    ("One.\nTwo.\n\nThree.", "<p>One.<br>Two.</p><p>Three.</p>"),
    ("Do:\n- this\n- that", "<p>Do:</p><ul><li>this</li><li>that</li></ul>"),
    ("1. Open it.\n2. Close it.", "<ol><li>Open it.</li><li>Close it.</li></ol>"),
    ("**Within** 30 days, 2 ** 3", "<p>**Within** 30 days, 2 ** 3</p>"),
    ("**Within** 30 days", "<p><strong>Within</strong> 30 days</p>"),
    ("<b>no</b> & so", "<p>&lt;b&gt;no&lt;/b&gt; &amp; so</p>"),
]
MAKE = """
(text) => import('/static/chat/elements.js')
  .then(({ element, prose }) => element('div', {}, prose(text)).innerHTML)
"""


def test_texts_become_paragraphs_and_lists_and_never_markup(words: Page) -> None:
    for text, shape in SHAPES:
        assert words.evaluate(MAKE, text) == shape
