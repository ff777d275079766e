"""One fill, anywhere: two processes on the full topology, asked by many at once, and fillers that fail."""

import time
from collections import Counter
from collections.abc import Iterator
from http.client import HTTPException

import pytest

from tests.e2e.conftest import Product
from tests.e2e.fleet import APPROVED, Asking, Fleet, ask, draft, running_fleet, send_at_once, wait_until
from tests.e2e.grounds import LayGround
from tests.fakes.llm_script import Fail, Hold, Say, Slow
from tests.fakes.llm_server import LlmServer
from tests.fakes.redis_server import RedisServer

LEASE_S = 5.0
FILL_S = 8.0
"""Well past the lease: its time tells which of the two brought a takeover about."""

GRACE_S = 1.0
"""By how much later than lease or deadline a takeover may come."""

NOTE_S = 2.0
PAST_TTL_WITHIN_S = 5.0
TRIES = 3
"""How often the client asks a provider that fails, before it gives up."""

STAGES = ("classify", "generate", "validate")
TIMELY = "The timely answer."
LATE = "The late answer."


@pytest.fixture(scope="module")
def fleet(lay_full: LayGround, redis: RedisServer, llm: LlmServer) -> Iterator[Fleet]:
    own = {"FILL_TIMEOUT_S": str(FILL_S)}
    with running_fleet(lay_full(), llm=llm, redis={"REDIS_URL": redis.url}, own=[own, own]) as running:
        yield running


@pytest.fixture
def pair(fleet: Fleet, llm: LlmServer) -> Iterator[tuple[Product, Product]]:
    """Two running products, and a model that works and has not been asked anything yet."""
    llm.reset()
    fleet.make_whole()
    llm.reset()
    first, second = fleet.products
    yield first, second
    llm.reset()
    for product in fleet.products:
        if product.process:
            product.thaw()


def calls(llm: LlmServer) -> dict[str, int]:
    """Return how many calls of each stage the model has answered."""
    return dict(Counter(call.stage for call in list(llm.calls)))


def told(product: Product, question: str) -> tuple[str, str | None]:
    """Return the answer, and how it came about."""
    reply = ask(product, question)
    return reply.text, reply.outcome


def test_a_hundred_same_questions_to_two_processes_cost_one_fill(
    pair: tuple[Product, Product], llm: LlmServer
) -> None:
    for stage in STAGES:
        llm.always(stage, Slow(1.0))
    question = "How much do you charge for delivery in England?"
    asked = send_at_once([Asking(pair[number % 2], question) for number in range(100)])
    replies = [asking.reply() for asking in asked]
    assert calls(llm) == {"classify": 1, "generate": 1, "validate": 1}
    assert {reply.status for reply in replies} == {200}
    assert len({reply.text for reply in replies}) == 1
    outcomes = Counter(reply.outcome for reply in replies)
    assert outcomes.keys() <= {"miss", "collapsed", "hit"}
    # Who asked for the classification need not be who asked for the reply.
    assert 1 <= outcomes["miss"] <= 2
    assert [told(product, question) for product in pair] == [(replies[0].text, "hit")] * 2


def test_a_killed_filler_is_taken_over_from_once_when_its_lease_has_run_out(
    pair: tuple[Product, Product], llm: LlmServer
) -> None:
    doomed, survivor = pair
    question = "How long does a parcel to Germany usually take?"
    held, takeover = Hold(), Hold()
    llm.script("generate", held, takeover)
    lost = send_at_once([Asking(doomed, question)])
    assert held.reached.wait(10)
    lost += send_at_once([Asking(doomed, question) for _ in range(5)])
    waiting = send_at_once([Asking(survivor, question) for _ in range(20)])
    doomed.kill()
    assert takeover.reached.wait(LEASE_S + GRACE_S)
    takeover.until.set()
    replies = [asking.reply() for asking in waiting]
    assert {reply.status for reply in replies} == {200}
    assert len({reply.text for reply in replies}) == 1
    assert calls(llm) == {"classify": 1, "generate": 1, "validate": 1}  # besides the held one
    for asking in lost:
        with pytest.raises((OSError, HTTPException)):
            asking.reply()
    held.until.set()
    wait_until(lambda: calls(llm)["generate"] == 2, within_s=5)


