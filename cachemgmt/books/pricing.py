"""What a call to a model costs."""

from datetime import date
from decimal import Decimal
from typing import Protocol

from django.utils import timezone

from cachemgmt.models import ModelPrice


class Priceable(Protocol):
    """A call, as it was made or as it is booked."""

    @property
    def model(self) -> str: ...
    @property
    def prompt_tokens(self) -> int | None: ...
    @property
    def cached_tokens(self) -> int: ...
    @property
    def completion_tokens(self) -> int | None: ...


PER_MILLION = Decimal(1_000_000)


def price_of(model: str, on: date) -> ModelPrice | None:
    """Return the price in force on that day, None if there is none. One query.

    Of several patterns that fit, the longest wins (gpt-4.1-mini* before gpt-4.1*), then the latest date.
    """
    fitting = [price for price in ModelPrice.objects.filter(valid_from__lte=on) if price.fits(model)]
    return max(fitting, key=lambda price: (len(price.model_pattern), price.valid_from), default=None)


def has_price(model: str) -> bool:
    """Return whether a price of the model is in force today (UTC). One query."""
    return price_of(model, timezone.now().date()) is not None


def cost_usd(call: Priceable, on: date) -> Decimal | None:
    """Return what the call cost in USD, None where its tokens are not told or its model has no price. A call
    that is known to have had no tokens cost 0."""
    if call.prompt_tokens is None or call.completion_tokens is None:
        return None
    if call.prompt_tokens == call.completion_tokens == 0:
        return Decimal(0)
    price = price_of(call.model, on)
    if price is None:
        return None
    cached_price = price.input_usd if price.cached_input_usd is None else price.cached_input_usd
    total = (
        (call.prompt_tokens - call.cached_tokens) * price.input_usd
        + call.cached_tokens * cached_price
        + call.completion_tokens * price.output_usd
    )
    return total / PER_MILLION


def missing_for_cost(call: Priceable) -> str:
    """Return what is missing to know the cost of a call whose cost is not known, in a few words."""
    kinds = {"prompt tokens": call.prompt_tokens, "completion tokens": call.completion_tokens}
    untold = [kind for kind, count in kinds.items() if count is None]
    return f"its endpoint does not tell {' and '.join(untold)}" if untold else "the model has no price"
