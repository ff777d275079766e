"""Runs TRIA as it runs at scale, from local binaries: PostgreSQL, Redis with a password, a Chroma server, and
the web server with two workers over them, on free loopback ports and in temporary folders.

    python deploy/topology.py      # Ctrl-C or SIGTERM stops all of it

What is set for the web server (LLM_PROVIDER, OPENAI_API_KEY, WEB_WORKERS, PORT…) reaches it.
"""

import os
import secrets
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from deploy.local_servers import PYTHON, Servers, running_servers  # noqa: E402
from deploy.parts import CannotStart, Part, free_port, get, pause, told_to_stop  # noqa: E402

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, kw_only=True)
class Topology:
    """All of it, running."""

    servers: Servers
    web: Part

    @property
    def told(self) -> list[str]:
        """What the web server said of itself at its start: addresses, and the admin's password."""
        lines = self.web.log.read_text(errors="replace").splitlines()
        return [line for line in lines if line.startswith("tria: ")]


@contextmanager
def running_topology() -> Iterator[Topology]:
    """Run the servers, and over them the web server with the sample policies; stop everything afterwards.
    Raises CannotStart."""
    with running_servers() as servers, tempfile.TemporaryDirectory(prefix="tria-web-") as folder:
        port = int(os.environ.get("PORT") or free_port())
        environment = {
            "WEB_WORKERS": "2",
            "SECRET_KEY": secrets.token_urlsafe(50),
            **os.environ,
            "TRIA_DATA_DIR": folder,
            "DATABASE_URL": servers.postgres.create_database("tria"),
            "REDIS_URL": servers.redis_url,
            "CHROMA_URL": servers.chroma_url,
            "PORT": str(port),
        }
        web = Part(
            name="web",
            command=[PYTHON, "manage.py", "serve", "--prepare"],
            environment=environment,
            folder=Path(folder),
            cwd=ROOT,
            port=port,
            is_ready=lambda: has_announced(web.log) and is_well(get(port, "/api/health")),
        )
        try:
            web.start()
            yield Topology(servers=servers, web=web)
        finally:
            web.stop()


def has_announced(log: Path) -> bool:
    """Return whether the web server has told its addresses: all its workers are ready then."""
    return "tria: API " in log.read_text(errors="replace")


def is_well(health: Any) -> bool:
    """Return whether the web server says that all is well, and that it works over these servers."""
    if not isinstance(health, dict) or health.get("status") != "ok":
        return False
    return (health["cache"]["store"], health["knowledge"]["index"]) == ("redis", "server")


def main() -> None:
    for number in STOPPING:
        signal.signal(number, lambda number, _: told_to_stop.append(number))
    try:
        print("topology: starting PostgreSQL, Redis, Chroma and the web server", flush=True)
        with running_topology() as topology:
            servers = topology.servers
            print("\n".join(topology.told))
            print(f"topology: PostgreSQL {servers.postgres.url('tria')}")
            print(f"topology: Redis      {servers.redis_url}")
            print(f"topology: Chroma     {servers.chroma_url}")
            print(f"topology: log        {topology.web.log}")
            print("topology: all is well; Ctrl-C stops everything", flush=True)
            while True:
                for part in (servers.postgres.part, servers.redis, servers.chroma, topology.web):
                    part.require_running()
                pause()
    except CannotStart as error:
        sys.exit(f"topology: {error}")
    except KeyboardInterrupt:
        print("topology: everything is stopped")


if __name__ == "__main__":
    main()
