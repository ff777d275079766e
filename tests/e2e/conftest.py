"""The product itself, as a customer's operator starts it: its own process, port and data directory."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Self

import pytest

from deploy.local_servers import Servers, find_programs, running_servers
from deploy.parts import CannotStart, free_port
from tests.e2e.grounds import Ground, LayGround, embedded_ground, full_ground
from tests.fakes.browser import browser, browser_page, complaints, open_page
from tests.fakes.llm_server import LlmServer
from tests.fakes.redis_server import RedisServer

__all__ = ["browser", "browser_page", "complaints", "open_page"]

ROOT = Path(__file__).resolve().parents[2]
START_S = 90.0
STOP_S = 20.0
POLL_S = 0.1
INHERITED = ("PATH", "HOME", "LANG", "TMPDIR")
"""Nothing else of the environment reaches the product: a key or a Redis of this machine must not."""


@dataclass(kw_only=True)
class Product:
    """One running product. `stop` and `start` may be called again and again; data and address stay."""

    data_dir: Path
    environment: dict[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ("--prepare",)
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self.data_dir / "serve.log"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def start(self) -> None:
        """Return once it is ready for questions; fail after START_S, or as soon as the process is gone."""
        self.launch()
        self.wait_until_ready()

    def launch(self) -> None:
        """Start it, and do not wait."""
        command = [sys.executable, "manage.py", "serve", *self.arguments]
        with self.log.open("ab") as log:
            # Its own process group: the web server has workers, and all of them must go.
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=self._whole_environment, stdout=log, stderr=log, start_new_session=True
            )

    def wait_until_ready(self) -> None:
        """Return once it is ready; end it and fail after START_S, or as soon as the process is gone."""
        try:
            self._wait_until_ready()
        except BaseException:  # A test's time limit and Ctrl-C too: nothing may be left running.
            self.stop()
            raise

    @property
    def _whole_environment(self) -> dict[str, str]:
        return {
            **{name: os.environ[name] for name in INHERITED if name in os.environ},
            "TRIA_DATA_DIR": str(self.data_dir),
            "PORT": str(self.port),
            "LLM_PROVIDER": "extractive",
            **self.environment,
        }

    def manage(self, *arguments: str) -> str:
        """Run a command beside the server, with its environment, and return what it prints; fail if it
        fails."""
        command = [sys.executable, "manage.py", *arguments]
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=self._whole_environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=START_S,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_S
        while not self.is_ready():
            if self.is_gone_within(POLL_S) or time.monotonic() > deadline:
                pytest.fail(f"The product did not start. Its log ends:\n{self.log.read_text()[-3000:]}")

    def is_ready(self) -> bool:
        """Return whether it says so; false while nobody answers."""
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=2) as response:
                is_ok: bool = response.status == 200
                return is_ok
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False

    def is_gone_within(self, wait_s: float) -> bool:
        """Wait that long at most; return whether the process has ended."""
        assert self.process
        try:
            self.process.wait(wait_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self) -> None:
        """End the process and its workers as `kill -9` would, all at once."""
        assert self.process
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(STOP_S)
        self.process = None

    def freeze(self) -> None:
        """Let it hang: connections are accepted by the kernel, and nothing is done."""
        assert self.process
        os.killpg(self.process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on after `freeze`. No matter if it is not frozen."""
        assert self.process
        os.killpg(self.process.pid, signal.SIGCONT)

    def stop(self) -> None:
        """End the process and its workers: politely, and after STOP_S by force."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.thaw()  # A frozen one would never see the signal.
            self.process.terminate()
            self.is_gone_within(STOP_S)
        with contextlib.suppress(ProcessLookupError):  # The whole group has ended by itself, as it should.
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(STOP_S)
        self.process = None


@pytest.fixture(scope="session")
def prepared_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with the sample indexed and nothing answered yet. To be copied, not used."""
    with Product(data_dir=tmp_path_factory.mktemp("prepared")) as prepared:
        return prepared.data_dir


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """The full topology's servers, shared by the session's tests. Skips where a program is missing; in CI
    that is a failure."""
    try:
        find_programs()
    except CannotStart as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))
    with running_servers() as running:
        yield running


@pytest.fixture(scope="session")
def lay_embedded(tmp_path_factory: pytest.TempPathFactory, prepared_dir: Path) -> LayGround:
    """Lays an embedded ground at each call."""
    return lambda: embedded_ground(prepared_dir, tmp_path_factory.mktemp("embedded"))


@pytest.fixture(scope="session")
def lay_full(tmp_path_factory: pytest.TempPathFactory, servers: Servers) -> LayGround:
    """Lays a ground of the full topology at each call."""
    environment = {
        "DATABASE_URL": servers.postgres.create_database("prepared"),
        "CHROMA_URL": servers.chroma_url,
    }
    with Product(data_dir=tmp_path_factory.mktemp("prepared_full"), environment=environment):
        pass  # The sample is in both now, and nobody uses the database: it can be copied.
    numbers = count(1)

    def lay() -> Ground:
        folder = tmp_path_factory.mktemp("full")
        return full_ground(servers, folder, number=next(numbers), template="prepared")

    return lay


@pytest.fixture(scope="module")
def llm() -> Iterator[LlmServer]:
    """A language model's endpoint, of one module's tests."""
    with LlmServer() as server:
        yield server


@pytest.fixture(scope="module")
def redis(redis_executable: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis of one module's tests, which they may kill and start again."""
    server = RedisServer(redis_executable, tmp_path_factory.mktemp("redis"), password="e2e")
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module", params=["embedded", "full"])
def lay_ground(request: pytest.FixtureRequest) -> LayGround:
    """Lays grounds of one topology: a module that uses this runs on both."""
    lay: LayGround = request.getfixturevalue(f"lay_{request.param}")
    return lay


@pytest.fixture(scope="session")
def product(tmp_path_factory: pytest.TempPathFactory, prepared_dir: Path) -> Iterator[Product]:
    """The product with its sample policies and the extractive provider, shared by the session's tests."""
    data_dir = tmp_path_factory.mktemp("product") / "data"
    with Product(data_dir=shutil.copytree(prepared_dir, data_dir), arguments=()) as running:
        yield running


@pytest.fixture
def own_product(tmp_path: Path, prepared_dir: Path) -> Iterator[Product]:
    """A product of this test alone, which it may stop and start again."""
    with Product(data_dir=shutil.copytree(prepared_dir, tmp_path / "data"), arguments=()) as running:
        yield running


@pytest.fixture
def llm_product(lay_full: LayGround, llm_server: LlmServer) -> Iterator[Product]:
    """A product of this test alone that asks `llm_server`, on the full topology."""
    ground = lay_full()
    environment = {
        **ground.environment,
        "LLM_PROVIDER": "openai",
        "OPENAI_API_KEY": llm_server.api_key,
        "OPENAI_BASE_URL": llm_server.base_url,
        "EMBEDDER": "minilm",
    }
    with Product(data_dir=ground.data_dir, environment=environment, arguments=()) as running:
        yield running
