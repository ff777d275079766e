"""Keys are known without a query, and a change of them is in effect at the next question."""

from typing import Any

import pytest
from redis import Redis

from access.limits import MOST_WRONG_PER_MINUTE
from access.models import ApiKey
from cachemgmt.decisions.database import snapshot
from tests.access.conftest import MakeKey, ask, post, problem
from tests.chat.answering.test_hit_path import commands_run
from tests.fakes.llm_server import LlmServer

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("shop")]


@pytest.mark.parametrize("is_session", [False, True])
def test_a_hit_with_a_key_costs_no_query_and_one_round_trip(
    over_redis: Redis, make_key: MakeKey, django_assert_num_queries: Any, is_session: bool
) -> None:
    key = make_key("ask", "trusted")
    if is_session:
        key = post("/api/sessions", key, {"customer_id": "ada"}).json()["token"]
    ask(key)
    ask(key)
    over_redis.config_resetstat()
    with django_assert_num_queries(0):
        response = ask(key)
    assert response.json()["cache"]["level"] == "response"
    assert commands_run(over_redis) == {"mget": 1}


def revoke() -> None:
    """As another process does it: this one's snapshot is told nothing."""
    ApiKey.objects.get().revoke()


@pytest.mark.usefixtures("over_redis")
def test_a_revoked_key_is_refused_at_the_next_question_though_the_answer_is_stored(make_key: MakeKey) -> None:
    key = make_key("ask")
    ask(key)
    assert ask(key).json()["cache"]["status"] == "hit"
    revoke()
    assert problem(ask(key)) == (401, "key-unknown", None)


@pytest.mark.usefixtures("over_redis")
@pytest.mark.parametrize("directive", ["", "no-cache", "no-store", "only-if-cached"])
def test_nothing_is_made_for_a_revoked_key(make_key: MakeKey, llm_server: LlmServer, directive: str) -> None:
    key = make_key("ask", "skip_cache")
    ask(key)
    revoke()
    calls = len(llm_server.calls)
    refused = ask(key, "How long do refunds take?", headers={"Cache-Control": directive})
    assert problem(refused) == (401, "key-unknown", None)
    assert len(llm_server.calls) == calls


@pytest.mark.usefixtures("over_redis")
def test_a_session_ends_with_the_key_that_started_it(make_key: MakeKey) -> None:
    token = post("/api/sessions", make_key("ask"), {}).json()["token"]
    assert ask(token).status_code == 200
    revoke()
    assert problem(ask(token)) == (401, "session-over", None)


@pytest.mark.usefixtures("over_redis")
def test_a_right_that_was_taken_away_is_gone_at_the_next_question(make_key: MakeKey) -> None:
    key = make_key("ask", "trusted")
    assert ask(key, customer_id="ada").status_code == 200
    row = ApiKey.objects.get()
    row.may_trusted = False
    row.save()
    assert problem(ask(key, customer_id="ada")) == (403, "customer-not-vouched-for", "customer_id")
    row.collections = ["hats"]
    row.save()
    assert problem(ask(key, collection="shop")) == (403, "not-allowed", "collection")


@pytest.mark.usefixtures("over_redis")
def test_a_key_that_another_process_has_just_made_asks(make_key: MakeKey) -> None:
    ask(make_key("ask"))
    known = snapshot().known().clock
    from access.keys import issue

    text = issue(ApiKey(name="new")).text
    assert snapshot().known().clock == known
    assert ask(text).status_code == 200


def test_a_process_that_never_could_read_the_keys_says_so(
    make_key: MakeKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = make_key("ask")
    snapshot().forget()
    from cachemgmt.decisions.database import Decisions
    from cachemgmt.engine.errors import SourceUnavailable

    def fail(_: Decisions) -> Any:
        raise SourceUnavailable

    monkeypatch.setattr(Decisions, "clock", fail)
    response = ask(key)
    assert problem(response) == (503, "keys-unreadable", None)
    assert response["Retry-After"] == "5"


def test_keys_that_cannot_be_read_are_no_wrong_keys(
    make_key: MakeKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = make_key("ask")
    snapshot().forget()
    monkeypatch.setattr("access.authentication.known_callers", lambda: None)
    assert {ask(key).status_code for _ in range(MOST_WRONG_PER_MINUTE + 2)} == {503}
