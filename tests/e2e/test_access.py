"""Keys, limits and browser pages, where two servers answer and whoever asks must say who he is."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import Product
from tests.e2e.fleet import Reply, wait_until
from tests.e2e.grounds import LayGround
from tests.fakes.browser import OpenPage
from tests.fakes.redis_server import RedisServer

REFUND = "What's your refund policy?"
WITHIN_S = 10.0
"""Processes tell each other what they counted once a second; a busy machine takes longer."""


@pytest.fixture(scope="module")
def pair(lay_full: LayGround, redis: RedisServer) -> Iterator[tuple[Product, Product]]:
    """Two servers over PostgreSQL, Redis and Chroma that ask for a key."""
    ground = lay_full()
    environment = {
        **ground.environment,
        "WEB_WORKERS": "1",  # what was asked of a server is in the memory of the process that is asked again
        "REDIS_URL": redis.url,
        "REQUIRE_API_KEY": "1",
        "SECRET_KEY": "of-these-tests-alone-and-long-enough-for-the-check",
        "ASKS_PER_MINUTE_PER_ADDRESS": "0",
    }
    first, second = (
        Product(data_dir=ground.data_dir, environment=environment, arguments=()) for _ in range(2)
    )
    with first, second:
        yield first, second


def post(product: Product, path: str, key: str, body: Mapping[str, Any]) -> Reply:
    """Post as the holder of a key or a token."""
    connection = HTTPConnection("127.0.0.1", product.port, timeout=60)
    try:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
        connection.request("POST", path, json.dumps(body), headers)
        response = connection.getresponse()
        told = {name.lower(): value for name, value in response.getheaders()}
        return Reply(status=response.status, headers=told, body=json.loads(response.read()))
    finally:
        connection.close()


def ask(product: Product, key: str) -> Reply:
    return post(product, "/api/chat", key, {"message": REFUND})


def make_key(product: Product, *arguments: str) -> str:
    """Make a key by the command, in a process of its own."""
    return product.manage("api_key", "create", "test", *arguments).strip().splitlines()[0]


def test_a_key_is_in_effect_everywhere_at_the_next_question(pair: tuple[Product, Product]) -> None:
    key = make_key(pair[0])
    assert [ask(product, key).status for product in pair] == [200, 200]
    assert [ask(product, key).outcome for product in pair] == ["hit", "hit"]
    pair[0].manage("api_key", "revoke", key.split("_")[1])
    for product in pair:
        refused = ask(product, key)
        assert (refused.status, refused.text) == (401, "urn:tria:problem:key-unknown")


def test_a_session_is_good_at_another_server_than_started_it(pair: tuple[Product, Product]) -> None:
    key = make_key(pair[0], "--right", "ask", "--right", "trusted")
    started = post(pair[0], "/api/sessions", key, {"customer_id": "17"})
    assert started.status == 201
    assert ask(pair[1], started.body["token"]).status == 200


def test_servers_count_a_keys_questions_together(pair: tuple[Product, Product]) -> None:
    first, second = pair
    key = make_key(first)
    limit = 40
    first.manage(
        "shell",
        "-c",
        f"from access.models import ApiKey; k = ApiKey.objects.get(key_id={key.split('_')[1]!r});"
        f" k.asks_per_minute = {limit}; k.save()",
    )
    # A few more than the limit where a minute ends meanwhile, which is then partly over.
    statuses = [ask(first, key).status for _ in range(2 * limit)]
    assert statuses[:limit] == [200] * limit
    assert statuses[-1] == 429
    asked: list[int] = []

    def is_refused() -> bool:
        asked.append(ask(second, key).status)
        return asked[-1] == 429

    wait_until(is_refused, WITHIN_S)
    assert set(asked) == {200, 429} or asked == [429]


def test_a_key_goes_on_asking_while_redis_is_out(pair: tuple[Product, Product], redis: RedisServer) -> None:
    key = make_key(pair[0])
    for product in pair:
        ask(product, key)
    redis.kill()
    try:
        assert [ask(product, key).outcome for product in pair] == ["hit", "hit"]
        pair[0].manage("api_key", "revoke", key.split("_")[1])
        # The command has waited for the second in which servers without Redis learn of it.
        assert [ask(product, key).status for product in pair] == [401, 401]
    finally:
        redis.start()


PAGE = """<!doctype html><title>shop</title><pre id="told"></pre><script>
fetch("%(url)s/api/chat", {
  method: "POST",
  headers: {"Content-Type": "application/json", "Authorization": "Bearer %(token)s"},
  body: JSON.stringify({message: "%(message)s"}),
}).then(async (response) => {
  const cache = response.headers.get("Cache-Status");
  const told = {status: response.status, cache, body: await response.json()};
  document.getElementById("told").textContent = JSON.stringify(told);
}).catch(() => { document.getElementById("told").textContent = "blocked"; });
</script>"""


@contextmanager
def website(page: str) -> Iterator[str]:
    """Serve one page of somebody's website; its address."""

    class Site(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/" else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            if self.path == "/":
                self.wfile.write(page.encode())

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("is_listed", [True, False])
def test_a_listed_website_asks_from_the_browser_and_no_other(
    pair: tuple[Product, Product], open_page: OpenPage, complaints: list[str], is_listed: bool
) -> None:
    product = pair[0]
    token = post(product, "/api/sessions", make_key(product), {"collection": "sample"}).body["token"]
    ask(product, token)
    with website(PAGE % {"url": product.url, "token": token, "message": REFUND}) as origin:
        listed = origin if is_listed else "https://www.another.example"
        product.manage(
            "shell",
            "-c",
            f"from chat.models import Collection;Collection.objects.update(allowed_origins={listed!r})",
        )
        page = open_page()

        def asked() -> str:
            page.goto(f"{origin}/")
            told = page.locator("#told")
            expect(told).not_to_be_empty()
            return told.inner_text()

        # A preflight tells of no key, so its answer is what is known within a second.
        wait_until(lambda: (asked() != "blocked") is is_listed, WITHIN_S)
        if is_listed:
            told = json.loads(asked())
            assert told["status"] == 200
            assert told["cache"].startswith("tria; hit")
            assert told["body"]["answer"]
    complaints.clear()  # of what was blocked, and of the favicon that the website lacks


def test_the_chat_page_asks_by_a_session(pair: tuple[Product, Product], open_page: OpenPage) -> None:
    page = open_page()
    page.goto(pair[0].url)
    page.get_by_label("Your question").fill(REFUND)
    page.get_by_label("Your question").press("Enter")
    expect(page.locator(".answer")).to_have_count(1)
    expect(page.locator(".problem h2")).to_have_count(0)


def test_a_person_who_is_shut_out_of_the_admin_reads_why(
    own_product: Product, browser_page: Page, complaints: list[str]
) -> None:
    browser_page.goto(f"{own_product.url}/admin/")
    for _ in range(10):
        browser_page.get_by_label("Username").fill("lena")
        browser_page.get_by_label("Password").fill("wrong")
        browser_page.get_by_role("button", name="Log in").click()
    expect(browser_page.locator("#locked-out")).to_contain_text("For 15 minutes nobody can log in")
    browser_page.get_by_role("link", name="try again").click()
    expect(browser_page.get_by_label("Username")).to_be_visible()
    assert [text for text in complaints if "429" not in text] == []
    complaints.clear()
