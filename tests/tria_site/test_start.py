"""Starting with something wrong: one clear line, and an exit code."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tria_site.environment import BASE_DIR


def manage(tmp_path: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a process and data directory of its own."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    env = {**inherited, "TRIA_DATA_DIR": str(tmp_path), **environment}
    command = [sys.executable, "manage.py", *arguments]
    return subprocess.run(
        command, cwd=BASE_DIR, env=env, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"PORT": "abc"}, "PORT: Input should be a valid integer"),
        ({"CACHE_ENABELD": "1"}, "did you mean CACHE_ENABLED?"),
        ({"TRIA_ENV": "production"}, "SECRET_KEY is missing"),
        ({"TRIA_DATA_DIR": "/proc/nowhere"}, "TRIA_DATA_DIR: cannot be made"),
    ],
)
def test_a_wrong_setting_is_one_line(tmp_path: Path, environment: dict[str, str], told: str) -> None:
    done = manage(tmp_path, "check", **environment)
    assert done.returncode == 1
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_in_use_is_told_with_what_to_do(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = manage(tmp_path, "serve", "--prepare", PORT=str(port))
    assert done.returncode == 1
    assert f"Port {port} on 127.0.0.1 cannot be used" in done.stderr
    assert "make run" in done.stderr


def test_a_database_without_tables_is_not_served(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    done = manage(tmp_path, "serve", PORT=str(port))
    assert done.returncode == 1
    assert "run manage.py migrate" in done.stderr
