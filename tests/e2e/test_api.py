"""The API of a running product is as its description says, whatever is sent to it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import INHERITED, Product

CONFIG = Path(__file__).with_name("schemathesis.toml")
WITHIN_S = 150.0
"""It takes some 40 s; so long, where processors are shared with others."""

NO_FAULTS = {"not-cached", "unknown-collection"}
"""What a question may be refused with for its own sake."""


@pytest.mark.timeout(WITHIN_S + 100)
@pytest.mark.parametrize(
    ("accept", "options"),
    [
        ("application/json", []),
        ("text/event-stream", ["--include-operation-id", "ask", "--phases", "examples,fuzzing"]),
    ],
    ids=["json", "events"],
)
def test_nothing_undocumented_is_answered_to_anything(
    product: Product, tmp_path: Path, accept: str, options: list[str]
) -> None:
    logged = len(product.log.read_text())
    program = Path(sys.executable).with_name("schemathesis")
    url = f"{product.url}/api/schema"
    done = subprocess.run(
        [program, "--config-file", CONFIG, "run", url, "-H", f"Accept: {accept}", "--no-color", *options],
        cwd=tmp_path,
        env={name: os.environ[name] for name in INHERITED if name in os.environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=WITHIN_S,
    )
    assert done.returncode == 0, done.stdout[:10_000]
    log = product.log.read_text()[logged:]
    assert "Traceback" not in log
    assert set(re.findall(r"not answered: (\S+)", log)) <= NO_FAULTS
