"""A customer at the chat page, in a browser, with the product behind it."""

import json
import re
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, Request, Route, expect

from chat.http.page import SAMPLE_QUESTIONS
from tests.e2e import fleet
from tests.e2e.conftest import ROOT, Product
from tests.fakes.browser import OpenPage
from tests.fakes.llm_script import Fail, Hold
from tests.fakes.llm_server import LlmServer

REFUND = "What's your refund policy?"


@pytest.fixture
def chat(browser_page: Page, product: Product) -> Page:
    """The chat page, just opened."""
    browser_page.goto(product.url)
    return browser_page


def box(page: Page) -> Locator:
    return page.get_by_label("Your question")


def answers(page: Page) -> Locator:
    return page.locator(".answer")


def ask(page: Page, question: str) -> Locator:
    """Ask, wait for the answer, and return it."""
    expected = answers(page).count() + 1
    box(page).fill(question)
    box(page).press("Enter")
    expect(answers(page)).to_have_count(expected)
    return answers(page).last


def sent(request: Request) -> dict[str, Any]:
    body: dict[str, Any] = request.post_data_json or {}
    return body


def hold(page: Page) -> list[Route]:
    """Keep questions from reaching the product; return the list that they are put into."""
    held: list[Route] = []

    def keep(route: Route) -> None:
        held.append(route)

    page.route("**/api/chat", keep)
    return held


def canned(**changes: Any) -> dict[str, Any]:
    """Return an answer as the endpoint renders it, for what the extractive provider never says."""
    return {
        "answer": "Within 30 days.",
        "intent": {"name": "refund_policy", "confidence": 0.9},
        "sources": [],
        "needs_human": False,
        "cache": {
            "status": "miss",
            "level": None,
            "reason": "absent",
            "age_s": 0,
            "ttl_s": 1800,
            "entry_id": "r",
        },
        "cost": {"spent_usd": "0.0617", "saved_usd": "0"},
        "timing_ms": {"total": 11873.2, "classify": 1310.4},
        **changes,
    }


def test_same_question_is_a_miss_and_then_a_hit(chat: Page) -> None:
    question = "Will I get the delivery charge back too?"
    first = ask(chat, question)
    expect(first.locator(".status")).to_have_text("miss")
    expect(first.locator(".facts")).to_contain_text("nothing stored for it yet")
    chat.get_by_role("button", name="New conversation").click()
    second = ask(chat, question)
    expect(second.locator(".status")).to_have_text("hit")
    for said in ("level response", " ms", "spent $0", "saved ", "ago", "fresh for"):
        expect(second.locator(".facts")).to_contain_text(said)


def test_example_is_asked_with_one_click(chat: Page) -> None:
    chat.get_by_role("button", name=REFUND).click()
    expect(answers(chat).locator(".text")).to_contain_text("30 days")
    expect(chat.get_by_role("heading", name="What would you like to know?")).to_be_hidden()


def test_every_example_is_answered_from_where_it_is_written(product: Product) -> None:
    lines = (ROOT / "sample" / "questions.jsonl").read_text(encoding="utf-8").splitlines()
    written = {row["question"]: (row["document"], row["section"]) for row in map(json.loads, lines)}
    for question in SAMPLE_QUESTIONS:
        sources = fleet.ask(product, question).body["sources"]
        assert [(source["document"], source["section"]) for source in sources] == [written[question]]


def test_follow_up_is_sent_with_what_came_before(chat: Page) -> None:
    said = ask(chat, REFUND).locator(".text").inner_text()
    with chat.expect_request("**/api/chat") as request:
        ask(chat, "Tell me more")
    history = sent(request.value)["history"]
    assert history[0] == {"role": "user", "content": REFUND}
    assert history[1]["role"] == "assistant"
    assert history[1]["content"].split() == said.split()


def test_history_is_cut_to_its_last_twenty_turns(chat: Page) -> None:
    chat.route("**/api/chat", lambda route: route.fulfill(json=canned()))
    for number in range(11):
        ask(chat, f"Question {number}?")
    with chat.expect_request("**/api/chat") as request:
        ask(chat, "And one more?")
    history = sent(request.value)["history"]
    assert len(history) == 20
    assert history[0] == {"role": "user", "content": "Question 1?"}


def test_new_conversation_forgets_the_old_one(chat: Page) -> None:
    ask(chat, REFUND)
    chat.get_by_role("button", name="New conversation").click()
    expect(answers(chat)).to_have_count(0)
    expect(box(chat)).to_be_focused()
    with chat.expect_request("**/api/chat") as request:
        ask(chat, REFUND)
    assert "history" not in sent(request.value)


