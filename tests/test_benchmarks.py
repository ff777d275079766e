"""The benchmarks run. What they measure is for people to judge."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.real_model import Asked, Call, of_validation
from tests.fakes.llm_server import LlmServer

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = ("bulkhead", "engine", "hit_path", "judgement", "real_model")


def run(script: str, *arguments: str) -> str:
    command = [sys.executable, f"benchmarks/{script}.py", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_benchmark_says_what_it_measures(script: str) -> None:
    assert f"python benchmarks/{script}.py" in run(script, "--help")


@pytest.mark.usefixtures("redis_executable")
def test_the_engines_benchmark_runs() -> None:
    found = {row["what"]: row["value"] for row in json.loads(run("engine", "--quick", "--json"))}
    assert found["round trips of a hit"] == 1
    assert found["round trips of a miss"] <= 6


def test_the_real_models_benchmark_runs_on_any_endpoint(llm_server: LlmServer, tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    endpoint = ("--base-url", llm_server.base_url, "--api-key", llm_server.api_key, "--model", "some-model")

    printed = run("real_model", *endpoint, "--questions", "1", "--json", str(figures))
    assert "some-model" in printed
    found = json.loads(figures.read_text("utf-8"))
    assert found["first"]["statuses"] == {"200": 1}
    assert {stage: row["ok"] for stage, row in found["stages"].items()} == {
        "classify": 1,
        "generate": 1,
        "validate": 1,
    }
    assert found["validation"]["passed"] == 1
    assert found["again"]["cache"] == {"hit": 1}


def asked(told: str, *calls: str) -> Asked:
    """Return a question that ended so, after these calls: each "stage outcome"."""
    return Asked(
        question="How long do refunds take?",
        status=200 if told.startswith(("answered", "handed over")) else 502,
        seconds=1.0,
        told=told,
        cache="miss",
        is_from_policies=told == "answered",
        calls=tuple(
            Call(stage=stage, outcome=outcome, seconds=1.0, prompt_tokens=1, completion_tokens=1)
            for stage, outcome in (call.split() for call in calls)
        ),
    )


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        (asked("answered", "classify ok", "generate ok", "validate ok"), {"drafts": 1, "passed": 1}),
        (
            asked("answered", "generate ok", "generate ok", "validate ok"),
            {"drafts": 2, "passed": 1, "rejected in code": 1},
        ),
        (
            asked("handed over: validation-failed", "generate ok", "validate ok", "generate ok"),
            {"drafts": 2, "rejected by the model": 1, "rejected in code": 1},
        ),
        (asked("handed over: not-in-passages", "generate ok"), {"drafts": 1, "cited nothing": 1}),
        (asked("handed over: personal", "generate ok"), {"drafts": 1, "cited nothing": 1}),
        (
            asked("handed over: personal", "generate ok", "validate ok", "generate ok"),
            {"drafts": 2, "rejected by the model": 1, "rejected in code or cited nothing": 1},
        ),
        (
            asked("provider-unreadable", "generate ok", "validate unreadable", "validate unreadable"),
            {"drafts": 1, "verdict unreadable": 1},
        ),
        (asked("provider-unreadable", "classify unreadable"), {}),
        (asked("answered"), {}),
        (asked("handed over: not-in-passages"), {}),
    ],
)
def test_what_became_of_the_drafts_is_read_from_the_calls(question: Asked, expected: dict[str, int]) -> None:
    assert {what: count for what, count in of_validation([question]).items() if count} == expected
