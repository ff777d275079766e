"""The provider that answers with the policies' own sentences."""

from itertools import permutations

import pytest

from benchmarks import judgement
from cachemgmt.api import ProviderCall
from chat.knowledge.embedders import HashedWordsEmbedder
from chat.knowledge.minilm import MiniLMEmbedder
from chat.providers.extractive import ExtractiveProvider
from chat.providers.quoting import quote, sentences_of, source_line, unquoted
from chat.types import Classification, Passage, Reply, Turn, Verdict
from tests.fakes.hashed import hashed_provider

needs_minilm = pytest.mark.skipif(
    not MiniLMEmbedder.is_installed(), reason="the MiniLM weights are not installed"
)

DELIVERY = Passage(
    document="delivery",
    title="Delivery",
    heading_path=("Prices",),
    text="Standard delivery costs £4.20. It takes 3 working days, e.g. from Monday to Thursday. "
    "See shop.example/d.",
    score=0.6,
)
REFUNDS = Passage(
    document="refunds",
    title="Refunds",
    heading_path=("In short",),
    text="Every unused mug is refunded in full. Refunds are paid within 5 days. Opened tea is not refunded.",
    score=0.5,
)
EXCLUDED = Passage(
    document="returns",
    title="Returns",
    heading_path=(),
    text="We cannot take back:\n\n- opened tea\n- plants, unless they arrive wilted\n\n"
    "Everything else is fine.",
    score=0.4,
)
ALL = (DELIVERY, REFUNDS, EXCLUDED)


class Books:
    """Keeps what was booked."""

    def __init__(self) -> None:
        self.calls: list[ProviderCall] = []

    def __call__(self, call: ProviderCall) -> None:
        self.calls.append(call)


def classify(message: str, *history: Turn) -> Classification:
    return hashed_provider().classify(message=message, history=history, book=Books())


def generate(
    question: str,
    passages: tuple[Passage, ...] = ALL,
    objections: tuple[str, ...] = (),
    book: Books | None = None,
) -> Reply:
    return hashed_provider().generate(
        question=question,
        context=(),
        intent="other",
        language="en",
        passages=passages,
        objections=objections,
        book=book or Books(),
    )


def validate(reply: str, passages: tuple[Passage, ...] = ALL) -> Verdict:
    return hashed_provider().validate(question="?", context=(), reply=reply, passages=passages, book=Books())


def user(text: str) -> Turn:
    return Turn(role="user", content=text)


# sentences ------------------------------------------------------------------------------------------------


def test_sentences_end_neither_at_abbreviations_nor_in_numbers_and_addresses() -> None:
    assert [sentence.text for sentence in sentences_of(DELIVERY.text)] == [
        "Standard delivery costs £4.20.",
        "It takes 3 working days, e.g. from Monday to Thursday.",
        "See shop.example/d.",
    ]


def test_list_items_keep_the_line_they_cannot_be_understood_without() -> None:
    sentences = sentences_of(EXCLUDED.text)
    assert [(one.text, one.lead) for one in sentences] == [
        ("We cannot take back:", None),
        ("opened tea", "We cannot take back:"),
        ("plants, unless they arrive wilted", "We cannot take back:"),
        ("Everything else is fine.", None),
    ]
    assert quote(EXCLUDED, [sentences[2]]) == (
        "From “Returns”: We cannot take back:\n- plants, unless they arrive wilted"
    )


def test_a_tables_row_is_quoted_with_its_head() -> None:
    table = Passage(
        document="d", title="Rates", heading_path=(), text="Country | Price\nFrance | £9\nSpain | £11"
    )
    row = sentences_of(table.text)[2]
    assert quote(table, [row]) == "From “Rates”: Country | Price\nSpain | £11"


@pytest.mark.parametrize("passage", ALL)
def test_every_quote_is_recognised_as_one(passage: Passage) -> None:
    sentences = sentences_of(passage.text)
    for start in range(len(sentences)):
        for chosen in (sentences[start:], sentences[start::2], sentences[start : start + 1]):
            assert unquoted(quote(passage, chosen), [passage]) == []


