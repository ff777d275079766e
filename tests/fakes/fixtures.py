"""Fixtures around the fakes, for every test.

What needs Django is imported late: pytest may load this module before Django is set up.
"""

import os
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.fakes.llm_server import LlmServer

if TYPE_CHECKING:
    from chat.endpoint.client import OpenAIClient
    from chat.providers.openai_provider import OpenAIProvider

MODELS = {
    "classify": "small-model",
    "generate": "big-model",
    "validate": "small-model",
    "embed": "embed-model",
}


@pytest.fixture
def llm_server() -> Iterator[LlmServer]:
    """A language model's endpoint on loopback, of this test alone."""
    with LlmServer() as server:
        yield server


def make_openai_client(server: LlmServer, **options: Any) -> "OpenAIClient":
    """Return a client of `server` that waits for no retry; `options` replace its arguments."""
    from chat.endpoint.client import OpenAIClient

    defaults = {
        "api_key": server.api_key,
        "base_url": server.base_url,
        "timeout_s": 10.0,
        "sleep": lambda seconds: None,
        "randomness": lambda: 0.5,
    }
    return OpenAIClient(**{**defaults, **options})


def make_openai_provider(
    server: LlmServer, *, models: dict[str, str] | None = None, **options: Any
) -> "OpenAIProvider":
    """Return a provider on `server`; `options` go to its client."""
    from chat.providers.openai_provider import OpenAIProvider

    return OpenAIProvider(make_openai_client(server, **options), models=models or MODELS)


@pytest.fixture(scope="session")
def promtool() -> str:
    """Prometheus's checker of metrics, configuration and rules."""
    return program("promtool", "Debian's package prometheus")


def program(name: str, source: str) -> str:
    """Return the path of a program; where there is none, skip, and in CI fail."""
    found = shutil.which(name)
    if found is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"there is no {name} here: {source} has it")
    return found
