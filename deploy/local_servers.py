"""PostgreSQL, Redis and a Chroma server from local binaries, on free loopback ports while they are wanted."""

import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from deploy.parts import HOST, CannotStart, Part, as_user, free_port, get, run

ROOT = Path(__file__).resolve().parent.parent
UNPRIVILEGED = "postgres", "nobody"
"""As whom PostgreSQL runs where this runs as root, which it refuses: the first of them that there is."""


def postgres_folder() -> Path | None:
    """Return where PostgreSQL's programs are: the PATH's, else Debian's newest."""
    on_path = shutil.which("initdb")
    if on_path:
        return Path(on_path).resolve().parent  # beside it are `postgres` and the others
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    return max(found, key=lambda path: int(path.parent.name), default=None)


PYTHON = sys.executable if importlib.util.find_spec("django") else str(ROOT / ".venv/bin/python")


def find_programs() -> tuple[Path, str, Path]:
    """Return PostgreSQL's folder, redis-server and chroma. Raises CannotStart naming all that are missing."""
    postgres, redis, chroma = (
        postgres_folder(),
        shutil.which("redis-server"),
        Path(PYTHON).with_name("chroma"),
    )
    missing = []
    if not chroma.exists():
        missing.append(
            f"{chroma} (run make .venv/installed, or this with the Python that TRIA is installed for)"
        )
    if redis is None:
        missing.append("redis-server on the PATH (Debian: apt-get install redis-server)")
    if postgres is None:
        missing.append(
            "PostgreSQL's initdb on the PATH or in /usr/lib/postgresql (apt-get install postgresql)"
        )
    if redis is None or postgres is None or missing:
        raise CannotStart(f"missing: {'; '.join(missing)}")
    return postgres, redis, chroma


@dataclass(frozen=True, kw_only=True)
class PostgreSQL:
    """A PostgreSQL server, and its one user, who may do everything."""

    part: Part
    programs: Path
    password: str

    @classmethod
    def prepare(cls, folder: Path, programs: Path) -> "PostgreSQL":
        """Make the data directory; where this runs as root, for another user, who can enter the folder."""
        password, port, secret = secrets.token_urlsafe(24), free_port(), folder / "password"
        secret.touch(mode=0o600)
        secret.write_text(password)
        user = None
        if os.getuid() == 0:
            known = {entry.pw_name for entry in pwd.getpwall()}
            user = next(name for name in UNPRIVILEGED if name in known)
            shutil.chown(folder, user)
            shutil.chown(secret, user)
        initdb = [str(programs / "initdb"), "-D", str(folder / "data"), "-U", "tria", f"--pwfile={secret}"]
        initdb += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"]
        run(initdb, cwd=folder, **as_user(user))
        secret.unlink()
        # What is in a temporary folder does not outlive the machine: no need to wait for the disk.
        options = {"listen_addresses": HOST, "unix_socket_directories": "", "fsync": "off"}
        command = [str(programs / "postgres"), "-D", str(folder / "data"), "-p", str(port)]
        asking = [str(programs / "pg_isready"), "-q", "-h", HOST, "-p", str(port)]
        part = Part(
            name="postgresql",
            command=[*command, *(f"--{name}={value}" for name, value in options.items())],
            folder=folder,
            port=port,
            user=user,
            stop_signal=signal.SIGINT,  # sends clients away; SIGTERM would wait for them
            is_ready=lambda: subprocess.run(asking, check=False).returncode == 0,
        )
        return cls(part=part, programs=programs, password=password)

    def url(self, database: str) -> str:
        return f"postgres://tria:{self.password}@{HOST}:{self.part.port}/{database}"

    def create_database(self, name: str, *, template: str = "template1") -> str:
        """Make a database with all that is in the template, which nobody may be using; return its URL."""
        command = [str(self.programs / "createdb"), "-h", HOST, "-p", str(self.part.port), "-U", "tria"]
        run([*command, "-T", template, name], env={**os.environ, "PGPASSWORD": self.password})
        return self.url(name)


def redis_part(folder: Path, program: str, password: str) -> Part:
    """Return a Redis that keeps nothing on disk. Its password is in a file, so that no list of processes
    shows it."""
    port, file = free_port(), folder / "redis.conf"
    file.touch(mode=0o600)
    lines = (f"bind {HOST}", f"port {port}", f"requirepass {password}", 'save ""')
    file.write_text("\n".join([*lines, "databases 64", "maxmemory-policy volatile-lru\n"]))

    def is_ready() -> bool:
        with suppress(OSError), socket.create_connection((HOST, port), timeout=1) as connection:
            connection.sendall(f"AUTH {password}\r\nPING\r\n".encode())
            with connection.makefile("rb") as replies:
                return [replies.readline(), replies.readline()] == [b"+OK\r\n", b"+PONG\r\n"]
        return False

    return Part(name="redis", command=[program, str(file)], folder=folder, port=port, is_ready=is_ready)


def chroma_part(folder: Path, program: Path) -> Part:
    """Return a Chroma server: the Rust one of chromadb's wheel."""
    port = free_port()
    command = [str(program), "run", "--path", str(folder / "data"), "--host", HOST, "--port", str(port)]
    return Part(
        name="chroma",
        command=command,
        folder=folder,
        port=port,
        is_ready=lambda: get(port, "/api/v2/heartbeat") is not None,
    )


@dataclass(frozen=True, kw_only=True)
class Servers:
    """What the web server works over, running."""

    postgres: PostgreSQL
    redis: Part
    redis_url: str
    chroma: Part
    chroma_url: str


@contextmanager
def running_servers() -> Iterator[Servers]:
    """Run PostgreSQL, Redis with a password and Chroma in a temporary folder; stop them and remove it
    afterwards, also when one does not start. Raises CannotStart."""
    postgres_programs, redis_program, chroma_program = find_programs()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tria-topology-")))
        folder.chmod(0o711)  # PostgreSQL's user must get to its own
        own = {name: folder / name for name in ("postgresql", "redis", "chroma")}
        for path in own.values():
            path.mkdir(mode=0o700)
        password = secrets.token_urlsafe(24)
        redis = redis_part(own["redis"], redis_program, password)
        chroma = chroma_part(own["chroma"], chroma_program)
        for part in (redis, chroma):
            stack.callback(part.stop)
            part.launch()
        postgres = PostgreSQL.prepare(own["postgresql"], postgres_programs)
        stack.callback(postgres.part.stop)
        postgres.part.launch()
        for part in (redis, chroma, postgres.part):
            part.wait_until_ready()
        yield Servers(
            postgres=postgres,
            redis=redis,
            redis_url=f"redis://:{password}@{HOST}:{redis.port}/0",
            chroma=chroma,
            chroma_url=f"http://{HOST}:{chroma.port}",
        )
