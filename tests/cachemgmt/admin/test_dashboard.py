"""The first page: right figures, and nothing unknown shown as 0."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from cachemgmt.admin import wording
from cachemgmt.admin.dashboard import chart, hours_until
from cachemgmt.api import cache_engine
from cachemgmt.models import Clock, LlmCall, MetricBucket
from tests.cachemgmt.admin.conftest import logged_in


def count(
    outcome: str,
    number: int,
    *,
    level: str = "answer",
    ago_h: float = 0,
    saved: str = "0",
    unknown_savings: int = 0,
) -> None:
    MetricBucket.objects.create(
        minute=(timezone.now() - timedelta(hours=ago_h)).replace(second=0, microsecond=0),
        level=level,
        outcome=outcome,
        collection="sample",
        count=number,
        saved_usd=Decimal(saved),
        unknown_savings=unknown_savings,
    )


def call(cost: str | None, *, purpose: str = "customer", **more: int | None) -> None:
    LlmCall.objects.create(
        stage="generate",
        model="m",
        outcome="ok",
        purpose=purpose,
        collection="sample",
        seconds=1.0,
        cost_usd=None if cost is None else Decimal(cost),
        **more,
    )


def figures(page: Any) -> dict[str, str]:
    return {card["title"]: card["value"] for card in page.context["cards"]}


def test_figures_are_those_of_the_books(viewer: Client) -> None:
    count("hit", 75, saved="4.5")
    count("miss", 25)
    count("hit", 1000, ago_h=25, saved="60")
    call("1.25")
    call("0.50", purpose="warming")
    assert figures(viewer.get("/admin/")) == {
        "Questions": "100",
        "Hit rate": "75%",
        "Saved": "$4.00",
        "Time saved": "0 seconds",
        "Spent": "$1.75",
        "Model calls": "2",
    }


def test_calls_without_a_price_are_pointed_out(viewer: Client) -> None:
    call("1.25")
    call(None)
    page = viewer.get("/admin/")
    assert "1 call to m: the model has no price." in page.content.decode()
    assert figures(page)["Spent"] == "$1.25"


def test_calls_whose_tokens_are_not_told_are_pointed_out(viewer: Client) -> None:
    call("1.25")
    call(None, completion_tokens=None)
    call(None, prompt_tokens=None)
    assert "2 calls to m: its endpoint does not tell all tokens." in viewer.get("/admin/").content.decode()


def test_what_was_saved_of_unknown_cost_is_told_apart(viewer: Client) -> None:
    count("hit", 3, saved="0.5", unknown_savings=2)
    page = viewer.get("/admin/")
    [saved] = [card for card in page.context["cards"] if card["title"] == "Saved"]
    assert saved["value"] == "$0.5000"
    assert "2 answers saved an unknown amount" in saved["note"]
    MetricBucket.objects.update(saved_usd=0)
    assert figures(viewer.get("/admin/"))["Saved"] == "not known"


def test_sum_of_unknown_prices_is_unknown(viewer: Client) -> None:
    count("miss", 1)
    call(None)
    found = figures(viewer.get("/admin/"))
    assert (found["Spent"], found["Saved"]) == ("not known", "not known")


def test_day_without_questions_has_no_hit_rate(viewer: Client) -> None:
    page = viewer.get("/admin/")
    assert figures(page)["Hit rate"] == "no data"
    assert "No questions in the last 24 hours." in page.content.decode()


def test_levels_are_listed_with_their_words(viewer: Client) -> None:
    count("hit", 3, level="reply", saved="0.2")
    count("miss", 1, level="reply")
    rows = {row[0]: row[1:] for row in viewer.get("/admin/").context["levels"]["rows"]}
    assert rows["Written replies"] == ["4", "3", "1", "0", "0", "75%", "$0.2000", "0 seconds"]
    assert rows["Complete answers"][0] == "0"


def test_chart_has_the_last_24_hours_with_now_at_its_end() -> None:
    now = datetime(2031, 5, 6, 10, 30, tzinfo=UTC)
    for minute, outcome, number in (
        (now, "hit", 5),
        (now - timedelta(minutes=20), "hit", 2),
        (now - timedelta(hours=1), "miss", 3),
        (now - timedelta(hours=24), "hit", 99),
    ):
        MetricBucket.objects.create(
            minute=minute, level="answer", outcome=outcome, collection="sample", count=number
        )
    shown = chart(now)
    by_name = {row["label"]: row["data"] for row in shown["datasets"]}
    assert (shown["labels"][0], shown["labels"][-1]) == ("11:00", "10:00")
    assert by_name["From the cache"] == [0] * 23 + [7]
    assert by_name["Made anew"][-2:] == [3, 0]


def test_hours_are_24() -> None:
    assert len(hours_until(timezone.now())) == 24


def test_state_says_when_the_cache_is_off(lead: Client, settings: Any) -> None:
    assert "The cache is on and works." in lead.get("/admin/").content.decode()
    Clock.objects.update(is_cache_on=False)
    assert "The cache is switched off." in lead.get("/admin/").content.decode()
    settings.CACHE_ENABLED = False
    assert "CACHE_ENABLED=0" in lead.get("/admin/").content.decode()


def test_state_says_when_redis_is_out(lead: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    out = {"store": "memory", "is_healthy": False, "instead_of": "redis", "detail": "Redis cannot be reached"}
    monkeypatch.setattr(cache_engine().store, "health_check", lambda: out)
    assert "Meanwhile answers are kept in the server&#x27;s memory" in lead.get("/admin/").content.decode()


def test_buttons_are_for_those_who_may_use_them(lead: Client, viewer: Client) -> None:
    addresses = ["/admin/cachemgmt/flushrecord/flush/", "/admin/cachemgmt/clock/switch/"]
    for address in addresses:
        assert f'href="{address}"' in lead.get("/admin/").content.decode()
        assert f'href="{address}"' not in viewer.get("/admin/").content.decode()


def test_staff_without_permissions_see_no_figures() -> None:
    nobody = logged_in(User.objects.create_user("nora", is_staff=True))
    page = nobody.get("/admin/")
    assert page.status_code == 200
    assert "cards" not in page.context


@pytest.mark.parametrize(
    ("amount", "words"),
    [
        (None, "unknown"),
        ("0", "$0"),
        ("0.00001", "less than $0.0001"),
        ("0.0612", "$0.0612"),
        ("1234.5", "$1,234.50"),
        ("-2", "-$2.00"),
    ],
)
def test_amounts_in_words(amount: str | None, words: str) -> None:
    assert wording.usd(amount) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 seconds"), (1, "1 second"), (1_800, "30 minutes"), (90_061, "1 day 1 hour")],
)
def test_times_in_words(seconds: float, words: str) -> None:
    assert wording.duration(seconds) == words


def test_time_saved_shows_what_the_cache_does_where_answers_cost_no_money(viewer: Client) -> None:
    count("hit", 3)
    MetricBucket.objects.update(saved_s=725.0)
    assert figures(viewer.get("/admin/"))["Time saved"] == "12 minutes 5 seconds"
    assert wording.time_saved(0.0) == "0 seconds"
    assert wording.time_saved(0.83) == "0.8 seconds"
