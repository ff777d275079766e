"""The first seconds of a server: whoever gets a connection gets an answer, and probes are told the truth."""

import shutil
import signal
import subprocess
import time
from http.client import HTTPException
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from deploy.local_servers import chroma_part, find_programs
from deploy.parts import get
from tests.e2e.conftest import START_S, Product
from tests.e2e.fleet import Asking, Reply, ask, wait_until
from tests.e2e.grounds import LayGround
from tests.fakes.llm_server import LlmServer

N_STARTS = 10
N_CLIENTS = 8
QUESTIONS = [f"What's your refund policy for {n} lamps?" for n in range(N_CLIENTS // 2)]
"""Each is asked by two clients."""

SLOW_IMPORTS = """
import sys, time

class Slow:
    def find_spec(self, name, path=None, target=None):
        if name in {"httpx._api", "openai.resources.chat"}:
            time.sleep(1)

sys.meta_path.insert(0, Slow())
"""
"""Makes each start last as long in the midst of an import as a start on a busy machine may."""


class FirstClients:
    """Clients that try to connect from before the port opens on, and ask as soon as they may."""

    def __init__(self, product: Product) -> None:
        self.replies: list[Reply] = []
        self.failures: list[Exception] = []
        self._product = product
        self._threads = [Thread(target=self._ask, args=(QUESTIONS[n // 2],)) for n in range(N_CLIENTS)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join()

    def _ask(self, question: str) -> None:
        try:
            asking = self._connected(question)
            asking.send()
            self.replies.append(asking.reply())
        except (OSError, HTTPException) as error:
            self.failures.append(error)

    def _connected(self, question: str) -> Asking:
        deadline = time.monotonic() + START_S
        while True:
            try:
                return Asking(self._product, question)
            except ConnectionRefusedError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)


def assert_first_clients_are_answered(product: Product) -> None:
    """Start the product, ask it the moment its port opens, and stop it."""
    clients = FirstClients(product)
    clients.start()
    try:
        product.launch()
        clients.join()
    finally:
        product.stop()
    log = product.log.read_text()
    assert clients.failures == []
    assert [reply.status for reply in clients.replies] == [200] * N_CLIENTS, log[-3000:]
    assert "Traceback" not in log


def with_model(llm: LlmServer) -> dict[str, str]:
    """Return the environment of a product that asks this endpoint."""
    return {
        "LLM_PROVIDER": "openai",
        "OPENAI_API_KEY": llm.api_key,
        "OPENAI_BASE_URL": llm.base_url,
        "EMBEDDER": "minilm",
    }


@pytest.fixture(scope="module")
def data_dir(prepared_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the sample indexed, for one start after the other."""
    return shutil.copytree(prepared_dir, tmp_path_factory.mktemp("start") / "data")


@pytest.mark.parametrize("start", range(N_STARTS))
def test_first_clients_are_answered_by_a_language_model(start: int, data_dir: Path, llm: LlmServer) -> None:
    product = Product(data_dir=data_dir, environment=with_model(llm), arguments=())
    assert_first_clients_are_answered(product)


def test_first_clients_are_answered_while_imports_take_long(
    data_dir: Path, llm: LlmServer, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(SLOW_IMPORTS)
    environment = {**with_model(llm), "PYTHONPATH": str(tmp_path)}
    assert_first_clients_are_answered(Product(data_dir=data_dir, environment=environment, arguments=()))


def test_first_clients_are_answered_by_the_default_provider(data_dir: Path) -> None:
    assert_first_clients_are_answered(Product(data_dir=data_dir, arguments=()))


def test_first_clients_are_answered_by_two_workers_over_redis(lay_full: LayGround, llm: LlmServer) -> None:
    ground = lay_full()
    environment = {**ground.environment, **with_model(llm)}
    product = Product(data_dir=ground.data_dir, environment=environment, arguments=())
    assert_first_clients_are_answered(product)


def missing(product: Product) -> Any:
    """Return what the product says that it lacks: nothing at all while nobody answers."""
    told = get(product.port, "/readyz")
    return None if told is None else told.get("detail", "")


def is_live(product: Product) -> bool:
    return bool(get(product.port, "/livez") == {"status": "live"})


def test_addresses_are_told_once_all_workers_are_ready(lay_full: LayGround) -> None:
    ground = lay_full()
    environment = dict(ground.environment)
    with Product(data_dir=ground.data_dir, environment=environment, arguments=()) as product:
        wait_until(lambda: "tria: API" in product.log.read_text(), START_S)
        log = product.log.read_text()
        assert log.count("Ready") == 2
        assert log.index("tria: Start") < log.index("Ready") < log.index("tria: Ask")


def test_a_redis_that_is_out_keeps_nobody_from_being_ready(lay_full: LayGround) -> None:
    ground = lay_full()
    environment = {**ground.environment, "REDIS_URL": "redis://127.0.0.1:1/0", "WEB_WORKERS": "1"}
    with Product(data_dir=ground.data_dir, environment=environment, arguments=()) as product:
        assert missing(product) == ""
        assert ask(product, QUESTIONS[0]).status == 200


def test_a_start_without_chroma_is_live_and_is_ready_once_chroma_is_there(
    lay_full: LayGround, tmp_path: Path
) -> None:
    ground = lay_full()
    chroma = chroma_part(tmp_path, find_programs()[2])
    environment = {
        **ground.environment,
        "CHROMA_URL": f"http://127.0.0.1:{chroma.port}",
        "WEB_WORKERS": "1",
    }
    product = Product(data_dir=ground.data_dir, environment=environment, arguments=())
    try:
        product.launch()
        wait_until(lambda: missing(product) == "The policies' index is not open.", START_S)
        assert is_live(product)
        early = ask(product, QUESTIONS[0])
        assert (early.status, early.text) == (503, "urn:tria:problem:index-unavailable")
        chroma.start()
        product.wait_until_ready()  # the index is made from the database
        assert ask(product, QUESTIONS[0]).status == 200
        log = product.log.read_text()
        assert log.count("Not ready, trying on: The policies' index is not open. (IndexUnavailable)") == 1
        assert "Traceback" not in log
    finally:
        product.stop()
        chroma.stop()


def test_a_worker_that_starts_while_the_database_is_out_is_ready_when_it_is_back(lay_full: LayGround) -> None:
    ground = lay_full()
    environment = {**ground.environment, "WEB_WORKERS": "1"}
    with Product(data_dir=ground.data_dir, environment=environment, arguments=()) as product:
        assert ask(product, QUESTIONS[0]).outcome == "miss"
        with ground.database_out():
            kill_worker(product)
            wait_until(lambda: "The database cannot be read." in (missing(product) or ""), START_S)
            assert is_live(product)
            assert ask(product, QUESTIONS[0]).status == 503
        product.wait_until_ready()
        assert ask(product, QUESTIONS[0]).outcome == "hit"


def kill_worker(product: Product) -> None:
    """End the server's only worker as `kill -9` would. The server starts another."""
    assert product.process
    of_server = ["ps", "-o", "pid=", "--ppid", str(product.process.pid)]
    [worker] = subprocess.run(of_server, capture_output=True, text=True, check=True).stdout.split()
    subprocess.run(["kill", f"-{signal.SIGKILL.value}", worker], check=True)


def test_a_server_that_cannot_reach_its_database_says_so_in_a_line(tmp_path: Path) -> None:
    environment = {"DATABASE_URL": "postgres://tria:none@127.0.0.1:1/tria"}
    product = Product(data_dir=tmp_path, environment=environment, arguments=())
    product.launch()
    try:
        assert product.is_gone_within(START_S)
    finally:
        product.stop()
    log = product.log.read_text()
    assert "The database cannot be reached" in log
    assert "Traceback" not in log
