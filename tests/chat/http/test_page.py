"""The chat page as the server sends it, and the headers it comes with."""

import re
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client
from pytest_django.fixtures import Settings

from chat.http.health import PROVIDERS
from chat.http.page import SAMPLE_QUESTIONS
from tria_site.csp import EVERYWHERE, HEADER

STATIC = Path(settings.BASE_DIR) / "static" / "chat"


@pytest.fixture
def page(client: Client) -> str:
    return client.get("/").content.decode()


@pytest.mark.parametrize("name", PROVIDERS)
def test_page_says_which_provider_answers(client: Client, settings: Settings, name: str) -> None:
    settings.LLM_PROVIDER = name
    response = client.get("/")
    assert response.status_code == 200
    assert response.context["provider"] == {"name": name, "description": PROVIDERS[name]}
    assert f"<strong>{name}</strong>" in response.content.decode()


def test_examples_are_of_the_sample_and_shown_for_it_alone(client: Client, settings: Settings) -> None:
    settings.DEFAULT_COLLECTION = "sample"
    assert client.get("/").content.decode().count('class="example"') == len(SAMPLE_QUESTIONS)
    settings.DEFAULT_COLLECTION = "policies"
    text = client.get("/").content.decode()
    assert 'class="example"' not in text
    assert "<strong>policies</strong>" in text


def test_examples_are_among_the_sample_questions() -> None:
    known = (Path(settings.BASE_DIR) / "sample" / "questions.jsonl").read_text(encoding="utf-8")
    assert all(f'"question": "{question}"' in known for question in SAMPLE_QUESTIONS)


def test_page_has_nothing_inline_and_loads_nothing_from_elsewhere(page: str) -> None:
    assert not re.findall(r"<style|\sstyle=|\son[a-z]+=|javascript:|<script(?![^>]*\ssrc=)", page)
    assert all(
        address.startswith("/static/chat/") for address in re.findall(r'(?:src|href)="([^#"]+)"', page)
    )


def test_page_has_landmarks_labels_and_announcements(page: str) -> None:
    for part in ("<header", "<main", "<footer", 'lang="en"', "<h1", 'for="message"', 'name="viewport"'):
        assert page.count(part) == 1, part
    for part in ('role="log" aria-live="polite"', 'role="status"', 'role="alert"'):
        assert page.count(part) == 1, part


def test_scripts_never_make_markup_from_text() -> None:
    scripts = "".join(path.read_text(encoding="utf-8") for path in STATIC.glob("*.js"))
    assert scripts
    for name in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "DOMParser", "eval("):
        assert name not in scripts


def test_page_needs_no_database_and_only_answers_to_reading(client: Client) -> None:
    assert client.head("/").status_code == 200
    assert client.post("/").status_code == 405


def test_every_page_allows_only_what_comes_from_here(client: Client) -> None:
    for path in ("/", "/no-such-page"):
        assert client.get(path)[HEADER] == "; ".join(f"{name} {value}" for name, value in EVERYWHERE.items())


@pytest.mark.django_db
def test_admin_may_evaluate_and_style_but_not_be_framed(client: Client) -> None:
    header = client.get("/admin/login/")[HEADER]
    assert "script-src 'self' 'unsafe-eval'" in header
    assert "frame-ancestors 'none'" in header
    assert "unsafe-eval" not in client.get("/administration")[HEADER]
