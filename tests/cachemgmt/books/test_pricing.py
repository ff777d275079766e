"""What a call costs."""

from datetime import date
from decimal import Decimal

import pytest

from cachemgmt.books.calls import ProviderCall
from cachemgmt.books.pricing import cost_usd, price_of
from cachemgmt.models import ModelPrice

pytestmark = pytest.mark.django_db
TODAY = date(2026, 6, 1)


def call(model: str, **tokens: int) -> ProviderCall:
    return ProviderCall(stage="generate", model=model, outcome="ok", seconds=1.0, **tokens)


def price(pattern: str, valid_from: str, amount: str, cached: str | None = None) -> ModelPrice:
    return ModelPrice.objects.create(
        model_pattern=pattern,
        valid_from=valid_from,
        input_usd=amount,
        cached_input_usd=cached,
        output_usd=amount,
    )


def test_tokens_are_priced_by_kind() -> None:
    ModelPrice.objects.create(
        model_pattern="m", valid_from="2026-01-01", input_usd="2", cached_input_usd="0.5", output_usd="8"
    )
    found = cost_usd(call("m", prompt_tokens=1000, cached_tokens=400, completion_tokens=100), TODAY)
    assert found == Decimal("0.0022")


def test_cached_tokens_cost_as_much_as_others_where_no_price_is_set_for_them() -> None:
    price("m", "2026-01-01", "2")
    assert cost_usd(call("m", prompt_tokens=1_000_000, cached_tokens=500_000), TODAY) == Decimal(2)


def test_the_price_of_the_day_is_taken() -> None:
    price("m", "2026-01-01", "2")
    price("m", "2026-05-01", "3")
    price("m", "2026-07-01", "4")
    found = price_of("m", TODAY)
    assert found is not None
    assert found.input_usd == 3
    assert price_of("m", date(2025, 12, 31)) is None


def test_the_most_exact_pattern_wins() -> None:
    price("m-*", "2026-01-01", "2")
    price("m-mini*", "2026-01-01", "1")
    found = price_of("m-mini-2026", TODAY)
    assert found is not None
    assert found.input_usd == 1


def test_an_unknown_model_has_no_price_but_no_tokens_cost_nothing() -> None:
    assert cost_usd(call("unheard-of", prompt_tokens=5), TODAY) is None
    assert cost_usd(call("unheard-of"), TODAY) == 0


@pytest.mark.parametrize(
    "model", ["gpt-4.1", "gpt-4.1-mini", "gpt-4.1-mini-2025-04-14", "text-embedding-3-small"]
)
def test_the_default_models_have_a_price_from_the_start(model: str) -> None:
    assert price_of(model, TODAY) is not None


def test_a_variant_is_not_taken_for_the_model_it_is_named_after() -> None:
    assert price_of("gpt-4o-audio-preview", TODAY) is None
