"""What a product stands on: a database with the sample policies and their vectors, embedded or in servers."""

import shutil
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.local_servers import Servers


@dataclass(frozen=True, kw_only=True)
class Ground:
    """Fresh for whoever got it: nothing answered yet."""

    data_dir: Path
    environment: Mapping[str, str]
    database_out: Callable[[], AbstractContextManager[None]]
    """A context during which nobody can reach the database."""


LayGround = Callable[[], Ground]


def embedded_ground(prepared_dir: Path, folder: Path) -> Ground:
    """Return one on a copy of `prepared_dir`: SQLite and embedded Chroma."""
    data_dir = shutil.copytree(prepared_dir, folder / "data")
    # The database alone in a folder, so that it can be moved away as a whole.
    database_dir = data_dir / "database"
    database_dir.mkdir()
    for file in data_dir.glob("tria.sqlite3*"):
        file.rename(database_dir / file.name)

    @contextmanager
    def away() -> Iterator[None]:
        moved = database_dir.rename(data_dir / "away")
        try:
            yield
        finally:
            moved.rename(database_dir)

    environment = {"DATABASE_URL": f"sqlite:///{database_dir / 'tria.sqlite3'}"}
    return Ground(data_dir=data_dir, environment=environment, database_out=away)


def full_ground(servers: Servers, folder: Path, *, number: int, template: str) -> Ground:
    """Return one of the full topology with two workers. The number is that of its own Redis database, and of
    its PostgreSQL database, made from the template. Chroma is shared: what is in it is named by its content.
    """

    @contextmanager
    def crashed() -> Iterator[None]:
        servers.postgres.part.stop(signal.SIGQUIT)  # its way to end at once, with nothing written down
        try:
            yield
        finally:
            servers.postgres.part.start()

    environment = {
        "DATABASE_URL": servers.postgres.create_database(f"tria{number}", template=template),
        "CHROMA_URL": servers.chroma_url,
        "REDIS_URL": f"{servers.redis_url.removesuffix('/0')}/{number}",
        "WEB_WORKERS": "2",
    }
    return Ground(data_dir=folder, environment=environment, database_out=crashed)
