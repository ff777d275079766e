"""Which messages could mean something else after another conversation."""

import pytest

from benchmarks import judgement
from chat.judging.leaning import is_courtesy, leans_on_context
from chat.providers.extractive import ExtractiveProvider
from tests.fakes.hashed import hashed_provider


@pytest.mark.parametrize(
    "message",
    [
        "Tell me more",
        "and for shoes?",
        "What about gift cards?",
        "the cheaper one",
        "yes",
        "no, thanks",
        "ok",
        "tomorrow at 5",
        "Jo Bloggs",
        "4577",
        "How much is it?",
        "how long does that take",
        "Is there a fee for it?",
        "Can I change it?",
        "why?",
        "What does it serve?",
        "Do they open on Sundays?",
        "another one please",
        "next",
        "Saturday. I'd like a table for two.",
        "refund policy",
        "",
        "???",
    ],
)
def test_a_message_that_may_point_back_leans(message: str) -> None:
    assert leans_on_context(message)


@pytest.mark.parametrize(
    "message",
    [
        "Hello!",
        "Good morning",
        "Thanks a lot",
        "Great, thank you for your help. Bye!",
        "How long does a refund take?",
        "What's your refund policy?",
        "can i return opened coffee",
        "Thanks! How do I return a lamp?",
        "Is it possible to pay by invoice?",
        "How long does it take to get a refund?",
        "I bought a lamp last week, can it be returned?",
        "Is there a deadline for returning shoes?",
        "I want to return a pair of shoes",
        "Please tell me about the delivery costs",
        "My card was declined",
        "I never received my parcel",
    ],
)
def test_a_whole_question_or_greeting_stands_alone(message: str) -> None:
    assert not leans_on_context(message)


def test_messages_with_one_normalised_form_are_judged_alike() -> None:
    assert leans_on_context("  AND for shoes ?!") == leans_on_context("and for shoes ")
    assert leans_on_context("What’s your refund policy") == leans_on_context("what's your refund policy")


@pytest.mark.parametrize(
    "message", ["hi", "thanks so much", "ok", "No, that's all, thanks", "nothing else", "bye"]
)
def test_courtesies_are_told_from_questions(message: str) -> None:
    assert is_courtesy(message)


@pytest.mark.parametrize("message", ["hi, where is my order", "no refund?", "thanks, and for shoes?", "yes"])
def test_what_says_more_is_no_courtesy(message: str) -> None:
    assert not is_courtesy(message)


def test_the_sample_questions_stand_alone() -> None:
    questions = [row["question"] for row in judgement.read(judgement.ROOT / "sample" / "questions.jsonl")]
    assert judgement.share(questions, leans_on_context) <= 0.06


@pytest.mark.skipif(
    not (judgement.DATA / "conversations" / "star_first70pct.jsonl.gz").exists(),
    reason="STAR is not there: set TRIA_EVAL_DATA",
)
def test_leaning_turns_of_real_conversations_are_noticed() -> None:
    provider: ExtractiveProvider = hashed_provider()
    rows = judgement.leaning(provider)
    assert rows["all"]["recall"] >= 0.93
    assert rows["all"]["precision"] >= 0.85
