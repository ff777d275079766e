"""What a worker does before it opens its port: in a process of its own, as it must be the first to import."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tria_site.environment import BASE_DIR

LOOK = """
import json, os, sys, threading
os.environ["DJANGO_SETTINGS_MODULE"] = "tria_site.settings"
import tria_site.wsgi
from tria_site import server
seen = [sorted(thread.name for thread in threading.enumerate())]
server.load_code()
seen.append(sorted(thread.name for thread in threading.enumerate()))
print(json.dumps({"threads": seen, "modules": sorted(sys.modules)}))
"""
LAZY = {
    "openai": ["openai", "openai.resources.chat.completions", "openai.resources.embeddings", "httpx2"],
    "chroma": ["chromadb", "httpx"],
}


def loaded(tmp_path: Path, **environment: str) -> dict[str, Any]:
    """Return which threads there were before and after the code was loaded, and what was loaded."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    env = {**inherited, "TRIA_DATA_DIR": str(tmp_path), **environment}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", LOOK],
        cwd=BASE_DIR,
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize(
    ("provider", "wanted"), [("extractive", {"chroma"}), ("openai", {"openai", "chroma"})]
)
def test_what_is_configured_is_imported_before_any_thread_and_nothing_else(
    tmp_path: Path, provider: str, wanted: set[str]
) -> None:
    found = loaded(tmp_path, LLM_PROVIDER=provider, EMBEDDER="hashed", OPENAI_API_KEY="sk-none")
    for kind, modules in LAZY.items():
        assert [name in found["modules"] for name in modules] == [kind in wanted] * len(modules), kind
    assert {"chat.http.views", "cachemgmt.admin.dashboard", "tria_site.openapi"} <= set(found["modules"])
    assert found["threads"] == [["MainThread"], ["MainThread"]]


def test_a_key_that_no_client_takes_does_not_keep_the_port_closed(tmp_path: Path) -> None:
    assert loaded(tmp_path, LLM_PROVIDER="openai", OPENAI_API_KEY="sk with spaces", EMBEDDER="hashed")
