"""When a process says that it is ready, and what it says until then."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from cachemgmt.api import learn_from_database
from cachemgmt.decisions.database import snapshot
from chat import assembly, readiness
from chat.errors import IndexUnavailable, ProviderMisconfigured
from chat.knowledge.publishing import publish
from chat.models import Collection
from chat.readiness import NO_DATABASE, NO_INDEX, NO_MODELS, Readiness
from chat.source_document import SourceDocument
from tests.fakes.fixtures import make_openai_provider
from tests.fakes.llm_script import Fail
from tests.fakes.llm_server import LlmServer


class Part:
    """Something to get ready that fails some times first."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.tries = 0

    def prepare(self) -> None:
        self.tries += 1
        if self.errors:
            raise self.errors.pop(0)


class Machine:
    """A process with two parts. Nothing sleeps: each pause is counted, and may change something."""

    def __init__(self, models: Part, index: Part) -> None:
        self.is_database_read = True
        self.when_paused: Callable[[], None] = lambda: None
        self.missing_in_pauses: list[list[str]] = []
        self.n_announced = 0
        self.readiness = Readiness(
            {NO_MODELS: models.prepare, NO_INDEX: index.prepare},
            is_database_read=lambda: self.is_database_read,
            when_ready=self.announce,
            sleep=self.pause,
        )

    def announce(self) -> None:
        self.n_announced += 1

    def pause(self, _seconds: float) -> None:
        self.missing_in_pauses.append(self.readiness.missing())
        self.when_paused()


def test_nothing_is_ready_before_it_was_got_ready() -> None:
    machine = Machine(Part(), Part())
    assert machine.readiness.missing() == [NO_MODELS, NO_INDEX]
    machine.readiness.get_ready()
    assert machine.readiness.missing() == []
    assert (machine.n_announced, machine.missing_in_pauses) == (1, [])


def test_what_fails_is_tried_until_it_works_and_the_rest_only_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    models, index = Part(), Part(IndexUnavailable(), IndexUnavailable(), ZeroDivisionError())
    machine = Machine(models, index)
    machine.readiness.get_ready()
    assert (models.tries, index.tries) == (1, 4)
    assert machine.missing_in_pauses == [[NO_INDEX]] * 3
    assert machine.n_announced == 1
    told = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert told == [f"Not ready, trying on: {NO_INDEX} (IndexUnavailable)", "Ready after all"]


def test_a_database_that_is_out_is_waited_for() -> None:
    machine = Machine(Part(), Part())
    machine.is_database_read = False
    machine.when_paused = lambda: setattr(machine, "is_database_read", True)
    machine.readiness.get_ready()
    assert machine.missing_in_pauses == [[NO_DATABASE]]
    machine.is_database_read = False
    assert machine.readiness.missing() == [NO_DATABASE], "and is missed when it goes"


@pytest.fixture
def shop(db: None, llm_server: LlmServer, settings: Any, tmp_path: Path) -> Iterator[Collection]:
    """A process with a collection of its own, empty at first, and a model's endpoint."""
    settings.CHROMA_URL = None
    settings.CHROMA_DIR = tmp_path / "chroma"
    settings.EMBEDDER = "hashed"
    settings.DEFAULT_COLLECTION = "shop"
    once: tuple[Any, ...] = (
        assembly.provider,
        assembly.response_cache,
        assembly.pipeline,
        readiness.readiness,
    )
    for made_once in once:
        made_once.cache_clear()
    collection = Collection.objects.create(slug="shop", name="Shop")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(assembly, "_chosen_provider", lambda: make_openai_provider(llm_server))
        learn_from_database()
        yield collection
    for made_once in once:
        made_once.cache_clear()


def test_the_probe_says_what_is_missing_and_then_that_it_is_ready(
    shop: Collection, client: Client, settings: Any
) -> None:
    settings.REQUIRE_API_KEY = True
    publish(shop, [SourceDocument(key="refunds", title="Refunds", text="Refunds take five days.")])
    learn_from_database()
    early = client.get("/readyz", headers={"Authorization": "Bearer nobody's"})
    assert (early.status_code, early["Content-Type"]) == (503, "application/problem+json")
    assert early.json() == {
        "type": "urn:tria:problem:not-ready",
        "title": "Not ready yet",
        "status": 503,
        "detail": f"{NO_MODELS} {NO_INDEX}",
        "retry_after_s": 1,
    }
    assert early["Retry-After"] == "1"
    assert client.get("/livez").json() == {"status": "live"}
    readiness.readiness().get_ready()
    assert client.get("/readyz").json() == {"status": "ready"}


def test_a_collection_without_policies_is_ready(shop: Collection, client: Client) -> None:
    readiness.readiness().get_ready()
    assert client.get("/readyz").status_code == 200


def test_a_default_collection_that_is_not_there_yet_is_ready(shop: Collection, client: Client) -> None:
    shop.delete()
    snapshot().forget()
    learn_from_database()
    readiness.readiness().get_ready()
    assert client.get("/readyz").status_code == 200


def test_an_endpoint_that_fails_keeps_nobody_from_the_stored_answers(
    shop: Collection, client: Client, llm_server: LlmServer
) -> None:
    for stage in ("classify", "generate", "validate", "embed"):
        llm_server.always(stage, Fail(500))
    readiness.readiness().get_ready()
    assert client.get("/readyz").status_code == 200


def test_a_provider_that_cannot_be_built_is_not_ready(
    shop: Collection, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise ProviderMisconfigured

    with monkeypatch.context() as patch:
        patch.setattr(assembly, "_chosen_provider", refuse)
        with pytest.raises(ProviderMisconfigured):
            readiness.load_models()
    readiness.load_models()


def test_another_collections_index_does_not_keep_the_rest_from_being_served(
    shop: Collection, caplog: pytest.LogCaptureFixture
) -> None:
    Collection.objects.create(slug="hats", name="Hats", revision="not-indexed", published_at=timezone.now())
    snapshot().forget()
    learn_from_database()
    Collection.objects.filter(slug="hats").update(revision="published-meanwhile")
    readiness.open_indexes()
    assert "The index of hats is not open: IndexUnavailable" in caplog.text
