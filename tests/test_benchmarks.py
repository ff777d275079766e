"""The benchmarks run. What they measure is for people to judge."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.usefixtures("redis_executable")
def test_the_engines_benchmark_runs() -> None:
    command = [sys.executable, "benchmarks/engine.py", "--quick", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    found = {row["what"]: row["value"] for row in json.loads(done.stdout)}
    assert found["round trips of a hit"] == 1
    assert found["round trips of a miss"] <= 6
