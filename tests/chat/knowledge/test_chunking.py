"""Documents are cut where their authors would."""

from hypothesis import given
from hypothesis import strategies as st

from chat.knowledge.chunking import MAX_WORDS, WORD, Chunk, chunks_of, title_from_key, title_in


def paths(text: str, title: str = "Returns") -> list[tuple[str, ...]]:
    return [chunk.heading_path for chunk in chunks_of(title, text)]


def texts(text: str) -> list[str]:
    return [chunk.text for chunk in chunks_of("Returns", text)]


def sentence(n: int, n_words: int = 20) -> str:
    return f"Sentence {n} " + "word " * (n_words - 3) + "end."


def test_each_section_knows_the_headings_above_it() -> None:
    text = "# Returns\nIntro.\n## Costs\nSome.\n### UK\nFree.\n## Time\n30 days."
    assert chunks_of("Returns", text) == [
        Chunk(heading_path=(), text="Intro."),
        Chunk(heading_path=("Costs",), text="Some."),
        Chunk(heading_path=("Costs", "UK"), text="Free."),
        Chunk(heading_path=("Time",), text="30 days."),
    ]


def test_a_first_heading_that_is_not_the_title_stays() -> None:
    assert paths("# Our fair policy\nText.\n## Costs\nText.") == [
        ("Our fair policy",),
        ("Our fair policy", "Costs"),
    ]


def test_a_later_heading_like_the_title_stays() -> None:
    assert paths("## Time\nText.\n## Returns\nText.") == [("Time",), ("Returns",)]


def test_underlined_headings_count() -> None:
    assert paths("Costs\n=====\nText.\n\nUK\n--\nText.") == [("Costs",), ("Costs", "UK")]


def test_headings_in_code_do_not_count() -> None:
    assert chunks_of("Returns", "## A\n```\n# not a heading\n```") == [
        Chunk(heading_path=("A",), text="# not a heading")
    ]


def test_front_matter_is_no_text() -> None:
    text = '---\ntitle: "Our returns"\ntags:\n  - a\n---\n# Sending back\nText.'
    assert title_in(text) == "Our returns"
    assert paths(text, "Our returns") == [("Sending back",)]


def test_a_rule_is_no_front_matter() -> None:
    assert texts("---\n\nFirst, some words.\n\n---\n\nText.") == ["First, some words.\n\nText."]


def test_the_title_is_the_first_heading_without_front_matter() -> None:
    assert title_in("Text.\n\n## The *first* one\n\n# Other") == "The first one"
    assert title_in("No heading.") is None


def test_a_title_can_be_made_of_a_key() -> None:
    assert title_from_key("shipping/to-the_uk.md") == "To the uk"
    assert title_from_key("refund/index.md") == "Refund"
    assert title_from_key("index.md") == "Index"


def test_marks_and_link_targets_are_dropped() -> None:
    text = "See [our *terms*](https://example.com/a) and `code`, <b>bold</b>&nbsp;![a box](box.png)."
    assert texts(text) == ["See our terms and code, bold a box."]
    assert texts("Write to [us]({{ site.email }}).") == ["Write to us."]


def test_html_blocks_become_their_text() -> None:
    assert texts("<div>\n<p>Fees &amp; costs</p><!-- note --><script>x()</script>\n</div>\n") == [
        "Fees & costs"
    ]


def test_lists_stay_readable() -> None:
    text = "Not returnable:\n\n* Coffee\n* Plants\n  1. Live\n  2. Cut\n"
    assert texts(text) == ["Not returnable:\n\n- Coffee\n- Plants\n  1. Live\n  2. Cut"]


def test_tables_become_lines() -> None:
    assert texts("| Country | Cost |\n|---|---|\n| UK | £3 |\n") == ["Country | Cost\nUK | £3"]


def test_plain_text_has_no_headings_and_may_be_indented() -> None:
    assert chunks_of("Notes", "    First line\n    goes on.\n\nSecond.") == [
        Chunk(heading_path=(), text="First line goes on.\n\nSecond.")
    ]


def test_a_document_without_text_has_no_passages() -> None:
    assert texts("") == texts("# Returns\n\n## Empty\n") == []


def test_long_sections_are_cut_into_like_parts_between_sentences() -> None:
    parts = texts(" ".join(sentence(n) for n in range(20)))
    lengths = [len(WORD.findall(part)) for part in parts]
    assert len(parts) == 3
    assert max(lengths) <= MAX_WORDS
    assert max(lengths) - min(lengths) <= 40
    assert all(part.startswith("Sentence") and part.endswith("end.") for part in parts)


def test_a_list_stays_with_the_line_that_introduces_it() -> None:
    text = f"{sentence(1, 100)}\n\nNot returnable:\n\n" + "\n".join(f"- {sentence(n, 40)}" for n in range(4))
    assert not any(part.endswith("Not returnable:") for part in texts(text))


def test_one_long_sentence_stays_whole() -> None:
    text = "word " * 500 + "end."
    assert texts(text) == [text]


def test_abbreviations_end_no_sentence() -> None:
    filler = sentence(1, 170)
    parts = texts(f"{filler} Write to e.g. Ms. Smith of Acme Inc. London if you need more than that, please.")
    assert parts[-1].startswith("Write to e.g. Ms. Smith of Acme Inc. London")


def test_languages_without_spaces_are_cut_too() -> None:
    parts = texts("これは返品についての文です。" * 40)
    assert len(parts) > 1
    assert all(part.endswith("。") for part in parts)


def test_line_ends_and_byte_order_marks_do_not_matter() -> None:
    text = "\ufeff---\r\ntitle: A\r\n---\r\n# A\r\nText.\r\n"
    assert chunks_of("A", text) == [Chunk(heading_path=(), text="Text.")]


@given(st.text(alphabet="ab.#-*>|`<\n 1!。", max_size=300))
def test_any_text_can_be_cut(text: str) -> None:
    for chunk in chunks_of("Title", text):
        assert chunk.text.strip()