def test_quotes_of_the_sample_policies_are_recognised() -> None:
    for path in sorted((judgement.ROOT / "sample" / "policies").glob("*.md")):
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("#"):
                continue
            passage = Passage(document=path.stem, title=path.stem, heading_path=("Any",), text=line)
            sentences = sentences_of(line)
            if sentences:
                assert unquoted(quote(passage, sentences), [passage]) == [], line


# classify -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "intent"),
    [
        ("hello", "greeting"),
        ("thank you very much", "thanks"),
        ("goodbye", "goodbye"),
        ("ok", "thanks"),
        ("no, that's all", "thanks"),
        ("i want to talk to a person", "talk_to_person"),
        ("where is my order", "order_status"),
        ("qwrtz plgh", "other"),
    ],
)
def test_a_message_has_the_intent_of_the_nearest_examples(message: str, intent: str) -> None:
    found = classify(message)
    assert found.intent == intent
    assert 0 <= found.confidence <= 1
    assert found.self_contained is None


def test_an_intent_about_ones_own_affairs_is_personal() -> None:
    assert classify("where is my order").is_personal
    assert not classify("hello").is_personal


def test_a_leaning_message_is_read_together_with_the_customers_last_one() -> None:
    history = (user("what does delivery to germany cost"), Turn(role="assistant", content="From …"))
    found = classify("and to france", *history)
    assert found.leans_on_context
    assert found.self_contained == "what does delivery to germany cost and to france"


def test_a_message_that_stands_alone_is_left_as_it_is() -> None:
    history = (user("what does delivery to germany cost"),)
    assert classify("how long does a refund take", *history).self_contained == "how long does a refund take"


def test_thanks_stay_thanks_in_a_conversation() -> None:
    found = classify("thanks", user("what does delivery to germany cost"))
    assert (found.intent, found.self_contained) == ("thanks", "thanks")


def test_what_is_hardly_english_has_no_language() -> None:
    assert classify("how long does delivery take").language == "en"
    assert classify("où puis-je renvoyer mon colis").language == "und"


# generate -------------------------------------------------------------------------------------------------


def test_a_reply_quotes_word_for_word_and_names_its_source() -> None:
    reply = generate("What does standard delivery cost?")
    assert reply.text.startswith("From “Delivery”, Prices: Standard delivery costs £4.20.")
    assert reply.cited[0] == 0
    assert validate(reply.text).is_supported


def test_a_reply_does_not_depend_on_the_passages_order() -> None:
    texts = set()
    for order in permutations(ALL):
        reply = generate("Is opened tea refunded?", order)
        texts.add(reply.text)
        assert [source_line(order[n]) for n in reply.cited] == [
            line.split(":")[0] + ":" for line in reply.text.splitlines() if line.startswith("From “")
        ]
    assert len(texts) == 1


def test_a_question_for_a_policy_as_a_whole_gets_its_leading_sentences() -> None:
    passages = (REFUNDS,)
    reply = generate("What's your refund policy?", passages)
    assert reply.text == f"From “Refunds”, In short: {REFUNDS.text}"


def test_what_was_objected_to_is_not_quoted_again() -> None:
    objection = "'Standard delivery costs £4.20.' does not stand in the passages."
    assert "£4.20" not in generate("What does standard delivery cost?", objections=(objection,)).text


def more(question: str, told: str) -> str:
    context = (user("How are refunds paid?"), Turn(role="assistant", content=told))
    provider = hashed_provider()
    return provider.generate(
        question=question,
        context=context,
        intent="other",
        language="en",
        passages=(REFUNDS,),
        objections=(),
        book=Books(),
    ).text


def test_who_asks_for_more_is_not_told_the_same_again() -> None:
    told = "From “Refunds”, In short: Every unused mug is refunded in full.\nRefunds are paid within 5 days."
    for asked in ("tell me more", "what else?", "go on", "more details please"):
        reply = more(f"How are refunds paid? {asked}", told)
        assert reply == "From “Refunds”, In short: Opened tea is not refunded."
        assert validate(reply).is_supported


