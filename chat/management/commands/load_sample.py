"""`manage.py load_sample`: the sample shop's policies and warming list, for development."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management import CommandError
from django.core.management.base import BaseCommand

from chat.knowledge.sample import load_sample
from chat.warming import load_sample_list


class Command(BaseCommand):
    help = "Load the sample policies into the collection 'sample'. Refused in production."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--keep-edits", action="store_true", help="leave a collection that is there as it is"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.IS_PRODUCTION:
            raise CommandError("TRIA_ENV is production: the sample policies are never loaded there.")
        self.stdout.write(str(load_sample(keeps_edits=options["keep_edits"])))
        load_sample_list()
