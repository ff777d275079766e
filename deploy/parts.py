"""Server processes on this machine: started, waited for, stopped."""

import json
import os
import pwd
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

HOST = "127.0.0.1"
START_WITHIN_S = 120.0
STOP_WITHIN_S = 20.0
POLL_S = 0.05
told_to_stop: list[int] = []
"""The signals that came. A handler that raised could do so between a process's start and its being noted."""


class CannotStart(Exception):
    """A part is missing, or did not start, or ended by itself; the message says which."""


def pause() -> None:
    """Wait a moment. Raises KeyboardInterrupt once this process was told to stop."""
    time.sleep(POLL_S)
    if told_to_stop:
        raise KeyboardInterrupt


def free_port() -> int:
    """Return a loopback port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(kw_only=True)
class Part:
    """One server process. Stopped and started again, it keeps its port and its data."""

    name: str
    command: Sequence[str]
    folder: Path
    """Where its log is, and its working directory if `cwd` is not given."""
    port: int
    is_ready: Callable[[], bool]
    environment: Mapping[str, str] | None = None
    user: str | None = None
    cwd: Path | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        return self.folder / f"{self.name}.log"

    def launch(self) -> None:
        """Start it, and do not wait."""
        with self.log.open("ab") as log:
            # A session of its own: Ctrl-C reaches this program alone, which stops the parts in order.
            self.process = subprocess.Popen(
                self.command,
                cwd=self.cwd or self.folder,
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **as_user(self.user),
            )

    def wait_until_ready(self) -> None:
        """Return once it answers. Raises CannotStart when it does not, or ends."""
        deadline = time.monotonic() + START_WITHIN_S
        while not self.is_ready():
            self.require_running()
            if time.monotonic() > deadline:
                raise CannotStart(
                    f"{self.name} does not answer on port {self.port}; its log ends:\n{self.tail()}"
                )
            pause()

    def require_running(self) -> None:
        """Raise CannotStart if it has ended."""
        if self.process is None or self.process.poll() is not None:
            raise CannotStart(f"{self.name} has ended by itself; its log ends:\n{self.tail()}")

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-2000:].strip()

    def start(self) -> None:
        self.launch()
        self.wait_until_ready()

    def stop(self, how: signal.Signals | None = None) -> None:
        """End it and its children, by force after STOP_WITHIN_S. No matter if it does not run."""
        process, self.process = self.process, None
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(how or self.stop_signal)
            with suppress(subprocess.TimeoutExpired):
                process.wait(STOP_WITHIN_S)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(STOP_WITHIN_S)


def as_user(user: str | None) -> dict[str, Any]:
    """Return Popen's arguments for running as that user."""
    return {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []} if user else {}


def run(command: Sequence[str], **options: Any) -> None:
    """Run a command to its end. Raises CannotStart with what it printed if it fails."""
    with tempfile.TemporaryFile() as printed:
        process = subprocess.Popen(command, stdout=printed, stderr=printed, **options)
        try:
            while process.poll() is None:
                pause()
        finally:
            process.kill()
            process.wait()
        if process.returncode:
            printed.seek(0)
            told = printed.read().decode(errors="replace").strip()
            raise CannotStart(f"{' '.join(command[:3])} failed:\n{told[-2000:]}")


def get(port: int, path: str) -> Any:
    """Return what is served on that port of this machine, read as JSON; None if nothing is."""
    connection = HTTPConnection(HOST, port, timeout=2)
    try:
        connection.request("GET", path)
        return json.load(connection.getresponse())
    except (OSError, HTTPException, ValueError):
        return None
    finally:
        connection.close()
