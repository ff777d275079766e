"""What the tests of the providers share."""

import pytest

from chat.providers.base import Provider
from tests.fakes.fixtures import make_openai_provider
from tests.fakes.llm_server import LlmServer


@pytest.fixture
def provider(llm_server: LlmServer) -> Provider:
    """An OpenAIProvider on this test's endpoint."""
    return make_openai_provider(llm_server)
