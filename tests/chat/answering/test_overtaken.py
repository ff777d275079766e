"""A decision that falls while an answer is being made: whoever asked is not given what it has overtaken."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from cachemgmt.engine.reuse.knowledge import Flush, Flushes
from tests.fakes.kitchen import POLICIES, Kitchen
from tests.fakes.llm_server import LlmServer

REFUND = "What's your refund policy?"


def during(
    kitchen: Kitchen, stage: str, monkeypatch: pytest.MonkeyPatch, happens: Callable[[], None]
) -> None:
    """Let something happen inside the first call of a stage."""
    provider = kitchen.pipeline.provider
    calls: list[int] = []
    work = getattr(provider, stage)

    def first_happens(**inputs: object) -> object:
        made = work(**inputs)
        if not calls:
            happens()
        calls.append(1)
        return made

    monkeypatch.setattr(provider, stage, first_happens)


def stages(llm_server: LlmServer) -> list[str]:
    return [call.stage for call in llm_server.calls]


def flush(kitchen: Kitchen, match: str = "") -> None:
    clock = kitchen.policies.now.clock + 1
    flushed = Flush(clock=clock, kind="tag", match=match) if match else Flush(clock=clock, kind="all")
    kitchen.policies.learn(flushes=Flushes([flushed]))


def test_policies_published_meanwhile_are_answered_from(
    kitchen: Kitchen, llm_server: LlmServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def publish() -> None:
        kitchen.index.revisions["r2"] = [POLICIES[0]]
        kitchen.policies.learn(revisions={"shop": "r2"})

    during(kitchen, "generate", monkeypatch, publish)
    answer = kitchen.ask(REFUND)
    assert {source.passage for source in answer.sources} == {POLICIES[0].text}
    assert stages(llm_server) == ["classify", "generate", "validate", "generate", "validate"]
    hit = kitchen.ask(REFUND)
    assert (hit.cache.status, hit.cache.level, hit.text) == ("hit", "response", answer.text)


@pytest.mark.parametrize("match", ["", "level:reply", "doc:refunds", "collection:shop"])
def test_a_flush_meanwhile_has_the_answer_made_again_from_retrieval_on(
    kitchen: Kitchen, llm_server: LlmServer, monkeypatch: pytest.MonkeyPatch, match: str
) -> None:
    during(kitchen, "generate", monkeypatch, lambda: flush(kitchen, match))
    assert kitchen.ask(REFUND).cache.status == "miss"
    again = ["generate", "validate"]
    reads_again = ["classify"] if match in {"", "collection:shop"} else []
    assert stages(llm_server) == ["classify", "generate", "validate", *reads_again, *again]
    assert kitchen.ask(REFUND).cache.level == "response"


def test_a_flush_that_does_not_concern_it_costs_nothing(
    kitchen: Kitchen, llm_server: LlmServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    during(kitchen, "generate", monkeypatch, lambda: flush(kitchen, "doc:elsewhere"))
    kitchen.ask(REFUND)
    assert stages(llm_server) == ["classify", "generate", "validate"]
    assert kitchen.ask(REFUND).cache.level == "response"


def test_a_flush_while_a_warmer_queues_costs_nothing(
    kitchen: Kitchen, llm_server: LlmServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    warming = kitchen.bulkhead.warming

    @contextmanager
    def queued() -> Iterator[None]:
        flush(kitchen)
        with warming():
            yield

    monkeypatch.setattr(kitchen.bulkhead, "warming", queued)
    kitchen.ask(REFUND, purpose="warming")
    assert stages(llm_server) == ["classify", "generate", "validate"]
    assert kitchen.ask(REFUND).cache.status == "hit"


def test_a_flush_of_the_intent_during_classification_is_heeded(
    kitchen: Kitchen, llm_server: LlmServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    during(kitchen, "classify", monkeypatch, lambda: flush(kitchen, "level:intent"))
    kitchen.ask(REFUND)
    assert stages(llm_server) == ["classify", "generate", "validate", "classify"]
    assert kitchen.ask(REFUND).cache.level == "response"


def test_flushes_without_end_do_not_hold_a_customer_for_ever(
    kitchen: Kitchen, llm_server: LlmServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = kitchen.pipeline.provider.generate

    def flushed_each_time(**inputs: object) -> object:
        flush(kitchen, "level:reply")
        return work(**inputs)  # type: ignore[arg-type]

    monkeypatch.setattr(kitchen.pipeline.provider, "generate", flushed_each_time)
    answer = kitchen.ask(REFUND)
    assert stages(llm_server).count("generate") == 3
    assert not answer.cache.is_stored
