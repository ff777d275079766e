"""Which texts are personal, so that their answers are nobody else's."""

import pytest

from benchmarks import judgement
from cachemgmt.api import normalise_message
from chat.judging.privacy import personal_reason, reply_personal_reason

needs_multidogo = pytest.mark.skipif(
    not list((judgement.DATA / "conversations").glob("multidogo_*.jsonl.gz")),
    reason="MultiDoGO is not there: set TRIA_EVAL_DATA",
)


@pytest.mark.parametrize(
    "text",
    [
        "My e-mail is jo.bloggs@mail.example",
        "write to annabelgmailcom",
        "Where is order 48213?",
        "what about #48213",
        "it's booking abc 123",
        "My card ends in 4711",
        "4577",
        "512",
        "DE89 3704 0044 0532 0130 00",
        "xxx-xx-1234",
        "call me on +44 20 7946 0958",
        "Hello, my name is Priya, how long does delivery take?",
        "Hi, I'm Annika Bergström, where can I return a lamp?",
        "this is kowalski speaking",
        "stphon",
        "tamilarasi k",
        "John Smith please",
        "12 elm street springfield",
        "perumal kovil street",
        "do you deliver to me at SW1A 1AA",
        "I was born on 3 May",
        "my password is hunter",
        "where's my order",
        "Please cancel my order",
        "has my refund been paid",
        "my parcel never arrived",
    ],
)
def test_a_text_that_names_a_person_or_a_contract_is_personal(text: str) -> None:
    assert personal_reason([text]) is not None


@pytest.mark.parametrize(
    "text",
    [
        "What's your refund policy?",
        "how long does shipping take",
        "can i return opened coffee",
        "Refund policy",
        "delivery to France",
        "Do you ship to Kyrgyzstan?",
        "Is delivery free over £50?",
        "Can I pay in 3 instalments?",
        "Is the return period 14 days or 30 days?",
        "What changed in the terms in 2024?",
        "how do I cancel my order",
        "Can I change my order after it has been dispatched?",
        "wie lange dauert der versand",
        "hello",
        "ok thanks, bye",
    ],
)
def test_a_general_question_is_not_personal(text: str) -> None:
    assert personal_reason([text]) is None


def test_one_personal_text_among_several_is_enough() -> None:
    assert personal_reason(["How long does it take?", "4111 1111 1111 1111"]) == "number"
    assert personal_reason([]) is None


@pytest.mark.parametrize(
    "text", ["  STPHON!!", "Where is MY order?", "How do I return a lamp?", "I’m Zbigniew"]
)
def test_texts_with_one_normalised_form_are_judged_alike(text: str) -> None:
    assert personal_reason([text]) == personal_reason([normalise_message(text)])


def test_the_companys_own_address_in_a_reply_is_not_personal() -> None:
    passage = "Write to help@larkfield.example or call 020 7946 0958."
    assert reply_personal_reason("Please write to help@larkfield.example.", published=[passage]) is None
    assert reply_personal_reason("Call 020 7946 0958.", published=[passage]) is None


@pytest.mark.parametrize(
    "reply",
    [
        "We have written to jo@mail.example.",
        "Order 48213 is on its way.",
        "It went to SW1A 1AA.",
    ],
)
def test_a_reply_with_somebodys_own_details_is_personal(reply: str) -> None:
    published = ["Write to help@larkfield.example. Refunds take 5 working days."]
    assert reply_personal_reason(reply, published=published) is not None


def test_a_replys_amounts_are_not_personal() -> None:
    assert reply_personal_reason("Delivery takes 2 to 3 working days and costs £3.95.", published=[]) is None


@needs_multidogo
def test_95_percent_of_the_messages_that_carry_personal_details_are_not_shared() -> None:
    rows = judgement.personal(None)
    for split in ("train", "dev", "test"):
        assert rows[f"{split}: any of these"]["share"] >= 0.95
        for label in ("name", "ssn", "card_number", "phonenumber", "email_address", "address"):
            assert rows[f"{split}: {label}"]["share"] >= 0.95, (split, label)


@needs_multidogo
def test_general_questions_are_seldom_taken_for_personal_ones() -> None:
    rows = judgement.false_alarms()
    assert rows["sample questions"]["not shared"] <= 0.02
    assert rows["banking77"]["not shared"] <= 0.05
    assert rows["CLINC150"]["not shared"] <= 0.1
