"""A real Redis under three real Sentinels: a master and two replicas, on loopback."""

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

from redis import Redis
from redis.exceptions import RedisError

from tests.fakes.redis_server import HOST, START_WITHIN_S, RedisServer

MASTER = "Tria-Main"
"""A name with capital letters, which are easily lost on the way."""

PASSWORD = "of-redis"
SENTINELS_PASSWORD = "of-the-sentinels"
DOWN_AFTER_MS = 500
FAILOVER_WITHIN_S = 20.0
POLL_S = 0.02


class Sentinel(RedisServer):
    """One redis-sentinel process, which looks after the Redis at `port`."""

    def __init__(self, executable: str, folder: Path, *, of: RedisServer) -> None:
        config = folder / "sentinel.conf"
        config.write_text(
            f"sentinel monitor {MASTER} {HOST} {of.port} 2\n"
            f"sentinel auth-pass {MASTER} {PASSWORD}\n"
            f"sentinel sentinel-pass {SENTINELS_PASSWORD}\n"
            f"sentinel down-after-milliseconds {MASTER} {DOWN_AFTER_MS}\n"
            f"sentinel failover-timeout {MASTER} 5000\n"
            f"requirepass {SENTINELS_PASSWORD}\n"
        )
        super().__init__(executable, folder, password=SENTINELS_PASSWORD)

    def _launch(self) -> "subprocess.Popen[bytes]":
        command = [self._executable, str(self._folder / "sentinel.conf"), "--sentinel"]
        command += ["--port", str(self.port), "--bind", HOST, "--dir", str(self._folder)]
        with (self._folder / "log").open("ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log)


class SentinelGroup:
    """The servers, all running. The master changes; whatever is asked for it is asked of the Sentinels."""

    def __init__(self, executable: str, folder: Path) -> None:
        self.servers = [self._server(executable, folder / f"redis{number}") for number in range(3)]
        first, *others = self.servers
        for server in self.servers:
            server.start()
        for replica in others:
            replica.replicate(of=first)
        self.sentinels = []
        for number in range(3):
            own = folder / f"sentinel{number}"
            own.mkdir()
            self.sentinels.append(Sentinel(executable, own, of=first))
        for sentinel in self.sentinels:
            sentinel.start()
        self.wait_until_whole()

    @staticmethod
    def _server(executable: str, folder: Path) -> RedisServer:
        folder.mkdir()
        options = ("--masterauth", PASSWORD, "--repl-diskless-sync-delay", "0")
        return RedisServer(executable, folder, password=PASSWORD, options=options)

    @property
    def environment(self) -> dict[str, str]:
        """What a product is told of it."""
        return {
            "REDIS_URL": "",
            "REDIS_SENTINELS": ",".join(f"{HOST}:{sentinel.port}" for sentinel in self.sentinels),
            "REDIS_SENTINEL_MASTER": MASTER,
            "REDIS_SENTINEL_PASSWORD": SENTINELS_PASSWORD,
            "REDIS_PASSWORD": PASSWORD,
        }

    @property
    def master(self) -> RedisServer:
        """The one that most Sentinels name now."""
        ports = sorted(int(state["port"]) for state in self._states())
        return next(server for server in self.servers if server.port == ports[len(ports) // 2])

    @property
    def replicas(self) -> list[RedisServer]:
        master = self.master
        return [server for server in self.servers if server is not master]

    def wait_until_whole(self) -> None:
        """Wait until the Sentinels know each other, one master that is up, and two replicas that are."""
        wait_until(self._is_whole)

    def wait_for_another_master_than(self, former: RedisServer) -> RedisServer:
        """Wait until all Sentinels name the same new master, and it takes writes; return it."""

        def has_changed() -> bool:
            ports = {int(state["port"]) for state in self._states()}
            return len(ports) == 1 and former.port not in ports and _role(self.master) == "master"

        wait_until(has_changed)
        return self.master

    def rejoin(self, server: RedisServer) -> None:
        """Start a server that was killed, as a replica of the master of now."""
        server.start()
        server.replicate(of=self.master)
        self.wait_until_whole()

    def fail_over(self) -> RedisServer:
        """Let the Sentinels replace a healthy master, as for maintenance; return the new one.

        A Sentinel looks at replicas now and then only: one that has just joined is no good one for it yet.
        """
        former = self.master
        with asking(self.sentinels[0]) as client:
            wait_until(lambda: bool(client.sentinel_failover(MASTER)))
        return self.wait_for_another_master_than(former)

    def set_down_after(self, milliseconds: int) -> None:
        """Change for how long the master must be silent before it is replaced. A replica that was cut off for
        ten times as long is not taken."""
        for sentinel in self.sentinels:
            with asking(sentinel) as client:
                client.sentinel_set(MASTER, "down-after-milliseconds", milliseconds)

    def stop_replication(self) -> None:
        """Let the replicas fall behind from now on: they can no more log in to their master."""
        for replica in self.replicas:
            with asking(replica) as client:
                client.config_set("masterauth", "wrong")
        with asking(self.master) as client:
            client.client_kill_filter(_type="replica")

    def allow_replication(self) -> None:
        """Let every running server log in to its master again."""
        for server in self.servers:
            with suppress(RedisError), server.client() as client:
                client.config_set("masterauth", PASSWORD)

    def kill(self) -> None:
        for server in [*self.sentinels, *self.servers]:
            server.kill()

    def _states(self) -> list[dict[str, Any]]:
        found = []
        for sentinel in self.sentinels:
            with asking(sentinel) as client:
                found.append(cast("dict[str, Any]", client.sentinel_master(MASTER)))
        return found

    def _is_whole(self) -> bool:
        states = self._states()
        ports = {state["port"] for state in states}
        up = all(state["flags"] == "master" for state in states)
        counts = {(state["num-other-sentinels"], state["num-slaves"]) for state in states}
        if not up or len(ports) != 1 or counts != {(2, 2)}:
            return False
        with asking(self.master) as client:
            connected: int = client.info("replication")["connected_slaves"]
        return connected == 2


@contextmanager
def asking(server: RedisServer) -> Iterator[Redis]:
    """A client of the server, which is closed afterwards."""
    client = server.client()
    try:
        yield client
    finally:
        client.connection_pool.disconnect()


def _role(server: RedisServer) -> str:
    with asking(server) as client:
        return str(client.info("replication")["role"])


def wait_until(holds: Callable[[], bool]) -> None:
    """Return as soon as the condition holds; a server that does not answer yet is asked again."""
    deadline = time.monotonic() + FAILOVER_WITHIN_S + START_WITHIN_S
    while True:
        with suppress(RedisError):
            if holds():
                return
        assert time.monotonic() < deadline, f"not within {FAILOVER_WITHIN_S + START_WITHIN_S:g} s"
        time.sleep(POLL_S)
