"""`manage.py check_provider`: does each stage's model work, what does it refuse, and is its cost known?"""

from collections.abc import Iterable, Sequence
from typing import Any

from django.conf import settings
from django.core.management import CommandError
from django.core.management.base import BaseCommand

from chat.endpoint.client import without_credentials
from chat.errors import ProviderMisconfigured
from chat.providers.checkup import StageCheckup, advice_on, checkups

HEAD = ("stage", "model", "works", "tokens", "price", "seconds", "refuses")


class Command(BaseCommand):
    help = (
        "Ask each stage's model one harmless question, and print which work, what they refuse, whether they "
        "tell their tokens, and whether their price is known. Costs a few cents at most. Exits with 1 if one "
        "does not work."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        if "openai" not in {settings.LLM_PROVIDER, settings.EMBEDDER}:
            self.stdout.write(
                f"LLM_PROVIDER is {settings.LLM_PROVIDER}: no language model is called, and there is nothing "
                "to check. For one, set OPENAI_API_KEY; OPENAI_BASE_URL too where it is not OpenAI's own."
            )
            return
        self.stdout.write(f"endpoint  {without_credentials(settings.OPENAI['base_url'])}")
        try:
            found = list(checkups())
        except ProviderMisconfigured as error:
            raise CommandError(f"{error} {advice_on(error, 'classify')}") from None
        for line in table([HEAD, *map(row, found)]):
            self.stdout.write(line)
        # A model that serves two stages is told of once.
        for line in dict.fromkeys(remark for checkup in found for remark in remarks(checkup)):
            self.stdout.write(line)
        n_failed = sum(not checkup.works for checkup in found)
        if n_failed:
            raise CommandError(f"{n_failed} of {len(found)} do not work.")
        self.stdout.write(f"All {len(found)} work.")


def remarks(checkup: StageCheckup) -> list[str]:
    """Return why a stage's model does not work and what to do, or what of its cost stays unknown."""
    if not checkup.works:
        return [f"{checkup.stage}: {checkup.error} {checkup.advice}"]
    found = []
    if not checkup.are_tokens_told:
        found.append(f"warning: {checkup.model} does not tell its tokens: its cost stays unknown.")
    if not checkup.is_price_known:
        found.append(
            f"warning: {checkup.model} has no price: its cost stays unknown until the admin has one "
            "(Model prices)."
        )
    return found


def row(checkup: StageCheckup) -> Sequence[str]:
    """Return one line of the table. What a model tells and refuses is known only of one that works."""
    seconds, price = f"{checkup.seconds:.1f}", "known" if checkup.is_price_known else "unknown"
    if not checkup.works:
        return (checkup.stage, checkup.model, "no", "-", price, seconds, "-")
    tokens = "told" if checkup.are_tokens_told else "not told"
    refused = ", ".join(checkup.left_out) or "nothing"
    return (checkup.stage, checkup.model, "yes", tokens, price, seconds, refused)


def table(rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the rows as lines of equally wide columns."""
    columns = list(zip(*rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
        for cells in zip(*columns, strict=True)
    ]