def test_who_asks_for_more_when_all_is_told_hears_the_best_again() -> None:
    assert more("refunds within 5 days tell me more", REFUNDS.text).startswith("From “Refunds”, In short:")


def test_another_question_may_be_answered_with_what_was_told() -> None:
    assert "within 5 days" in more("within how many days are refunds paid", REFUNDS.text)


def test_without_passages_there_is_no_reply() -> None:
    assert generate("What does delivery cost?", ()) == Reply(text="", cited=())


def test_the_same_question_gets_the_same_reply() -> None:
    provider = hashed_provider()
    texts = {
        provider.generate(
            question="Is tea refunded?",
            context=(),
            intent="other",
            language="en",
            passages=ALL,
            objections=(),
            book=Books(),
        ).text
        for _ in range(3)
    }
    assert len(texts) == 1


# validate -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "reply",
    [
        "Every unused mug is refunded in full.",
        "Refunds are paid within 5 days. Opened tea is not refunded.",
        "From “Refunds”, In short: Refunds are paid within 5 days.",
        "From “Delivery”, Prices: Standard delivery costs £4.20.\n\nFrom “Returns”: Everything else is fine.",
        "We cannot take back:\n- opened tea",
    ],
)
def test_quotes_are_supported(reply: str) -> None:
    assert validate(reply) == Verdict(is_supported=True)


@pytest.mark.parametrize(
    ("reply", "named"),
    [
        ("Every mug is refunded in full.", "Every mug is refunded in full."),
        ("Opened tea is refunded.", "Opened tea is refunded."),
        ("Refunds are paid within 5 days. We promise.", "We promise."),
        ("plants", "plants"),
        ("From “Refunds”, In short: Refunds are paid at once.", "Refunds are paid at once."),
        ("From “Gifts”: Refunds are paid within 5 days.", "From “Gifts”: Refunds are paid within 5 days."),
    ],
)
def test_what_is_no_quote_is_named_in_an_objection(reply: str, named: str) -> None:
    assert validate(reply) == Verdict(
        is_supported=False, objections=(f"'{named}' does not stand in the passages.",)
    )


def test_false_replies_are_refused_and_true_quotes_pass() -> None:
    rows = judgement.validation(hashed_provider())
    assert rows["false, all"]["refused"] == rows["false, all"]["n"] > 0
    assert rows["true, quote"]["refused"] == 0


# money, versions, quality ---------------------------------------------------------------------------------


def test_every_call_is_booked_without_tokens() -> None:
    books, provider = Books(), hashed_provider()
    provider.classify(message="hello", history=(), book=books)
    generate("What does delivery cost?", book=books)
    provider.validate(question="?", context=(), reply="No.", passages=ALL, book=books)
    assert [(call.stage, call.model, call.outcome) for call in books.calls] == [
        ("classify", "extractive", "ok"),
        ("generate", "extractive", "ok"),
        ("validate", "extractive", "ok"),
    ]
    assert all(call.prompt_tokens == call.completion_tokens == 0 for call in books.calls)


def test_the_fingerprint_names_the_embedder() -> None:
    provider = hashed_provider()
    assert provider.fingerprint("classify")["embedder"] == HashedWordsEmbedder().id
    assert provider.fingerprint("generate") == hashed_provider().fingerprint("generate")


@needs_minilm
def test_true_replies_questions_are_answered_with_their_sentence() -> None:
    provider = ExtractiveProvider(MiniLMEmbedder())
    labels = [
        row
        for row in judgement.read(judgement.LABELS / "replies.jsonl")
        if row["is_true"] and row["style"] == "quote"
    ]
    answered = 0
    for label in labels:
        reply = provider.generate(
            question=label["question"],
            context=(),
            intent="other",
            language="en",
            passages=judgement.passages_of_section(label["document"], label["section"]),
            objections=(),
            book=Books(),
        )
        answered += label["reply"] in " ".join(reply.text.split()).replace(" - ", " ")
    assert answered / len(labels) >= 0.85
