"""The same with a Chroma server: the Rust one that chromadb's wheel carries."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from pytest_django import Settings

from chat.errors import IndexUnavailable
from chat.knowledge import chroma
from chat.knowledge.index import Index
from chat.models import Collection
from deploy.parts import free_port
from tests.chat.knowledge.conftest import found, put

PROGRAM = Path(sys.executable).with_name("chroma")
START_WITHIN_S = 60
Process = subprocess.Popen[bytes]

pytestmark = pytest.mark.skipif(not PROGRAM.exists(), reason="chromadb's wheel has no `chroma` program here")


@pytest.fixture(scope="module")
def process_and_url(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Process, str]]:
    folder, port = tmp_path_factory.mktemp("chroma_server"), str(free_port())
    command = [str(PROGRAM), "run", "--path", str(folder), "--host", "127.0.0.1", "--port", port]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + START_WITHIN_S
    while not _answers(url):
        assert process.poll() is None, (folder / "log").read_text()
        assert time.monotonic() < deadline, "the Chroma server does not start"
        try:
            process.wait(timeout=0.05)
        except subprocess.TimeoutExpired:
            continue
    yield process, url
    process.send_signal(signal.SIGCONT)
    process.terminate()
    process.wait(timeout=10)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/api/v2/heartbeat", timeout=1).is_success
    except httpx.HTTPError:
        return False


@pytest.fixture(autouse=True)
def server(process_and_url: tuple[Process, str], chroma_dir: Path, settings: Settings) -> Iterator[Process]:
    process, settings.CHROMA_URL = process_and_url
    yield process
    for name in chroma.all_names():
        chroma.remove(name)


def test_policies_are_published_to_a_server(index: Index, shop: Collection, chroma_dir: Path) -> None:
    put(shop, "coffee", "tea")
    old = shop.revision
    put(shop, "cocoa")
    assert found(index, shop, "cocoa")[0] == "cocoa"
    assert found(index, shop, "tea", revision=old)[0] == "tea"
    assert len(chroma.all_names()) == 2
    assert not chroma_dir.exists()


def test_a_view_lost_by_the_server_is_made_again(index: Index, shop: Collection) -> None:
    put(shop, "coffee", "tea")
    assert found(index, shop, "tea")[0] == "tea"
    for name in chroma.all_names():
        chroma.remove(name)
    assert found(index, shop, "tea")[0] == "tea"


def test_what_another_build_has_begun_is_completed(index: Index, shop: Collection) -> None:
    put(shop, "coffee", "tea")
    rows = chroma.opened(index._name("shop", shop.revision))
    assert rows is not None
    rows.delete(ids=["000000001"])
    assert sorted(found(index, shop, "tea")) == ["coffee", "tea"]


def test_a_hung_server_is_not_waited_for(
    index: Index, shop: Collection, server: Process, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chroma, "TIMEOUT_S", 0.5)
    settings.CHROMA_URL = settings.CHROMA_URL.replace("127.0.0.1", "localhost")  # a client of its own
    put(shop, "coffee")
    assert found(index, shop, "coffee") == ["coffee"]
    server.send_signal(signal.SIGSTOP)
    try:
        with pytest.raises(IndexUnavailable):
            found(index, shop, "coffee")
    finally:
        server.send_signal(signal.SIGCONT)
