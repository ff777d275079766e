"""What the tests of the providers share."""

from collections.abc import Iterator

import pytest

from chat.providers.base import Provider
from tests.chat.providers.desk import Desk
from tests.fakes.fixtures import make_openai_provider
from tests.fakes.llm_server import LlmServer


@pytest.fixture
def desk(llm_server: LlmServer) -> Iterator[Desk]:
    """A client of this test's endpoint."""
    desk = Desk(llm_server)
    yield desk
    desk.client.close()


@pytest.fixture
def provider(llm_server: LlmServer) -> Provider:
    """An OpenAIProvider on this test's endpoint."""
    return make_openai_provider(llm_server)
