import json
from pathlib import Path

import pytest

from chat.judging import intents as intents_module
from chat.judging.intents import intents
from chat.providers import openai_provider
from chat.providers.openai_forms import FORMS, schema_of
from chat.providers.openai_provider import system_prompt
from tests.fakes.fixtures import MODELS, make_openai_provider
from tests.fakes.llm_server import LlmServer


def test_fingerprint_is_plain_json_and_stays_the_same(llm_server: LlmServer) -> None:
    one, other = make_openai_provider(llm_server), make_openai_provider(llm_server)

    for stage in FORMS:
        assert json.loads(json.dumps(one.fingerprint(stage))) == other.fingerprint(stage)
    assert one.fingerprint("retrieve") == {}


def test_fingerprint_differs_by_stage_model_and_endpoint(llm_server: LlmServer) -> None:
    provider = make_openai_provider(llm_server)
    other_model = make_openai_provider(llm_server, models={**MODELS, "generate": "bigger-model"})
    other_place = make_openai_provider(llm_server, base_url="http://127.0.0.1:1/v1")

    assert provider.fingerprint("generate") != provider.fingerprint("validate")
    assert provider.fingerprint("generate") != other_model.fingerprint("generate")
    assert provider.fingerprint("classify") == other_model.fingerprint("classify")
    assert provider.fingerprint("classify") != other_place.fingerprint("classify")


def test_fingerprint_shows_no_credentials(llm_server: LlmServer) -> None:
    provider = make_openai_provider(llm_server, base_url="https://user:hush@llm.example/v1")

    shown = json.dumps(dict(provider.fingerprint("classify")))
    assert "https://llm.example/v1" in shown
    assert "hush" not in shown
    assert llm_server.api_key not in shown


def test_edited_intent_changes_the_fingerprint_of_classify_alone(
    llm_server: LlmServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = make_openai_provider(llm_server)
    before = [provider.fingerprint("classify"), provider.fingerprint("generate")]
    edited = tmp_path / "intents.json"
    edited.write_text(intents_module.INTENTS_FILE.read_text(encoding="utf-8").replace("says hello", "greets"))
    monkeypatch.setattr(intents_module, "INTENTS_FILE", edited)
    forget()
    try:
        assert provider.fingerprint("classify") != before[0]
        assert provider.fingerprint("generate") == before[1]
    finally:
        monkeypatch.undo()
        forget()


def forget() -> None:
    """Make the files be read again, as a new process would."""
    intents.cache_clear()
    system_prompt.cache_clear()
    schema_of.cache_clear()


def test_edited_prompt_changes_the_fingerprint_of_its_stage(
    llm_server: LlmServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = make_openai_provider(llm_server)
    before = {stage: provider.fingerprint(stage) for stage in FORMS}
    for path in openai_provider.PROMPTS_DIR.glob("*.md"):
        changed = "\nBe brief.\n" if path.stem == "generate" else ""
        (tmp_path / path.name).write_text(path.read_text(encoding="utf-8") + changed, encoding="utf-8")
    monkeypatch.setattr(openai_provider, "PROMPTS_DIR", tmp_path)
    forget()
    try:
        after = {stage: provider.fingerprint(stage) for stage in FORMS}
    finally:
        monkeypatch.undo()
        forget()
    assert [stage for stage in before if before[stage] != after[stage]] == ["generate"]
