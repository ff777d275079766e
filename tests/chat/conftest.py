"""Fixtures of the conversation's tests."""

from collections.abc import Iterator

import pytest

from tests.chat.endpoint.desk import Desk
from tests.fakes.fixtures import make_openai_provider
from tests.fakes.kitchen import Kitchen
from tests.fakes.llm_server import LlmServer
from tests.fakes.process import fresh_process

__all__ = ["fresh_process"]


@pytest.fixture
def desk(llm_server: LlmServer) -> Iterator[Desk]:
    """A client of this test's endpoint."""
    desk = Desk(llm_server)
    yield desk
    desk.client.close()


@pytest.fixture
def kitchen(db: None, llm_server: LlmServer) -> Kitchen:
    """A pipeline over the fake language model's endpoint and a few policies."""
    return Kitchen(make_openai_provider(llm_server))
