"""The API's description says what is served, and is served with its page from here alone."""

import re
import tomllib
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from django.conf import settings
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from drf_spectacular.validation import validate_schema
from rest_framework.views import APIView

from chat.http.problems import TYPES
from tria_site.csp import EVERYWHERE, HEADER

ROOT = Path(settings.BASE_DIR)


@pytest.fixture
def description(client: Client) -> Any:
    response = client.get("/api/schema")
    assert response["Content-Type"] == "application/json"
    return response.json()


def operations(description: Any) -> dict[str, Any]:
    """Return the operations by their names."""
    found = [operation for path in description["paths"].values() for operation in path.values()]
    return {operation["operationId"]: operation for operation in found}


def api_views(patterns: Any, prefix: str = "/") -> dict[str, Any]:
    """Return the path of each view of the API, with the view."""
    found: dict[str, Any] = {}
    for pattern in patterns:
        path = f"{prefix}{pattern.pattern}"
        if isinstance(pattern, URLResolver):
            found |= api_views(pattern.url_patterns, path)
        elif isinstance(pattern, URLPattern):
            view = getattr(pattern.callback, "cls", None)
            if view and issubclass(view, APIView):
                found[path] = view
    return found


def test_description_is_valid_openapi(description: Any) -> None:
    validate_schema(description)  # type: ignore[no-untyped-call]
    assert description["openapi"].startswith("3.1")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert description["info"]["version"] == project["version"]


def test_every_view_of_the_api_is_described_by_hand(description: Any) -> None:
    assert set(description["paths"]) == set(api_views(get_resolver().url_patterns))
    assert all(operation.get("summary") for operation in operations(description).values())


def test_examples_are_as_the_schemas_say(description: Any) -> None:
    ask = operations(description)["ask"]
    for media in (
        ask["requestBody"]["content"]["application/json"],
        ask["responses"]["200"]["content"]["application/json"],
    ):
        assert media["examples"]
        schema = {**media["schema"], "components": description["components"]}
        for example in media["examples"].values():
            jsonschema.validate(example["value"], schema)


def test_every_problem_has_its_type_in_the_description(description: Any) -> None:
    described = description["components"]["schemas"]["ProblemBody"]["properties"]["type"]["enum"]
    assert described == [f"urn:tria:problem:{kind}" for kind in TYPES]
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "chat").rglob("*.py"))
    raised = re.findall(r'\bproblem\(\s*(\d+),\s*"([a-z-]+)"', source)
    assert len(raised) > 4
    assert {(kind, int(status)) for status, kind in raised} <= set(TYPES.items())


def test_statuses_and_media_types_of_a_question_are_told(description: Any) -> None:
    responses = operations(description)["ask"]["responses"]
    assert set(responses["200"]["content"]) == {"application/json", "text/event-stream"}
    assert {int(status) for status in responses} == {200, *TYPES.values()}
    errors = {status: told for status, told in responses.items() if status != "200"}
    assert all(set(told["content"]) == {"application/problem+json"} for told in errors.values())
    for status in ("429", "503", "504"):
        assert "Retry-After" in responses[status]["headers"]


def test_a_key_is_asked_for_everywhere_but_by_probes(description: Any) -> None:
    wanting = {name for name, said in operations(description).items() if {"bearer": []} in said["security"]}
    assert wanting == set(operations(description)) - {"health", "live", "ready"}
    assert description["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"


def test_page_has_nothing_inline_and_loads_nothing_from_elsewhere(client: Client) -> None:
    page = client.get("/api/docs").content.decode()
    assert not re.findall(r"<style|\sstyle=|\son[a-z]+=|javascript:|<script(?![^>]*\ssrc=)", page)
    loaded = re.findall(r'(?:src|href)="([^#"]+)"', page)
    assert all(address.startswith(("/static/", "/api/schema")) for address in loaded)
    assert "://" not in page


def test_page_is_as_strict_as_all_others_but_for_its_icons(client: Client) -> None:
    everywhere = "; ".join(f"{name} {value}" for name, value in EVERYWHERE.items())
    assert client.get("/api/docs")[HEADER] == f"{everywhere}; img-src 'self' data:"
    assert client.get("/api/schema")[HEADER] == everywhere
