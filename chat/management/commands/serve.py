"""`manage.py serve`: the product on one port; with --prepare, everything it needs before that."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
from argparse import ArgumentParser
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.core.management.base import BaseCommand
from django.db import Error as DatabaseFailure
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

if TYPE_CHECKING:
    from django.db.backends.postgresql.base import DatabaseWrapper

CONNECTIONS_PER_THREAD = 16
"""Connections a worker accepts, idle ones included: those take no thread, and must not shut others out."""

HEADERS_WITHIN_MS = 10_000
"""How long a client may take to send its headers."""

LONGEST_HEADERS = 64 * 1024
"""Bytes of a request's first line and headers; a longer one is refused."""

WORKERS_KILL_TIMEOUT_S = 5
"""For how long a worker may finish what it is at before it is killed."""


def forward_signal_to_main_thread() -> None:
    """Make the first signal reach the main thread, whichever thread the kernel hands it to.

    The server's main thread sleeps on a lock without a time-out; Python runs handlers in the main thread
    alone, and a signal that another thread caught does not wake it.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer)
    # A worker's signals are its own affair.
    os.register_at_fork(after_in_child=lambda: signal.set_wakeup_fd(-1))
    main = threading.main_thread().ident or 0

    def forward() -> None:
        number = os.read(reader, 1)[0]
        signal.pthread_kill(main, number)

    threading.Thread(target=forward, name="tria-signals", daemon=True).start()


def leave_no_connection_to_workers() -> None:
    """Close what is open to the database: workers are forked, and two that talk on one connection out of
    PostgreSQL's pool get each other's replies."""
    connection.close()
    if connection.vendor == "postgresql":
        cast("DatabaseWrapper", connection).close_pool()


def when_all_are_ready(n_workers: int, do: Callable[[], None]) -> int:
    """Return a descriptor to which each worker writes a byte once it is ready; `do` is called, in a thread,
    when as many have."""
    reader, writer = os.pipe()

    def wait() -> None:
        for _ in range(n_workers):
            os.read(reader, 1)
        do()

    threading.Thread(target=wait, name="tria-announcing", daemon=True).start()
    return writer


class Command(BaseCommand):
    help = "Serve TRIA. --prepare migrates, loads the sample policies and creates an admin user first."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--prepare", action="store_true", help="get a development machine ready first")
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1)")

    def handle(self, *args: Any, **options: Any) -> None:
        host, port = options["host"], settings.PORT
        self._require_free_port(host, port)
        self._require_database()
        if options["prepare"]:
            self._say("Database", self._database(), lambda: call_command("migrate", verbosity=0))
            if not settings.IS_PRODUCTION:
                self._load_sample()
                self._create_admin()
        self._require_migrations()
        self._warn_of_empty_collection()
        self._say("Cache", f"Redis at {self._redis()}" if settings.REDIS_URL else "memory of this server")
        self._say("Vectors", "Chroma server" if settings.CHROMA_URL else "embedded Chroma")
        self._say("Provider", self._provider())
        self._say("Start", "getting ready; the addresses follow once the first question can be answered")
        self._serve(host, port)

    def _say_ready(self, host: str, port: int) -> None:
        self._say("Ask", f"http://{host}:{port}/")
        self._say("Admin", f"http://{host}:{port}/admin/")
        self._say("API", f"POST http://{host}:{port}/api/chat")

    def _say(self, what: str, text: str, work: Callable[[], object] | None = None) -> None:
        self.stdout.write(f"tria: {what:<9} {text}")
        self.stdout.flush()
        if work:
            work()

    def _require_free_port(self, host: str, port: int) -> None:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                raise CommandError(
                    f"Port {port} on {host} cannot be used ({error.strerror}). "
                    f"Stop what uses it, or choose another: PORT={port + 1} make run"
                ) from None

    def _require_database(self) -> None:
        try:
            connection.ensure_connection()
        except DatabaseFailure as error:
            raise CommandError(
                f"The database cannot be reached ({type(error).__name__}): see DATABASE_URL"
            ) from None

    def _require_migrations(self) -> None:
        executor = MigrationExecutor(connection)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            raise CommandError("The database is not migrated: run manage.py migrate, or serve --prepare")

    def _warn_of_empty_collection(self) -> None:
        from chat.models import Collection

        slug = settings.DEFAULT_COLLECTION
        if not Collection.objects.filter(slug=slug).exclude(revision="").exists():
            self._say(
                "Policies",
                f"none in the default collection {slug!r} yet: "
                f"manage.py ingest_policies PATH --collection {slug}",
            )

    def _database(self) -> str:
        if connection.vendor == "sqlite":
            return f"SQLite, {settings.DATABASES['default']['NAME']}"
        return f"PostgreSQL, {connection.settings_dict['NAME']}"

    def _redis(self) -> str:
        address = str(settings.REDIS_URL).rpartition("@")[2].removeprefix("redis://")
        if not settings.REDIS_SENTINELS:
            return address
        return f"{address}, by the Sentinels at {', '.join(f'{h}:{p}' for h, p in settings.REDIS_SENTINELS)}"

    def _provider(self) -> str:
        if settings.LLM_PROVIDER == "openai":
            models = settings.OPENAI["models"]
            return f"openai ({', '.join(dict.fromkeys(models.values()))}) at {settings.OPENAI['base_url']}"
        return "extractive (quotes the policies; no language model. Set OPENAI_API_KEY for one)"

    def _load_sample(self) -> None:
        from chat.models import Collection

        if not Collection.objects.filter(slug="sample").exists():
            self._say("Policies", "sample shop, being read and indexed (some seconds, this first time)")
        # In a process of its own: Chroma starts threads, and a server forked from here would hang on them.
        command = [sys.executable, str(settings.BASE_DIR / "manage.py"), "load_sample", "--keep-edits"]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            raise CommandError("The sample policies could not be loaded")
        self._say("Policies", f"sample shop, {done.stdout.strip()}")

    def _create_admin(self) -> None:
        users = get_user_model().objects
        if users.filter(is_superuser=True).exists():
            return
        password = secrets.token_urlsafe(12)
        users.create_superuser("admin", password=password)
        self._say("Admin", f"user admin, password {password} (shown only this once; change it in the admin)")

    def _serve(self, host: str, port: int) -> None:
        from granian.constants import Interfaces
        from granian.http import HTTP1Settings
        from granian.log import LogLevels
        from granian.server import Server

        from chat import readiness

        readiness.ready_descriptor = when_all_are_ready(
            settings.WEB_WORKERS, lambda: self._say_ready(host, port)
        )
        leave_no_connection_to_workers()
        forward_signal_to_main_thread()
        Server(
            "tria_site.server:application",
            factory=True,
            address=host,
            port=port,
            interface=Interfaces.WSGI,
            workers=settings.WEB_WORKERS,
            blocking_threads=settings.WEB_THREADS,
            backpressure=CONNECTIONS_PER_THREAD * settings.WEB_THREADS,
            websockets=False,
            http1_settings=HTTP1Settings(
                header_read_timeout=HEADERS_WITHIN_MS, max_buffer_size=LONGEST_HEADERS
            ),
            log_level=LogLevels.error,
            respawn_failed_workers=True,
            workers_kill_timeout=WORKERS_KILL_TIMEOUT_S,
        ).serve()
