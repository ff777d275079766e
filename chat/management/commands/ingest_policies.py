"""manage.py ingest_policies: takes policies in and publishes them."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from rich.progress import Progress

from cachemgmt.api import let_servers_learn
from chat.errors import ChatError
from chat.knowledge.index import OnProgress
from chat.knowledge.ingest import SUFFIXES, Problem, read_documents
from chat.knowledge.publishing import Publication, publish
from chat.knowledge.sample import SAMPLE
from chat.models import Collection

SHOWN_KEYS = 20


class Command(BaseCommand):
    help = "Takes policies into a collection and publishes them. Doing it twice changes nothing."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("paths", nargs="+", type=Path, help=f"files or folders ({', '.join(SUFFIXES)})")
        parser.add_argument("--collection", help="whose policies they are; by default DEFAULT_COLLECTION")
        parser.add_argument(
            "--prune", action="store_true", help="remove the collection's documents that are not in the paths"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        slug = self._slug(options["collection"])
        reading = read_documents(options["paths"])
        for problem in reading.problems:
            self.stderr.write(self.style.ERROR(str(problem)))
        may_prune = options["prune"] and not reading.problems
        if options["prune"] and not may_prune:
            self.stderr.write("Nothing is pruned: what could not be read must not count as removed.")
        if reading.documents:
            collection, _ = Collection.objects.get_or_create(slug=slug, defaults={"name": slug})
            try:
                with self._progress() as on_progress:
                    done = publish(
                        collection, reading.documents, is_complete=may_prune, on_progress=on_progress
                    )
            except ChatError as error:
                raise CommandError(f"Nothing was changed: {error}") from error
            let_servers_learn()
            self._report(slug, done)
        self._fail_for(reading.problems)

    def _slug(self, given: str | None) -> str:
        slug = given or settings.DEFAULT_COLLECTION
        if given is None and slug == SAMPLE:
            raise CommandError("Name the collection: --collection NAME (or set DEFAULT_COLLECTION)")
        if slug == SAMPLE:
            raise CommandError(
                f"The collection {SAMPLE!r} holds the sample company's policies alone; choose another name"
            )
        try:
            Collection(slug=slug, name=slug).clean_fields(exclude=["revision", "published_at"])
        except ValidationError as error:
            raise CommandError(
                f"{slug!r} cannot be a collection's name: lower-case letters, digits and hyphens, at most 50"
            ) from error
        return slug

    def _report(self, slug: str, done: Publication) -> None:
        for sign, keys in (("+", done.added), ("~", done.updated)):
            for key in keys[:SHOWN_KEYS]:
                self.stdout.write(f"  {sign} {key}")
            if len(keys) > SHOWN_KEYS:
                self.stdout.write(f"  {sign} and {len(keys) - SHOWN_KEYS} more")
        for key in done.removed:
            self.stdout.write(f"  - {key}")
        if done.others:
            self.stdout.write(
                f"{len(done.others)} other documents are in {slug} and stay; --prune would remove them."
            )
        if done.built is None:
            self.stdout.write("Everything is unchanged; nothing was published.")
        self.stdout.write(self.style.SUCCESS(f"{slug}: {done}"))

    def _fail_for(self, problems: tuple[Problem, ...]) -> None:
        if problems:
            count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
            raise CommandError(f"{count}, see above; everything else is in.")

    @contextmanager
    def _progress(self) -> Iterator[OnProgress]:
        """Show how far the embedding is: as a bar on a terminal, else as a line at every tenth."""
        if self.stdout.isatty():
            with Progress(transient=True) as bar:
                task = bar.add_task("embedding", total=None)
                yield lambda done, total: bar.update(task, completed=done, total=total)
            return
        shown = 0

        def write_line(done: int, total: int) -> None:
            nonlocal shown
            if done * 10 // total > shown or done == total:
                shown = done * 10 // total
                self.stdout.write(f"embedded {done} of {total} texts")

        yield write_line