def test_everything_is_reached_by_keyboard_alone(chat: Page) -> None:
    expect(box(chat)).to_be_focused()
    chat.get_by_role("link", name="Skip to the message box").focus()
    chat.keyboard.press("Enter")
    expect(box(chat)).to_be_focused()
    chat.keyboard.type("How long does a refund take,")
    chat.keyboard.press("Shift+Enter")
    chat.keyboard.type("please?")
    expect(box(chat)).to_have_value("How long does a refund take,\nplease?")
    chat.keyboard.press("Enter")
    expect(answers(chat)).to_have_count(1)
    expect(box(chat)).to_be_focused()
    summaries = answers(chat).locator("summary")
    for _ in range(summaries.count()):
        chat.keyboard.press("Shift+Tab")
    source = answers(chat).locator(".source").first
    expect(source.locator("summary")).to_be_focused()
    expect(source.locator("blockquote")).to_be_hidden()
    chat.keyboard.press("Enter")
    expect(source.locator("blockquote")).to_be_visible()
    assert source.locator("summary").evaluate("node => getComputedStyle(node).outlineWidth") == "3px"


def test_person_is_announced_where_one_is_needed(chat: Page) -> None:
    answer = ask(chat, "I want to talk to a person")
    expect(answer.get_by_text("A person is needed")).to_be_visible()


def test_waiting_is_announced_and_nothing_is_sent_twice(chat: Page) -> None:
    held = hold(chat)
    box(chat).fill(REFUND)
    chat.get_by_role("button", name="Send", exact=True).dblclick()
    expect(chat.get_by_role("status")).to_contain_text("Looking for the answer")
    box(chat).fill("My next question")
    box(chat).press("Enter")
    expect(chat.get_by_role("status")).to_contain_text("Still answering")
    expect(box(chat)).to_have_value("My next question")
    assert len(held) == 1
    held[0].continue_()
    expect(answers(chat)).to_have_count(1)
    expect(chat.get_by_role("status")).to_be_empty()
    expect(box(chat)).to_have_value("My next question")


def test_each_stage_is_said_while_it_lasts(
    browser_page: Page, llm_product: Product, llm_server: LlmServer
) -> None:
    held = {stage: Hold() for stage in ("classify", "generate", "validate")}
    for stage, hold in held.items():
        llm_server.script(stage, hold)
    browser_page.goto(llm_product.url)
    box(browser_page).fill("How much do you charge for delivery in England?")
    box(browser_page).press("Enter")
    for stage, said in (
        ("classify", "Understanding the question"),
        ("generate", "Writing the answer"),
        ("validate", "Checking the answer"),
    ):
        expect(browser_page.get_by_role("status")).to_contain_text(said)
        held[stage].until.set()
    expect(answers(browser_page).locator(".status")).to_have_text("miss")
    expect(browser_page.get_by_role("status")).to_be_empty()


def test_problem_in_the_middle_of_an_answer_is_told(
    browser_page: Page, llm_product: Product, llm_server: LlmServer
) -> None:
    llm_server.always("generate", Fail(429, retry_after=7))
    browser_page.goto(llm_product.url)
    box(browser_page).fill("How much do you charge for delivery in England?")
    box(browser_page).press("Enter")
    problem = browser_page.get_by_role("alert")
    expect(problem).to_contain_text("The language model asks to slow down")
    expect(problem).to_contain_text("Try again in 7 seconds.")
    expect(browser_page.get_by_role("status")).to_be_empty()


def test_answer_that_breaks_off_is_a_problem(chat: Page) -> None:
    cut = 'event: stage\ndata: {"stage":"classify","after_ms":0.1}\n\n: keep-alive\n\nevent: answer\nda'
    chat.route("**/api/chat", lambda route: route.fulfill(body=cut, content_type="text/event-stream"))
    box(chat).fill(REFUND)
    box(chat).press("Enter")
    expect(chat.get_by_role("alert")).to_contain_text("The service cannot be reached")
    expect(box(chat)).to_have_value(REFUND)


def test_unknown_price_is_said_and_markup_stays_text(chat: Page) -> None:
    markup = "<img src=x onerror=alert(1)><b>bold</b>"
    source = {"document": "d", "title": markup, "section": markup, "passage": markup}
    answer = canned(answer=markup, sources=[source], cost={"spent_usd": None, "saved_usd": None})
    chat.route("**/api/chat", lambda route: route.fulfill(json=answer))
    shown = ask(chat, markup)
    expect(shown.locator(".text")).to_have_text(markup)
    expect(shown.locator(".facts")).to_contain_text(
        re.compile("spent an unknown amount.*saved an unknown amount")
    )
    expect(chat.locator(".log img, .log b")).to_have_count(0)


def test_timing_of_each_stage_can_be_opened(chat: Page) -> None:
    answer = ask(chat, "Is swapping for another size free?")
    answer.get_by_text("Timing by stage").click()
    for stage in ("Total", "Look up", "Classify", "Retrieve", "Generate", "Validate"):
        expect(answer.get_by_role("row", name=stage)).to_contain_text(" ms")


@pytest.mark.parametrize(
    ("reason", "said"),
    [(None, "is being made"), ("expired", "is being made"), ("provider-failed", "could not be made")],
)
def test_a_stale_answer_says_whether_a_new_one_is_being_made(
    chat: Page, reason: str | None, said: str
) -> None:
    cache = {**canned()["cache"], "status": "stale", "level": "reply", "reason": reason, "ttl_s": -60}
    chat.route("**/api/chat", lambda route: route.fulfill(json=canned(cache=cache)))
    shown = ask(chat, "How long?")
    shown.get_by_text("Timing by stage").click()
    expect(shown.locator(".timing")).to_contain_text(said)
    expect(shown.locator(".facts")).not_to_contain_text("complete answer not reused")


