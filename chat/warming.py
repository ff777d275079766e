"""Answering ahead: how the cache's warmer asks a question, and the sample's warming list."""

import json
import logging
from pathlib import Path

from django.conf import settings
from django.db import Error as DatabaseFailure
from django.db import close_old_connections, transaction

from cachemgmt.api import Warmed, WarmingList, request_run
from chat import assembly
from chat.errors import ChatError
from chat.types import Question

logger = logging.getLogger(__name__)
SAMPLE_LIST = Path(settings.BASE_DIR) / "sample" / "warming.json"


def warm(collection: str, question: str) -> Warmed:
    """Answer a question for nobody in particular, and say what became of it."""
    try:
        answer = assembly.pipeline().answer(
            Question(message=question, collection=collection, purpose="warming")
        )
    except ChatError as error:
        return Warmed(outcome="failed", spent_usd=None, detail=str(error))
    if answer.needs_human:
        detail = f"no answer from the policies ({answer.cache.reason})"
        return Warmed(outcome="not_stored", spent_usd=answer.spent_usd, detail=detail)
    if answer.cache.status == "hit":
        return Warmed(outcome="reused", spent_usd=answer.spent_usd)
    if not answer.cache.is_stored:
        detail = f"not stored ({answer.cache.reason})"
        return Warmed(outcome="not_stored", spent_usd=answer.spent_usd, detail=detail)
    return Warmed(outcome="filled", spent_usd=answer.spent_usd)


def load_sample_list() -> WarmingList:
    """Return the sample company's warming list, made from its file if it is not there. A lead's edits to it
    are kept."""
    wanted = json.loads(SAMPLE_LIST.read_text(encoding="utf-8"))
    with transaction.atomic():
        row, is_new = WarmingList.objects.get_or_create(
            name=wanted["name"], defaults={"description": wanted["description"], "collection": "sample"}
        )
        if is_new:
            for position, question in enumerate(wanted["questions"]):
                row.queries.create(question=question, position=position)
    return row


def request_sample_run() -> None:
    """Ask for the sample list to be warmed, if it is there. A database that fails is logged."""
    try:
        row = WarmingList.objects.filter(name="sample").first()
        if row:
            request_run([row], requested_by="WARM_ON_START")
    except DatabaseFailure as error:
        logger.warning("WARM_ON_START failed: %s", type(error).__name__, extra={"action": "warm"})
    finally:
        close_old_connections()
