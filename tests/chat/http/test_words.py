"""Every status, level and reason that an answer can tell has words, in the documents too."""

import json
import re
from html import unescape
from pathlib import Path
from typing import get_args

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone

from cachemgmt.admin import wording
from cachemgmt.books.ledger import count, write_counts
from cachemgmt.books.metrics import OUTCOMES
from cachemgmt.engine.filling.results import Status
from cachemgmt.engine.reasons import REASONS, Failed, Reason
from cachemgmt.engine.reuse.knowledge import DEFAULT_TTL_S
from chat import errors
from chat.http.words import LEVELS, STALE, STATUSES
from tests.fakes.process import fresh_process

__all__ = ["fresh_process"]

NAMES = set(get_args(Reason))
"""All that code can tell: the fields that hold a reason are of this type."""

API = (Path(settings.BASE_DIR) / "docs" / "api.md").read_text(encoding="utf-8")
STATUS_TABLE = API.partition("| `cache.status` |")[2].partition("\n\n")[0]
DOCUMENTED = {
    name: set(re.findall(r"`([a-z-]+)`", row))
    for name, row in re.findall(r"^\| `([a-z]+)` \| (.*?)\|$", STATUS_TABLE, re.MULTILINE | re.DOTALL)
}


def leaves() -> set[str]:
    """Return the errors that are counted by their names: those of `chat.errors` that none there refines."""
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    return {kind.__name__ for kind in kinds if not any(kind in other.__bases__ for other in kinds)}


def test_every_reason_has_words_of_its_own() -> None:
    assert REASONS.keys() == NAMES
    assert len(set(REASONS.values())) == len(NAMES)


def test_every_status_and_level_has_words() -> None:
    assert STATUSES.keys() == set(get_args(Status))
    assert LEVELS.keys() == {"response", "reply"}
    assert STALE.keys() == {"", "expired", *get_args(Failed)}


def test_the_documents_name_each_status_and_reason_and_no_other() -> None:
    assert DOCUMENTED.keys() == set(get_args(Status))
    documented = set().union(*DOCUMENTED.values()) - {"level", "reason", "response", "reply"}
    assert documented == NAMES


def test_the_page_holds_the_words_that_are_listed(client: Client) -> None:
    (words,) = re.findall(r'data-words="([^"]*)"', client.get("/").content.decode())
    told = json.loads(unescape(words))
    assert told == {"statuses": STATUSES, "stale": STALE, "levels": LEVELS, "reasons": REASONS}


@pytest.mark.parametrize("reason", ["", "expired"])
def test_an_answer_that_is_being_made_anew_is_not_said_to_have_failed(reason: str) -> None:
    assert "is being made" in STALE[reason]
    assert "could not" not in STALE[reason]


def test_an_answer_that_could_not_be_made_says_why() -> None:
    for reason in get_args(Failed):
        assert "could not be made" in STALE[reason]
        assert REASONS[reason] in STALE[reason]


def test_the_admin_has_words_for_all_that_is_counted(admin_client: Client) -> None:
    failures = leaves() - {"NotCached"} | {"not-cached", "internal"}
    assert wording.FAILURES.keys() == failures
    assert wording.OUTCOMES.keys() == OUTCOMES.keys()
    assert {*DEFAULT_TTL_S} <= wording.LEVELS.keys()
    for reason in NAMES | failures:
        count(level="answer", outcome="miss", reason=reason, collection="shop", seconds=0.1, saved_usd=None)
    write_counts()
    now = timezone.now()
    listed = f"/admin/cachemgmt/metricbucket/?minute__year={now.year}"
    page = unescape(admin_client.get(listed).content.decode())
    for words in (*wording.OUTCOMES.values(), *(wording.reason(name) for name in NAMES | failures)):
        assert words in page, words
