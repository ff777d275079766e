"""`manage.py ask "…"`: a question's answer on the command line, and how it came about."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management import CommandError
from django.core.management.base import BaseCommand
from pydantic import ValidationError

from cachemgmt.api import Directives, write_counts
from chat import assembly
from chat.errors import ChatError
from chat.http.bodies import QuestionBody, usd
from chat.http.problems import field_errors
from chat.types import Answer, Question


class Command(BaseCommand):
    help = (
        "Ask a question; print the answer, its sources, the stages with their times, and what the cache did."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("question")
        parser.add_argument("--collection", default=settings.DEFAULT_COLLECTION)
        parser.add_argument("--no-cache", action="store_true", help="make it anew, and share the result")

    def handle(self, *args: Any, **options: Any) -> None:
        body = {"message": options["question"], "collection": options["collection"]}
        try:
            asked = QuestionBody.model_validate(body)
            question = Question(
                message=asked.message,
                collection=asked.collection or settings.DEFAULT_COLLECTION,
                directives=Directives(no_cache=options["no_cache"]),
            )
            self._print(assembly.pipeline().answer(question))
            write_counts()
        except ValidationError as error:
            raise CommandError(
                "; ".join(f"{row['field']}: {row['detail']}" for row in field_errors(error))
            ) from None
        except ChatError as error:
            raise CommandError(str(error)) from None

    def _print(self, answer: Answer) -> None:
        cache = answer.cache
        self.stdout.write(answer.text + "\n")
        for source in answer.sources:
            self.stdout.write(f"  source   {source.title} > {source.section}  ({source.document})")
        self.stdout.write(f"  intent   {answer.intent} ({answer.confidence:.2f})")
        stages = ", ".join(f"{name} {spent_ms:.1f} ms" for name, spent_ms in answer.timing_ms.items())
        self.stdout.write(f"  time     {stages}")
        told = [cache.status, cache.level and f"level {cache.level}", cache.reason]
        told.append(f"fresh for {cache.ttl_s} s" if cache.ttl_s is not None else None)
        self.stdout.write(f"  cache    {', '.join(part for part in told if part)}")
        spent, saved = usd(answer.spent_usd), usd(answer.saved_usd)
        self.stdout.write(
            f"  cost     spent {spent or 'unknown'} USD, saved {saved or 'unknown'} USD and "
            f"{answer.saved_s:.1f} s"
        )
        if not settings.REDIS_URL:
            self.stdout.write(
                "  note     without Redis this command has a cache of its own, empty at its start"
            )
