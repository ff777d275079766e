"""What the tests of the deployment's files share."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.fakes.fixtures import program

ROOT = Path(__file__).resolve().parents[2]
REQUIRED = {
    "SECRET_KEY": "0123456789" * 5,
    "ALLOWED_HOSTS": "tria.example",
    "POSTGRES_PASSWORD": "pg0password",
    "REDIS_PASSWORD": "redis0password",
    "DEFAULT_COLLECTION": "acme",
}
"""What compose must be told."""


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def compose() -> dict[str, Any]:
    """docker-compose.yml, its anchors resolved and its variables not."""
    found: dict[str, Any] = yaml.safe_load(text_of("docker-compose.yml"))
    return found


@pytest.fixture(scope="session")
def compose_command() -> list[str]:
    """Compose, which needs no engine to read a file."""
    return [program("docker-compose", "Debian's package of that name")]


@pytest.fixture(scope="session")
def redis_cli() -> str:
    """Redis's own client, with which compose asks how Redis is."""
    return program("redis-cli", "Debian's package redis-tools")
