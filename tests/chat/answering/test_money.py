"""What is booked is what the language model's endpoint would bill, whatever goes wrong on the way."""

from decimal import Decimal

import pytest

from cachemgmt.books.metrics import metrics
from cachemgmt.engine.filling.refreshing import Refreshes
from cachemgmt.engine.reuse.knowledge import Rule
from cachemgmt.models import LlmCall, ModelPrice
from chat.errors import ChatError
from tests.fakes.kitchen import COLLECTION, Kitchen
from tests.fakes.llm_script import Disconnect, Fail, Malformed, Rate, Refuse, Truncate
from tests.fakes.llm_server import LlmServer

RATES = {
    "small-model": Rate(prompt=Decimal("0.4"), cached=Decimal("0.1"), completion=Decimal("1.6")),
    "big-model": Rate(prompt=Decimal(2), cached=Decimal("0.5"), completion=Decimal(8)),
}

QUESTIONS = [
    "What's your refund policy?",
    "How long does shipping take?",
    "Can I return opened coffee?",
    "Hello",
    "I want to talk to a person",
    "What is the boiling point of tungsten?",
    "Is shipping free?",
]


@pytest.fixture
def prices(db: None) -> None:
    for model, rate in RATES.items():
        ModelPrice.objects.create(
            model_pattern=model,
            valid_from="2020-01-01",
            input_usd=rate.prompt,
            cached_input_usd=rate.cached,
            output_usd=rate.completion,
        )


@pytest.mark.usefixtures("prices")
def test_booked_spend_is_the_bill_over_a_run_with_failures_and_retries(
    kitchen: Kitchen, llm_server: LlmServer
) -> None:
    llm_server.script("classify", Fail(500), Malformed(), Fail(429, retry_after=30), Truncate())
    llm_server.script("generate", Malformed(), Refuse(), Fail(503), Fail(503), Disconnect(), Truncate())
    llm_server.script("validate", Malformed(), Malformed(), Fail(401), Refuse())
    told, failed = Decimal(0), 0
    for question in QUESTIONS * 3:
        try:
            answer = kitchen.ask(question)
        except ChatError:
            failed += 1
            continue
        assert answer.spent_usd is not None
        told += answer.spent_usd
    assert failed
    billed = llm_server.billed_usd(RATES)
    booked = sum((row.cost_usd for row in LlmCall.objects.all() if row.cost_usd), Decimal(0))
    assert booked == billed
    assert told < billed  # what failed was billed, too, but told to nobody
    assert Decimal(metrics()["spent_usd"]) == billed
    assert LlmCall.objects.count() == len(llm_server.calls)
    assert set(LlmCall.objects.values_list("outcome", flat=True)) == {"ok", "error", "unreadable", "refused"}
    assert set(LlmCall.objects.values_list("collection", flat=True)) == {COLLECTION}


@pytest.mark.usefixtures("prices")
def test_a_second_round_costs_nothing_and_saves_the_first(kitchen: Kitchen, llm_server: LlmServer) -> None:
    spent = sum((kitchen.ask(question).spent_usd or Decimal(0) for question in QUESTIONS), Decimal(0))
    assert spent == llm_server.billed_usd(RATES)
    again = [kitchen.ask(question) for question in QUESTIONS]
    assert sum(answer.spent_usd or 0 for answer in again) == 0
    assert sum(answer.saved_usd or 0 for answer in again) == spent
    assert Decimal(metrics()["saved_usd"]) == spent


@pytest.mark.usefixtures("prices")
@pytest.mark.parametrize(
    ("levels", "stages"), [(["intent"], ["classify"]), (["reply", "response"], ["generate", "validate"])]
)
def test_what_is_made_anew_behind_a_customers_back_is_not_on_his_bill(
    kitchen: Kitchen, levels: list[str], stages: list[str]
) -> None:
    rule = Rule(ttl_s=60, stale_while_revalidate_s=600)
    kitchen.policies.learn(rules={(level, ""): rule for level in levels})
    kitchen.ask(QUESTIONS[0])
    kitchen.clock.advance(120)
    LlmCall.objects.all().delete()
    # As if the background's thread were quicker than the customer's own.
    kitchen.filler.refreshes = Refreshes(lambda work: work())
    talk = [("user", "Hello"), ("assistant", "Hello! How can I help?")]
    answer = kitchen.ask(QUESTIONS[0], talk)
    assert answer.cache.level == "reply"
    assert answer.spent_usd == 0
    assert answer.timing_ms.keys() == {"total", "lookup", "classify", "retrieve"}
    booked = LlmCall.objects.order_by("pk").values_list("stage", "purpose")
    assert list(booked) == [(stage, "refresh") for stage in stages]


@pytest.mark.usefixtures("prices")
def test_warming_is_booked_as_such_and_not_counted_as_questions(kitchen: Kitchen) -> None:
    kitchen.ask(QUESTIONS[0], purpose="warming")
    assert set(LlmCall.objects.values_list("purpose", flat=True)) == {"warming"}
    found = metrics()
    assert found["total"]["misses"] == 0
    assert found["spent_on_warming_usd"] == found["spent_usd"] != "0"
    assert kitchen.ask(QUESTIONS[0]).cache.status == "hit"
