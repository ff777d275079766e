"""The image: what is in it, as whom it runs, and the small programs that its containers start."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.deploy.conftest import ROOT, text_of

HEALTHY = [sys.executable, str(ROOT / "deploy/healthy.py")]


def instructions() -> list[str]:
    joined = text_of("Dockerfile").replace("\\\n", " ")
    return [line for line in joined.splitlines() if line and not line.startswith("#")]


def test_both_stages_stand_on_the_base_that_the_argument_names() -> None:
    lines = instructions()
    assert lines[0].startswith("ARG BASE_IMAGE=python:3.11-slim")
    assert [line.split()[1] for line in lines if line.startswith("FROM")] == ["${BASE_IMAGE}"] * 2


def test_it_does_not_run_as_root() -> None:
    users = [line.split()[1] for line in instructions() if line.startswith("USER")]
    assert users == ["10001:10001"]


def test_an_index_is_told_by_argument_and_kept_nowhere() -> None:
    final = "\n".join(instructions()).rpartition("FROM ")[2]
    assert "PIP" not in final
    assert not re.search(r"https?://", text_of("Dockerfile"))


@pytest.mark.parametrize(
    "name", [".env", ".git", ".venv", "var", "secrets", "policies", "tests", "requirements-dev.txt"]
)
def test_what_is_secret_or_not_needed_stays_out(name: str) -> None:
    patterns = text_of(".dockerignore").splitlines()
    assert name in patterns or (name.startswith(".") and ".*" in patterns)


def test_of_the_deployment_only_what_containers_start_is_in_it(compose: dict[str, Any]) -> None:
    patterns = text_of(".dockerignore").splitlines()
    started = set(re.findall(r"deploy/\w+\.(?:sh|py)", str(compose["services"])))
    assert {pattern[1:] for pattern in patterns if pattern.startswith("!")} == started
    assert "deploy/*" in patterns


class Host(BaseHTTPRequestHandler):
    """Answers 200 to those who call it by its name."""

    def do_GET(self) -> None:
        self.send_response(200 if self.headers["Host"] == "web" else 400)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        return


@pytest.fixture
def url() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Host) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/api/health"
        server.shutdown()
        thread.join()


def test_health_is_an_answer_to_the_right_name(url: str) -> None:
    assert subprocess.run([*HEALTHY, url, "web"], check=False).returncode == 0
    assert subprocess.run([*HEALTHY, url], check=False).returncode == 1


def test_nobody_there_is_not_healthy(url: str) -> None:
    gone = re.sub(r":\d+/", ":1/", url)
    done = subprocess.run([*HEALTHY, gone], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (1, b"")


def release(tmp_path: Path, *, policies: bool = True, failing: str = "none") -> tuple[int, list[str]]:
    """Run it with a `python` that only notes what it is asked; return how it ended, and the notes."""
    folder, programs = tmp_path / "policies", tmp_path / "bin"
    folder.mkdir()
    programs.mkdir()
    if policies:
        (folder / "refunds.md").write_text("# Refunds\n")
    fake = programs / "python"
    fake.write_text(f'#!/bin/sh\necho "$2" >> "{tmp_path}/asked"\n[ "$2" != {failing} ]\n')
    fake.chmod(0o755)
    done = subprocess.run(
        ["/bin/sh", str(ROOT / "deploy/release.sh"), str(folder)],
        env={"PATH": f"{programs}:{os.environ['PATH']}"},
        capture_output=True,
        check=False,
    )
    return done.returncode, (tmp_path / "asked").read_text().split()


def test_a_release_migrates_takes_the_policies_in_and_warms(tmp_path: Path) -> None:
    assert release(tmp_path) == (0, ["migrate", "ingest_policies", "warm_cache"])


def test_without_policies_those_in_the_database_stay(tmp_path: Path) -> None:
    assert release(tmp_path, policies=False) == (0, ["migrate", "warm_cache"])


@pytest.mark.parametrize(("failing", "asked"), [("migrate", 1), ("ingest_policies", 2)])
def test_a_release_that_fails_starts_no_server(tmp_path: Path, failing: str, asked: int) -> None:
    code, done = release(tmp_path, failing=failing)
    assert code != 0
    assert len(done) == asked


def test_what_could_not_be_warmed_does_not_keep_the_server_from_starting(tmp_path: Path) -> None:
    assert release(tmp_path, failing="warm_cache")[0] == 0
