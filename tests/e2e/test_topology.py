"""The script that runs the full topology: as an operator starts and stops it."""

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.conftest import INHERITED, ROOT, START_S, Product
from tests.e2e.fleet import ask, health

SCRIPT = [sys.executable, "deploy/topology.py"]
STOP_WITHIN_S = 30.0
REFUND = "What's your refund policy?"

pytestmark = pytest.mark.usefixtures("servers")  # skipped where a part is missing, in CI failed


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where all temporary folders go; PostgreSQL's user can enter it, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o711)
        yield Path(made)


@contextmanager
def started(folder: Path, **environment: str) -> Iterator["subprocess.Popen[str]"]:
    """Run the script meanwhile; what it prints can be read."""
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    env = {**inherited, "TMPDIR": str(folder), "EMBEDDER": "hashed", **environment}
    script = subprocess.Popen(
        SCRIPT, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        with script:
            yield script
    finally:
        script.kill()


def left_of(folder: Path) -> list[str]:
    """Return the files in the folder, and the processes that name it."""
    commands = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    found = [command.replace(b"\0", b" ").decode() for command in commands if bytes(folder) in command]
    return found + [str(path) for path in folder.iterdir()]


def test_two_workers_answer_over_all_servers_until_the_script_is_told_to_stop(folder: Path) -> None:
    with started(folder) as script:
        assert script.stdout
        told = []
        for line in script.stdout:
            told.append(line)
            if "all is well" in line:
                break
        text = "".join(told)
        address = re.search(r"tria: Ask +http://127.0.0.1:(\d+)/", text)
        assert address, text
        web = Product(data_dir=folder, port=int(address[1]))
        assert health(web)["database"]["engine"] == "postgresql"
        # Each on a connection of its own, so that both workers are asked.
        outcomes = [ask(web, REFUND).outcome for _ in range(20)]
        assert outcomes == ["miss"] + ["hit"] * 19
        [log] = folder.glob("tria-web-*/web.log")
        assert "Traceback" not in log.read_text()
        assert left_of(folder) != []
        script.send_signal(signal.SIGTERM)
        assert script.wait(STOP_WITHIN_S) == 0
        assert script.stdout.read() == "topology: everything is stopped\n"
    assert left_of(folder) == []
    assert not web.is_ready()


def test_a_part_that_does_not_start_is_told_and_the_others_are_stopped(folder: Path, tmp_path: Path) -> None:
    broken = tmp_path / "redis-server"
    broken.write_text("#!/bin/sh\necho out of order\nexit 1\n")
    broken.chmod(0o755)
    with started(folder, PATH=f"{tmp_path}:{os.environ['PATH']}") as script:
        told, _ = script.communicate(timeout=START_S)
    assert script.returncode == 1
    assert "topology: redis has ended by itself; its log ends:\nout of order" in told
    assert left_of(folder) == []


def test_what_is_missing_is_named(folder: Path) -> None:
    with started(folder, PATH="/nowhere") as script:
        told, _ = script.communicate(timeout=START_S)
    assert script.returncode == 1
    assert "topology: missing: redis-server on the PATH" in told
    assert left_of(folder) == []
