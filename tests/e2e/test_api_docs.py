"""The API's page in a browser: what can be read there, and tried."""

import json

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import Product

OPERATIONS = 8


@pytest.fixture
def docs(browser_page: Page, product: Product) -> Page:
    """The page, with all its operations there."""
    browser_page.goto(f"{product.url}/api/docs")
    expect(browser_page.locator(".opblock")).to_have_count(OPERATIONS)
    return browser_page


def test_operations_are_shown_with_how_to_use_them(docs: Page) -> None:
    for path in (
        "/api/chat",
        "/api/sessions",
        "/metrics",
        "/livez",
        "/readyz",
        "/api/health",
        "/api/cache/health",
        "/api/cache/metrics",
    ):
        expect(docs.locator(f'.opblock-summary-path[data-path="{path}"]')).to_be_visible()
    docs.get_by_text("Ask a question").click()
    operation = docs.locator(".opblock.is-open")
    expect(operation).to_contain_text("only-if-cached")
    expect(operation).to_contain_text("provider-timed-out")
    expect(operation.locator('option[value="text/event-stream"]')).to_be_attached()


def test_a_question_is_asked_from_the_page(docs: Page, product: Product) -> None:
    asked: list[str] = []
    docs.on("request", lambda request: asked.append(request.url))
    docs.get_by_text("Ask a question").click()
    docs.get_by_role("button", name="Try it out").click()
    with docs.expect_response("**/api/chat") as response:
        docs.get_by_role("button", name="Execute").click()
    assert response.value.status == 200
    shown = docs.locator(".live-responses-table .response .microlight").first
    expect(shown).to_contain_text("needs_human")
    assert json.loads(response.value.request.post_data or "")["message"]
    assert f"{product.url}/api/chat" in asked


def test_a_key_can_be_given(docs: Page) -> None:
    docs.route("**/api/chat", lambda route: route.fulfill(json={}))
    docs.get_by_role("button", name="Authorize").click()
    docs.locator(".auth-container input").fill("tria_key")
    docs.locator(".auth-btn-wrapper .authorize").click()
    docs.locator(".btn-done").click()
    docs.get_by_text("Ask a question").click()
    docs.get_by_role("button", name="Try it out").click()
    with docs.expect_request("**/api/chat") as request:
        docs.get_by_role("button", name="Execute").click()
    assert request.value.headers["authorization"] == "Bearer tria_key"


def test_page_asks_nobody_but_the_product(browser_page: Page, product: Product) -> None:
    asked: list[str] = []
    browser_page.on("request", lambda request: asked.append(request.url))
    browser_page.goto(f"{product.url}/api/docs")
    expect(browser_page.locator(".opblock")).to_have_count(OPERATIONS)
    assert len(asked) > 3
    assert all(url.startswith((product.url + "/", "data:")) for url in asked)