def test_a_hung_filler_is_taken_over_from_once_after_its_deadline_and_stores_nothing_later(
    pair: tuple[Product, Product], llm: LlmServer
) -> None:
    hung, other = pair
    question = "Is swapping for another size free?"
    held, takeover = Hold(then=Say(draft(LATE))), Hold(then=Say(draft(TIMELY)))
    llm.script("generate", held, takeover)
    llm.always("validate", Say(APPROVED))
    [slow] = send_at_once([Asking(hung, question)])
    assert held.reached.wait(10)
    began = time.monotonic()
    waiting = send_at_once([Asking(product, question) for product in (hung, other) for _ in range(10)])
    assert takeover.reached.wait(FILL_S + GRACE_S)
    assert time.monotonic() - began > LEASE_S + GRACE_S  # its lease was kept alive up to its deadline
    takeover.until.set()
    assert {asking.reply().text for asking in waiting} == {TIMELY}
    held.until.set()
    assert slow.reply().text == LATE  # what was computed is returned, and not kept
    assert [told(product, question) for product in pair] == [(TIMELY, "hit")] * 2
    assert calls(llm) == {"classify": 1, "generate": 2, "validate": 2}


def test_a_frozen_filler_is_taken_over_from_and_overwrites_nothing_when_it_goes_on(
    pair: tuple[Product, Product], llm: LlmServer
) -> None:
    frozen, other = pair
    question = "Can I get express to Belfast?"
    held, takeover = Hold(then=Say(draft(LATE))), Hold(then=Say(draft(TIMELY)))
    llm.script("generate", held, takeover)
    llm.always("validate", Say(APPROVED))
    [slow] = send_at_once([Asking(frozen, question)])
    assert held.reached.wait(10)
    frozen.freeze()
    waiting = send_at_once([Asking(other, question) for _ in range(20)])
    assert takeover.reached.wait(LEASE_S + GRACE_S)
    takeover.until.set()
    assert {asking.reply().text for asking in waiting} == {TIMELY}
    held.until.set()
    frozen.thaw()
    assert slow.reply().text == LATE
    assert [told(product, question) for product in pair] == [(TIMELY, "hit")] * 2
    assert calls(llm) == {"classify": 1, "generate": 2, "validate": 2}


def test_a_failed_fill_is_repeated_neither_by_those_who_wait_nor_by_the_other_process(
    pair: tuple[Product, Product], llm: LlmServer
) -> None:
    llm.always("generate", Fail(503))
    question = "Do you deliver to Australia?"
    asked = send_at_once([Asking(pair[number % 2], question) for number in range(50)])
    replies = [asking.reply() for asking in asked]
    failed_at = time.monotonic()
    assert Counter((reply.status, reply.text) for reply in replies) == {
        (503, "urn:tria:problem:provider-unavailable"): 50
    }
    assert calls(llm) == {"classify": 1, "generate": TRIES}
    llm.always("generate", None)
    soon = [ask(product, question) for product in pair]
    assert time.monotonic() - failed_at < NOTE_S
    assert [reply.status for reply in soon] == [503, 503]
    assert calls(llm) == {"classify": 1, "generate": TRIES}
    while ask(pair[0], question).status != 200:
        assert time.monotonic() - failed_at < NOTE_S + GRACE_S
    assert calls(llm) == {"classify": 1, "generate": TRIES + 1, "validate": 1}


def test_an_answer_past_its_time_serves_while_the_provider_fails(
    pair: tuple[Product, Product], llm: LlmServer
) -> None:
    question = "Do you pass my details on to advertisers or sell them?"
    fresh = ask(pair[0], question)
    assert (fresh.status, fresh.outcome) == (200, "miss")
    intent = fresh.body["intent"]["name"]
    rule = f"TtlRule.objects.update_or_create(level='response', intent={intent!r}, defaults={{'ttl_s': 1}})"
    pair[0].manage("shell", "-c", f"from cachemgmt.models import TtlRule; {rule}")
    llm.always("generate", Fail(503))
    wait_until(lambda: ask(pair[0], question).outcome == "stale", PAST_TTL_WITHIN_S)
    for product in pair:
        stale = ask(product, question)
        assert (stale.status, stale.outcome, stale.text) == (200, "stale", fresh.text)
        told = stale.headers["cache-status"].split("; ")
        assert told[:2] == ["tria", "hit"]
        assert int(told[2].removeprefix("ttl=")) < 0
