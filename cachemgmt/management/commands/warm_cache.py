"""`manage.py warm_cache`: answer questions before they are asked."""

import json
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import CommandError
from django.core.management.base import BaseCommand
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from cachemgmt.books.metrics import plain
from cachemgmt.flushing.flush import can_see_entries
from cachemgmt.models import WarmingList, WarmingRun
from cachemgmt.warming.runs import request_run, take, work_off

TAKEN_WITHIN_S = 5.0
"""A running server looks for waiting runs every second."""

POLL_S = 0.3
STUCK_AFTER_S = 300.0


class Command(BaseCommand):
    help = "Warm lists by name, all active ones, a file's questions (one a line), or single questions."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("lists", nargs="*", metavar="LIST")
        parser.add_argument("--all", action="store_true", help="all active lists")
        parser.add_argument("--file", type=Path, help="a text file with one question a line")
        parser.add_argument("--question", action="append", default=[], help="a question; may be repeated")
        parser.add_argument(
            "--collection", default=settings.DEFAULT_COLLECTION, help="for --file and --question"
        )
        parser.add_argument("--json", action="store_true", help="print the outcome as JSON, no progress bar")

    def handle(self, *args: Any, **options: Any) -> None:
        lists = self._lists(options)
        questions = [*self._lines(options["file"]), *options["question"]]
        more = [(options["collection"], question) for question in questions]
        run = request_run(lists, requested_by="warm_cache", more=more)
        if not run.questions:
            run.delete()
            raise CommandError("Nothing to warm: name a list, or use --all, --file or --question.")
        with self._progress(is_quiet=options["json"]) as bar:
            task = bar.add_task("warming", total=len(run.questions))

            def show(now: WarmingRun) -> None:
                bar.update(task, completed=now.filled + now.reused + now.not_stored + now.failed)

            if can_see_entries() and take(run):
                work_off(run, on_progress=show)
            else:
                self._watch(run, show)
        self._tell(run, as_json=options["json"])

    def _lists(self, options: dict[str, Any]) -> list[WarmingList]:
        if options["all"]:
            return list(WarmingList.objects.filter(is_active=True))
        lists = list(WarmingList.objects.filter(name__in=options["lists"]))
        missing = sorted(set(options["lists"]) - {row.name for row in lists})
        if missing:
            there = ", ".join(WarmingList.objects.values_list("name", flat=True)) or "none"
            raise CommandError(f"No warming list called {', '.join(missing)}. There are: {there}.")
        return lists

    def _lines(self, file: Path | None) -> list[str]:
        if file is None:
            return []
        try:
            lines = file.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"--file {file} cannot be read: {error}") from None
        return [line.strip() for line in lines if line.strip() and not line.startswith("#")]

    def _progress(self, *, is_quiet: bool) -> Progress:
        console = Console(stderr=True, quiet=is_quiet)
        return Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), console=console)

    def _watch(self, run: WarmingRun, show: Any) -> None:
        """Let the server work the run off: without Redis, nobody else can fill its memory."""
        deadline, seen, quiet_since = time.monotonic() + TAKEN_WITHIN_S, -1, time.monotonic()
        while run.state in {"waiting", "running"}:
            done = run.filled + run.reused + run.not_stored + run.failed
            if done != seen:
                seen, quiet_since = done, time.monotonic()
            elif run.state == "running" and time.monotonic() - quiet_since > STUCK_AFTER_S:
                raise CommandError("The process that took this over has not moved on for minutes.")
            if run.state == "waiting" and time.monotonic() > deadline and take(run):
                run.delete()
                raise CommandError(
                    "Without Redis the cache is in the server's memory, and no running server took this "
                    "over. Start the server (make run) and warm again, or set REDIS_URL for a shared cache."
                )
            time.sleep(POLL_S)
            run.refresh_from_db()
            show(run)

    def _tell(self, run: WarmingRun, *, as_json: bool) -> None:
        spent = None if run.spent_usd is None else plain(run.spent_usd)
        if as_json:
            fields = ("state", "filled", "reused", "not_stored", "failed", "problems")
            told = {name: getattr(run, name) for name in fields}
            self.stdout.write(json.dumps({**told, "questions": len(run.questions), "spent_usd": spent}))
        else:
            self.stdout.write(
                f"{len(run.questions)} questions: {run.filled} made, {run.reused} already there, "
                f"{run.not_stored} not stored, {run.failed} failed; spent {spent or 'unknown'} USD"
            )
            for line in run.problems:
                self.stdout.write(f"  {line}")
        if run.failed or run.not_stored:
            raise CommandError("Not every question's answer is in the cache.", returncode=1)
