"""Text as a customer reads it."""

import pytest

from chat.checks.as_read import as_read


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("０２０ ７９４６", "020 7946"),
        ("٠٢٠ १२३ ๔๕", "020 123 45"),
        ("𝟎𝟐𝟎 𝐞𝐯𝐢𝐥．ｃｏｍ", "020 evil.com"),
        ("020\u00a07946\u202f0123\u20071", "020 7946 0123 1"),
        ("020–7946‑0123−1", "020-7946-0123-1"),
        ("larkfield\u200b.\u2060store\u00ad \u200dx\u200c", "larkfield.store x"),
        ("30 days² and 1½ hours", "30 days² and 1½ hours"),
        ("Cafe\u0301, 5 ㎏", "Café, 5 kg"),
    ],
)
def test_what_looks_the_same_is_the_same(text: str, seen: str) -> None:
    assert as_read(text) == seen
    assert as_read(seen) == seen
