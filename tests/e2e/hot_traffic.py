"""Two products that answer a few questions from the cache again and again, whatever becomes of Redis."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from tests.e2e.conftest import Product
from tests.e2e.fleet import APPROVED, Fleet, ask, draft, health, wait_until
from tests.e2e.traffic import Noted, Traffic
from tests.fakes.llm_script import Say
from tests.fakes.llm_server import LlmServer

HOT = [
    "What's your refund policy?",
    "Do you deliver to Australia?",
    "Is swapping for another size free?",
    "How long will a repair take at most?",
]
OLD = "What was true before."
NEW = "What is true now."

BACK_WITHIN_S = 20.0
"""The breaker asks a Redis that was out again after 15 s at the latest."""

LEARNT_WITHIN_S = 2.0
"""A change is known everywhere within a second; so long, where processors are shared with others."""

HANGS_S = 2.0
"""No question is held up so long by anything that is out."""


@contextmanager
def hot_traffic(fleet: Fleet, llm: LlmServer) -> Iterator[Traffic]:
    """Hits on two products for which all is well: each has had each hot question, and answers it with OLD.
    What is made anew from now on is NEW."""
    wait_until_well(fleet)
    first, second = fleet.products
    say(llm, OLD)
    for question in HOT:
        assert ask(first, question, cache_control="no-cache").text == OLD
        assert [ask(product, question).text for product in (first, second)] == [OLD, OLD]
    llm.reset()
    say(llm, NEW)
    with Traffic(fleet.products, HOT) as running:
        assert_old_hits(running.next(len(HOT)))
        yield running


def say(llm: LlmServer, text: str) -> None:
    """Let the model reply so to everything, and approve of it."""
    llm.always("generate", Say(draft(text)))
    llm.always("validate", Say(APPROVED))


def assert_old_hits(noted: Iterable[Noted]) -> None:
    for one in noted:
        assert one.reply is not None
        assert (one.reply.status, one.reply.outcome, one.reply.text) == (200, "hit", OLD)
        assert one.took_s < HANGS_S


def states(fleet: Fleet) -> list[tuple[str, str]]:
    """Return what each product says of itself, and its breaker's state."""
    told = [health(product) for product in fleet.products]
    return [(one["status"], one["cache"]["breaker"]) for one in told]


def wait_until_well(fleet: Fleet) -> None:
    wait_until(lambda: states(fleet) == [("ok", "closed")] * 2, BACK_WITHIN_S)


def assert_flushed_once(noted: Sequence[Noted], products: Iterable[Product]) -> None:
    """Every question was answered in time; by each product with OLD, and from some moment on with NEW."""
    assert {one.reply.status if one.reply else None for one in noted} == {200}
    assert max(one.took_s for one in noted) < HANGS_S
    for product in products:
        for question in HOT:
            assert texts_in_turn(noted, product, question) == [OLD, NEW]


def texts_in_turn(noted: Iterable[Noted], product: Product, question: str) -> list[str]:
    """Return one product's answers to a question without repetitions, as they changed."""
    changes: list[str] = []
    for one in noted:
        if (one.product, one.question) == (product, question) and one.reply is not None:
            changes += [one.reply.text] if changes[-1:] != [one.reply.text] else []
    return changes
