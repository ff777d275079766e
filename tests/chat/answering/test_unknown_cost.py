"""What an endpoint does not tell of a call's cost is unknown, to the customer and in the books; never 0."""

import json
import logging
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest
from prometheus_client import generate_latest

from cachemgmt.books import ledger
from cachemgmt.books.metrics import metrics
from cachemgmt.books.prometheus import registry
from cachemgmt.models import LlmCall, ModelPrice
from chat.types import Answer
from tests.fakes.fixtures import make_openai_provider
from tests.fakes.kitchen import Kitchen
from tests.fakes.llm_script import Dressed, Hang
from tests.fakes.llm_server import LlmServer

REFUND = "What's your refund policy?"


@pytest.fixture
def prices(db: None) -> None:
    for model in ("small-model", "big-model"):
        ModelPrice.objects.create(model_pattern=model, valid_from="2020-01-01", input_usd=1, output_usd=2)


@pytest.fixture(autouse=True)
def nothing_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "_warned", set())


def told(usage: object) -> Dressed:
    """Answer rightly, with this usage in place of the true one."""
    return Dressed(body=lambda body: json.dumps({**json.loads(body), "usage": usage}).encode())


def ask(kitchen: Kitchen, llm_server: LlmServer, usage: object) -> Answer:
    llm_server.always("generate", told(usage))
    return kitchen.ask(REFUND)


@pytest.mark.usefixtures("prices")
@pytest.mark.parametrize(
    "usage",
    [None, {}, {"prompt_tokens": 7}, {"completion_tokens": 7}, {"prompt_tokens": -1, "completion_tokens": 2}],
)
def test_an_answer_of_unknown_cost_says_so_and_so_does_each_that_reuses_it(
    kitchen: Kitchen, llm_server: LlmServer, usage: object
) -> None:
    made = ask(kitchen, llm_server, usage)
    assert (made.cache.status, made.spent_usd) == ("miss", None)
    again = kitchen.ask(REFUND)
    assert (again.cache.status, again.spent_usd, again.saved_usd) == ("hit", Decimal(0), None)

    found = metrics()
    known = sum(row.cost_usd for row in LlmCall.objects.exclude(stage="generate") if row.cost_usd)
    assert Decimal(found["spent_usd"]) == known > 0, "what is told counts"
    assert (found["calls"], found["unpriced_calls"], found["untold_calls"]) == (3, 1, 1)
    assert (found["total"]["saved_usd"], found["total"]["unknown_savings"]) == ("0", 1)


@pytest.mark.usefixtures("prices")
def test_the_part_that_is_told_is_booked(kitchen: Kitchen, llm_server: LlmServer) -> None:
    ask(kitchen, llm_server, {"prompt_tokens": 1234, "completion_tokens": None})
    row = LlmCall.objects.get(stage="generate")
    assert (row.prompt_tokens, row.completion_tokens, row.cost_usd) == (1234, None, None)


def test_a_missing_price_is_told_apart_from_missing_tokens(
    db: None, kitchen: Kitchen, llm_server: LlmServer
) -> None:
    ModelPrice.objects.all().delete()
    ask(kitchen, llm_server, None)
    found = metrics()
    assert (found["calls"], found["unpriced_calls"], found["untold_calls"]) == (3, 3, 1)
    series = generate_latest(registry()).decode()
    assert _value(series, "tria_llm_untold_calls_total", stage="generate") == 1
    assert _value(series, "tria_llm_unpriced_calls_total", stage="classify") == 1
    assert _value(series, "tria_llm_untold_calls_total", stage="classify") == 0


@pytest.mark.usefixtures("prices")
def test_what_is_missing_is_logged_once_for_each_model(
    kitchen: Kitchen, llm_server: LlmServer, caplog: pytest.LogCaptureFixture
) -> None:
    llm_server.always("generate", told({"prompt_tokens": 7}))
    llm_server.always("classify", told(None))
    with caplog.at_level(logging.WARNING, logger="cachemgmt.books.ledger"):
        for question in (REFUND, "How long does shipping take?"):
            kitchen.ask(question)
    assert sorted(record.getMessage() for record in caplog.records) == [
        "What calls to big-model cost is not known: its endpoint does not tell completion tokens",
        "What calls to small-model cost is not known: its endpoint does not tell prompt tokens and "
        "completion tokens",
    ]


@pytest.mark.usefixtures("prices")
def test_a_call_that_was_given_up_on_may_be_billed(llm_server: LlmServer, impatient: Kitchen) -> None:
    llm_server.script("validate", Hang())
    with pytest.raises(Exception, match="No answer within"):
        impatient.ask(REFUND)
    row = LlmCall.objects.get(stage="validate")
    assert (row.outcome, row.prompt_tokens, row.cost_usd) == ("timeout", None, None)


@pytest.fixture
def impatient(db: None, llm_server: LlmServer) -> Kitchen:
    """A kitchen whose provider waits for a second at most."""
    return Kitchen(make_openai_provider(llm_server, timeout_s=1.0))


def _value(series: str, name: str, **labels: str) -> float:
    """Return the sum of a metric's series that have these labels."""
    wanted: Mapping[str, Any] = {f'{key}="{value}"': None for key, value in labels.items()}
    lines = [line for line in series.splitlines() if line.startswith(f"{name}{{")]
    return sum(float(line.rpartition(" ")[2]) for line in lines if all(label in line for label in wanted))
