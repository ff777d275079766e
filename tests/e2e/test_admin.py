"""Somebody who leads support at work in the admin, in a browser, and what customers get of it."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.e2e.conftest import Product
from tests.e2e.fleet import wait_until
from tests.e2e.grounds import LayGround

REFUND = "What's your refund policy?"
COUNTED_WITHIN_S = 10.0
"""A process writes what it counted every 5 s."""

PASSWORD = "for-this-test-alone"
MAKE_LEAD = f"""
from django.contrib.auth.models import Group, User
lead = User.objects.create_user("lena", password="{PASSWORD}", is_staff=True)
lead.groups.add(Group.objects.get(name="Support leads"))
"""


@pytest.fixture(scope="module")
def desk(lay_ground: LayGround) -> Iterator[Product]:
    """A product for these tests alone, since they change its rules; with a lead called lena."""
    ground = lay_ground()
    with Product(data_dir=ground.data_dir, environment=dict(ground.environment), arguments=()) as running:
        running.manage("shell", "-c", MAKE_LEAD)
        yield running


@pytest.fixture
def admin(browser_page: Page, desk: Product) -> Page:
    """The admin's first page, with lena logged in."""
    browser_page.goto(f"{desk.url}/admin/")
    browser_page.get_by_label("Username").fill("lena")
    browser_page.get_by_label("Password").fill(PASSWORD)
    browser_page.get_by_role("button", name="Log in").click()
    expect(browser_page.locator("#cache-state")).to_contain_text("The cache is on and works.")
    return browser_page


def ask(page: Page, question: str) -> dict[str, Any]:
    """Ask as a customer; return what is said of the cache."""
    origin = page.evaluate("window.location.origin")
    response = page.request.post(f"{origin}/api/chat", data={"message": question})
    assert response.ok, response.text()
    cache: dict[str, Any] = response.json()["cache"]
    return cache


def menu(page: Page, title: str) -> None:
    page.locator("#nav-sidebar-apps").get_by_text(title, exact=True).click()


def figure(page: Page, title: str) -> Locator:
    return page.locator(f'[data-figure="{title}"]')


def flush(page: Page, what: str, value: str | None, reason: str) -> None:
    menu(page, "Flush…")
    page.locator(f'input[name=what][value="{what}"]').check()
    if value:
        page.locator(f"[name={what}]").last.select_option(value)
    page.get_by_label("Why?").fill(reason)
    page.get_by_role("button", name="Next").click()


def test_flushed_level_is_made_again(admin: Page) -> None:
    ask(admin, REFUND)
    assert ask(admin, REFUND)["level"] == "response"
    flush(admin, "level", "response", "It was outdated")
    expect(admin.locator("#confirm")).to_contain_text("Level: Complete answers")
    expect(admin.locator("#confirm")).not_to_contain_text("0 stored results")
    admin.get_by_role("button", name="Flush").click()
    expect(admin.get_by_text("None of it is reused from now on.")).to_be_visible()
    expect(admin.locator("#result_list")).to_contain_text("It was outdated")
    assert ask(admin, REFUND)["level"] == "reply"
    assert ask(admin, REFUND)["level"] == "response"


def test_shortened_time_ends_what_is_stored(admin: Page) -> None:
    question = "How long does a refund take?"
    ask(admin, question)
    assert ask(admin, question)["status"] == "hit"
    for level in ("Complete answers", "Written replies"):
        set_time(admin, level, "1", "seconds")
    try:
        # Answers are at least as old as the two edits took; one made meanwhile is a second old at last.
        seen = [ask(admin, question)["reason"] for _ in range(3)]
        assert "expired" in seen
    finally:
        for level in ("Complete answers", "Written replies"):
            set_time(admin, level, "30", "minutes")


def set_time(page: Page, level: str, number: str, unit: str) -> None:
    menu(page, "How long answers last")
    page.get_by_role("link", name=level).first.click()
    page.get_by_label("Number").fill(number)
    page.get_by_label("Unit").select_option(unit)
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("The rule acts from the next question on")).to_be_visible()


def test_warmed_list_is_answered_from_the_cache(admin: Page) -> None:
    menu(admin, "Warming lists")
    admin.locator('a[href$="/warminglist/add/"]').first.click()
    admin.get_by_label("Name").fill("Monday morning")
    questions = ["Do you ship to Ireland?", "Can I return opened coffee?"]
    admin.get_by_label("Add questions, one per line").fill("\n".join(questions))
    admin.get_by_role("button", name="Save and continue editing").click()
    expect(admin.get_by_text("2 questions added.")).to_be_visible()
    admin.get_by_role("link", name="Warm this list…").click()
    expect(admin.locator("#confirm")).to_contain_text("Answer 2 questions ahead?")
    admin.get_by_role("button", name="Warm now").click()
    expect(admin.locator("#run-progress")).to_contain_text("2 of 2 questions", timeout=30_000)
    expect(admin.locator("#run-progress")).not_to_contain_text("refreshes itself")
    expect(admin.locator("#header-inner")).to_contain_text("Monday morning: done")
    made = int(admin.locator("#run-progress dd strong").first.inner_text())
    hits = sum(ask(admin, question)["status"] == "hit" for question in questions)
    assert (made, hits) == (2, 2)


def test_switched_off_cache_reuses_nothing(admin: Page) -> None:
    ask(admin, REFUND)
    admin.get_by_role("link", name="Switch off…").click()
    admin.get_by_role("button", name="Switch off").click()
    expect(admin.locator("#cache-state")).to_contain_text("The cache is switched off.")
    try:
        assert ask(admin, REFUND)["status"] == "bypass"
    finally:
        admin.get_by_role("link", name="Switch on…").click()
        admin.get_by_role("button", name="Switch on").click()
    expect(admin.locator("#cache-state")).to_contain_text("The cache is on and works.")
    assert ask(admin, REFUND)["status"] == "hit"


def test_dashboard_counts_questions_and_draws_them(admin: Page) -> None:
    def counted() -> int:
        admin.reload()
        return int(figure(admin, "Questions").inner_text().replace(",", ""))

    before = counted()
    ask(admin, REFUND)
    ask(admin, REFUND)
    # More than two where another worker only now writes down what it counted before.
    wait_until(lambda: counted() >= before + 2, COUNTED_WITHIN_S)
    is_drawn = "canvas => canvas.toDataURL() !== Object.assign(document.createElement('canvas'), "
    is_drawn += "{width: canvas.width, height: canvas.height}).toDataURL()"
    assert admin.locator("canvas.chart").evaluate(is_drawn)


def test_edited_policy_is_answered_from_at_once(admin: Page) -> None:
    question = "When does the shop in Leeds open?"
    menu(admin, "Documents")
    admin.get_by_placeholder("Search titles and texts").fill("refund")
    admin.keyboard.press("Enter")
    admin.locator("#result_list tbody th a").first.click()
    admin.get_by_role("link", name="Edit…").click()
    text = admin.get_by_label("Text")
    text.fill(text.input_value() + "\n## The shop in Leeds\n\nThe shop in Leeds opens at 7 in the morning.\n")
    admin.get_by_role("button", name="Next").click()
    expect(admin.locator("#confirm")).to_contain_text("The shop in Leeds opens at 7 in the morning.")
    admin.get_by_role("button", name="Publish").click()
    expect(admin.get_by_text("Published. The next question is answered from the new text")).to_be_visible(
        timeout=60_000
    )
    origin = admin.evaluate("window.location.origin")
    answer = admin.request.post(f"{origin}/api/chat", data={"message": question}).json()
    assert "7 in the morning" in str(answer["sources"]) + answer["answer"]