def test_problem_is_readable_and_the_question_is_kept(chat: Page, complaints: list[str]) -> None:
    question = "refund " * 600
    box(chat).fill(question)
    expect(chat.locator("#count")).to_have_text("4,200 of 4,000 characters")
    box(chat).press("Enter")
    problem = chat.get_by_role("alert")
    expect(problem).to_contain_text("The request is not valid")
    expect(problem).to_contain_text(re.compile("Your question: .* 4000 characters"))
    expect(box(chat)).to_have_value(question.strip())
    expect(box(chat)).to_be_focused()
    box(chat).fill(REFUND)
    problem.get_by_role("button", name="Try again").click()
    expect(answers(chat)).to_have_count(1)
    assert [text for text in complaints if "400" not in text] == []
    complaints.clear()


def test_question_survives_a_server_that_is_gone(
    browser_page: Page, own_product: Product, complaints: list[str]
) -> None:
    browser_page.goto(own_product.url)
    own_product.stop()
    box(browser_page).fill(REFUND)
    box(browser_page).press("Enter")
    problem = browser_page.get_by_role("alert")
    expect(problem).to_contain_text("The service cannot be reached")
    expect(box(browser_page)).to_have_value(REFUND)
    own_product.start()
    problem.get_by_role("button", name="Try again").click()
    expect(answers(browser_page).locator(".text")).to_contain_text("30 days")
    expect(box(browser_page)).to_have_value("")
    assert [text for text in complaints if "ERR_CONNECTION_REFUSED" not in text] == []
    complaints.clear()


def test_money_is_shown_as_spent_once_and_saved_from_then_on(
    browser_page: Page, llm_product: Product
) -> None:
    browser_page.goto(llm_product.url)
    expect(browser_page.locator(".provider")).to_contain_text("openai")
    spent = re.search(r"spent (\$0\.\d+)", ask(browser_page, REFUND).locator(".facts").inner_text())
    assert spent
    browser_page.get_by_role("button", name="New conversation").click()
    second = ask(browser_page, REFUND)
    expect(second.locator(".status")).to_have_text("hit")
    expect(second.locator(".facts")).to_contain_text("spent $0")
    expect(second.locator(".facts")).to_contain_text(re.compile(rf"saved [\d.]+ s and {re.escape(spent[1])}"))


@pytest.mark.parametrize("width", [320, 375])
def test_phone_never_scrolls_sideways(open_page: OpenPage, product: Product, width: int) -> None:
    page = open_page(viewport={"width": width, "height": 700}, is_mobile=True, has_touch=True)
    page.goto(product.url)
    ask(page, "x" * 200)
    answer = ask(page, REFUND)
    for summary in answer.locator("summary").all():
        summary.tap()
    assert page.evaluate("document.documentElement.scrollWidth") == width


CONTRASTS = """
() => {
  const channel = (v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const ground = (node) => {
    for (; node; node = node.parentElement) {
      const colour = numbers(getComputedStyle(node).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
  };
  return [...document.querySelectorAll("body *")]
    .filter((node) => node.checkVisibility())
    .filter((node) => [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim()))
    .map((node) => {
      const pair = [numbers(getComputedStyle(node).color), ground(node)].map(luminance).sort((a, b) => b - a);
      return [node.textContent.trim().slice(0, 40), (pair[0] + 0.05) / (pair[1] + 0.05)];
    });
}
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_has_enough_contrast(open_page: OpenPage, product: Product, scheme: str) -> None:
    page = open_page(color_scheme=scheme, reduced_motion="reduce")
    page.goto(product.url)
    found = page.evaluate(CONTRASTS)
    for question in (REFUND, REFUND, "I want to talk to a person"):
        for summary in ask(page, question).locator("summary").all():
            summary.click()
    found += page.evaluate(CONTRASTS)
    assert len(found) > 30
    assert [(text, ratio) for text, ratio in found if ratio < 4.5] == []


def test_nothing_moves_for_those_who_want_calm(open_page: OpenPage, product: Product) -> None:
    page = open_page(reduced_motion="reduce")
    page.goto(product.url)
    held = hold(page)
    box(page).fill(REFUND)
    box(page).press("Enter")
    expect(page.get_by_role("status")).to_contain_text("Looking")
    assert page.evaluate("document.getAnimations().length") == 0
    held[0].continue_()
    expect(answers(page)).to_have_count(1)


def test_page_asks_nobody_but_the_product(browser_page: Page, product: Product) -> None:
    asked: list[str] = []
    browser_page.on("request", lambda request: asked.append(request.url))
    browser_page.goto(product.url)
    ask(browser_page, REFUND)
    assert len(asked) > 5
    assert all(url.startswith(product.url + "/") for url in asked)
