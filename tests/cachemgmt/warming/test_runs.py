"""Filling ahead: each question once, every outcome told, an honest end."""

import json
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from cachemgmt.management.commands import warm_cache
from cachemgmt.models import WarmingList, WarmingRun
from cachemgmt.warming.runs import (
    STALLED_S,
    Warmed,
    give_up_orphans,
    register_warmer,
    request_run,
    take,
    take_waiting,
    work_off,
)

pytestmark = pytest.mark.django_db(transaction=True)


class Warmer:
    """Answers what it is told to, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.outcomes: dict[str, Warmed] = {}

    def __call__(self, collection: str, question: str) -> Warmed:
        self.asked.append((collection, question))
        return self.outcomes.get(question, Warmed(outcome="filled", spent_usd=Decimal("0.25")))


@pytest.fixture
def warmer(settings: Any) -> Warmer:
    settings.IS_SERVER = True
    settings.DEFAULT_COLLECTION = "shop"
    found = Warmer()
    register_warmer(found)
    return found


@pytest.fixture
def warming_list(db: None) -> WarmingList:
    row = WarmingList.objects.create(name="top", collection="bank")
    for position, question in enumerate(["b?", "a?"]):
        row.queries.create(question=question, position=position)
    return row


def test_a_list_is_asked_in_its_order_and_collection(warmer: Warmer, warming_list: WarmingList) -> None:
    run = request_run([warming_list], requested_by="ada")
    assert (run.state, run.label) == ("waiting", "top")
    assert take(run)
    work_off(run)
    assert warmer.asked == [("bank", "b?"), ("bank", "a?")]
    run.refresh_from_db()
    assert (run.state, run.filled, run.spent_usd) == ("done", 2, Decimal("0.5"))
    assert run.ended_at is not None


def test_a_question_on_two_lists_is_asked_once(warmer: Warmer, warming_list: WarmingList) -> None:
    other = WarmingList.objects.create(name="more", collection="bank")
    other.queries.create(question="a?")
    run = request_run([warming_list, other], requested_by="ada", more=[("bank", "b?")])
    assert run.questions == [["bank", "b?"], ["bank", "a?"]]


def test_a_run_whose_server_has_ended_is_given_up_once_it_got_no_further(warming_list: WarmingList) -> None:
    run = request_run([warming_list], requested_by="ada")
    assert take(run)
    give_up_orphans()
    run.refresh_from_db()
    assert run.state == "running"
    WarmingRun.objects.update(progressed_at=timezone.now() - timedelta(seconds=STALLED_S + 1))
    give_up_orphans()
    run.refresh_from_db()
    assert (run.state, run.problems) == ("failed", ["the server stopped meanwhile"])


def test_a_run_is_taken_by_one_process_only(warming_list: WarmingList) -> None:
    run = request_run([warming_list], requested_by="ada")
    same = WarmingRun.objects.get(pk=run.pk)
    assert take(run)
    assert not take(same)
    assert take_waiting() is None


def test_every_outcome_is_told(warmer: Warmer, warming_list: WarmingList) -> None:
    warmer.outcomes = {
        "a?": Warmed(outcome="failed", spent_usd=None, detail="the model did not answer"),
        "b?": Warmed(outcome="reused", spent_usd=Decimal(0)),
    }
    run = request_run([warming_list], requested_by="ada")
    take(run)
    seen: list[int] = []
    work_off(run, on_progress=lambda now: seen.append(now.reused + now.failed))
    assert (run.state, run.reused, run.failed, run.spent_usd) == ("failed", 1, 1, None)
    assert run.problems == ["a?: the model did not answer"]
    assert seen == [1, 2]


# the command --------------------------------------------------------------------------------------------


def test_the_command_warms_lists_files_and_questions(
    warmer: Warmer, warming_list: WarmingList, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "questions.txt"
    file.write_text("# a comment\n c? \n\nd?\n", encoding="utf-8")
    call_command("warm_cache", "top", "--file", str(file), "--question", "e?", "--json")
    told = json.loads(capsys.readouterr().out)
    assert (told["questions"], told["filled"], told["spent_usd"], told["state"]) == (5, 5, "1.25", "done")
    assert warmer.asked[2:] == [("shop", "c?"), ("shop", "d?"), ("shop", "e?")]


def test_the_command_ends_with_an_honest_code(
    warmer: Warmer, warming_list: WarmingList, capsys: pytest.CaptureFixture[str]
) -> None:
    warmer.outcomes = {"a?": Warmed(outcome="not_stored", spent_usd=Decimal(0), detail="personal")}
    with pytest.raises(CommandError) as caught:
        call_command("warm_cache", "--all")
    assert caught.value.returncode == 1
    out = capsys.readouterr().out
    assert "1 made, 0 already there, 1 not stored, 0 failed" in out
    assert "a?: personal" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "No warming list called nowhere. There are: top."),
        ([], "Nothing to warm"),
        (["--file", "/does/not/exist"], "cannot be read"),
    ],
)
def test_the_command_names_what_is_wrong(
    warmer: Warmer, warming_list: WarmingList, arguments: list[str], message: str
) -> None:
    WarmingList.objects.exclude(name="top").delete()
    with pytest.raises(CommandError, match=message):
        call_command("warm_cache", *arguments)
    assert not WarmingRun.objects.exists()


def test_without_redis_and_server_the_command_says_what_to_do(
    warmer: Warmer, warming_list: WarmingList, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.IS_SERVER = False
    monkeypatch.setattr(warm_cache, "TAKEN_WITHIN_S", 0.0)
    monkeypatch.setattr(warm_cache, "POLL_S", 0.0)
    with pytest.raises(CommandError, match=r"Start the server \(make run\).*or set REDIS_URL"):
        call_command("warm_cache", "top")
    assert not WarmingRun.objects.exists()
    assert warmer.asked == []
