"""`manage.py ask` on the command line."""

import re

import pytest
from django.core.management import CommandError, call_command

from chat import assembly
from tests.fakes.kitchen import COLLECTION, Kitchen
from tests.fakes.llm_script import Fail
from tests.fakes.llm_server import LlmServer

REFUND = "What's your refund policy?"


@pytest.fixture(autouse=True)
def asked(kitchen: Kitchen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assembly, "pipeline", lambda: kitchen.pipeline)


def test_it_prints_answer_sources_stages_and_cache(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("ask", REFUND, "--collection", COLLECTION)
    out = capsys.readouterr().out
    assert "source   Refunds >" in out
    for stage in ("classify", "retrieve", "generate", "validate"):
        assert f"{stage} " in out
    fresh = re.search(r"cache    miss, absent, fresh for (\d+) s", out)
    assert fresh
    assert 1710 <= int(fresh[1]) <= 1800
    assert "spent unknown USD" in out
    call_command("ask", REFUND, "--collection", COLLECTION)
    assert "cache    hit, level response" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([" ", "--collection", COLLECTION], "message: may not be blank"),
        ([REFUND, "--collection", "nowhere"], "no such collection"),
        ([REFUND, "--collection", "No Such"], "collection: "),
    ],
)
def test_bad_input_is_named(arguments: list[str], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        call_command("ask", *arguments)


def test_a_failing_provider_is_told(llm_server: LlmServer) -> None:
    llm_server.always("classify", Fail(401))
    with pytest.raises(CommandError, match="classify"):
        call_command("ask", REFUND, "--collection", COLLECTION)
