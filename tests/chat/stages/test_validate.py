"""Which replies are rejected before the provider is asked."""

from collections.abc import Sequence

import pytest

from cachemgmt.api import BookCall
from chat.stages.validate import validate
from chat.types import Passage, Reply, Turn, Verdict
from tests.fakes.hashed import hashed_provider

CONTACT = Passage(
    document="contact",
    title="Contact",
    heading_path=(),
    text="See larkfield.example. Call 020 7946 0123 or 0800 946 7946. Returns take 30 days.",
)


class Asked(Exception):
    """The provider was asked."""


class Judge:
    """A provider that only tells that it was asked."""

    def __init__(self) -> None:
        self._provider = hashed_provider()
        self.name = self._provider.name
        self.make_ready = self._provider.make_ready
        self.fingerprint = self._provider.fingerprint
        self.classify = self._provider.classify
        self.generate = self._provider.generate

    def validate(
        self,
        *,
        question: str,
        context: Sequence[Turn],
        reply: str,
        passages: Sequence[Passage],
        book: BookCall,
    ) -> Verdict:
        raise Asked


def verdict_on(text: str, *, question: str = "How do I reach you?") -> Verdict:
    return validate(
        Judge(),
        question=question,
        context=(),
        reply=Reply(text=text, cited=(0,)),
        passages=[CONTACT],
        book=lambda call: None,
    )


@pytest.mark.parametrize(
    "told",
    [
        "larkfield-refunds.store",
        "larkfield.support",
        "refunds.ai",
        "larkfield.help",
        "pay.zip",
        "larkfield.store?x=1",
        "0800 7946 0123",
        "020 7946 0800",
        "0123 7946 020",
        "45 days",
        "",
    ],
)
def test_what_stands_nowhere_is_rejected_without_asking(told: str) -> None:
    verdict = verdict_on(told, question=f"Is it {told}?" if "days" not in told else "How long?")
    assert not verdict.is_supported
    assert len(verdict.objections) == 1


@pytest.mark.parametrize(
    "told",
    ["02079460123", "+44 20 7946 0123", "larkfield.example", "https://www.larkfield.example/", "30 days"],
)
def test_what_stands_there_in_another_writing_is_left_to_the_provider(told: str) -> None:
    with pytest.raises(Asked):
        verdict_on(told)
