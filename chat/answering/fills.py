"""What is made on a miss: the classification of a message, and the reply to a question. Each of them once,
for all who want it at the same time."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace

from cachemgmt.api import FillOutcome, FillResult, Key
from chat.answering.question_run import ClassifiedMessage, QuestionRun
from chat.levels.response_cache import ChatResponseCache
from chat.levels.scope import Scope, is_personal, owner_tags, tells_personal, users_texts
from chat.levels.value_schemas import document_tags, is_own_reading
from chat.providers.base import Provider
from chat.stages.classify import classify
from chat.stages.generate import generate, smalltalk
from chat.stages.validate import validate
from chat.types import Classification, Passage, Turn

MAX_DRAFTS = 2
"""A draft that fails validation is written once more, with the objections."""

HANDOFF_TTL_S = 5 * 60
"""For how long it is remembered that a question had to be handed to a person."""


class Fills:
    """The stages that ask the provider, behind their levels of the cache. Thread-safe."""

    def __init__(self, provider: Provider, cache: ChatResponseCache) -> None:
        self._provider = provider
        self._cache = cache

    def classified(self, run: QuestionRun, history: tuple[Turn, ...]) -> Classification:
        """Return what the message wishes for, alone or in the light of what came before."""
        own_texts = [run.message, *users_texts(history)]
        scope = replace(run.scope, is_personal=is_personal(own_texts) or tells_personal(history, ()))

        def fill(run: QuestionRun, key_for: Callable[[bool], Key | None]) -> FillResult:
            spent_before = run.bill.spent_usd
            found = classify(self._provider, message=run.message, history=history, book=run.bill.book)
            is_own = is_own_reading(found, scope)
            return FillResult(
                value=asdict(found),
                cost_usd=run.bill.since(spent_before),
                question=run.message,
                keep_under=key_for(is_own),
                reason="personal" if is_own else None,
                tags=(f"intent:{found.intent}", *owner_tags(scope, is_own=is_own)),
            )

        outcome = self._cache.fill_intent(
            run.message,
            history,
            lambda key_for: fill(run, key_for),
            refill=lambda key_for: fill(run.for_refresh(), key_for),
            scope=scope,
        )
        run.outcomes.append(outcome)
        return Classification(**outcome.value)

    def reply(
        self, run: QuestionRun, reading: ClassifiedMessage, scope: Scope, passages: Sequence[Passage]
    ) -> FillOutcome:
        """Return the reply's stored form, made from `passages` in the order that its citations count in: see
        `_write`."""
        inputs = {
            "question": reading.question,
            "context": [[turn.role, turn.content] for turn in reading.context],
            "language": reading.classification.language,
            "intent": reading.intent.name,
            "passages": [[passage.title, passage.heading_path, passage.text] for passage in passages],
        }

        def fill(run: QuestionRun, key_for: Callable[[bool], Key | None]) -> FillResult:
            spent_before = run.bill.spent_usd
            value = self._write(run, reading, passages)
            published = [passage.text for passage in passages]
            turns = [*reading.context, Turn(role="assistant", content=str(value.get("text", "")))]
            is_own = scope.is_personal or tells_personal(turns, published)
            return FillResult(
                value=value,
                cost_usd=run.bill.since(spent_before),
                question=reading.question,
                keep_under=key_for(is_own),
                reason="personal" if is_own else None,
                tags=(
                    f"intent:{reading.intent.name}",
                    *owner_tags(scope, is_own=is_own),
                    *document_tags(passages),
                ),
                max_ttl_s=HANDOFF_TTL_S if "handed_off" in value else None,
            )

        outcome = self._cache.fill_reply(
            inputs,
            lambda key_for: fill(run, key_for),
            refill=lambda key_for: fill(run.for_refresh(), key_for),
            scope=scope,
        )
        run.outcomes.append(outcome)
        return outcome

    def _write(
        self, run: QuestionRun, reading: ClassifiedMessage, passages: Sequence[Passage]
    ) -> dict[str, object]:
        """Return the reply's stored form: {"text", "cited"}, or {"handed_off": why}."""
        if reading.intent.kind == "smalltalk":
            return {"text": smalltalk(reading.intent).text, "cited": []}
        objections: tuple[str, ...] = ()
        for _ in range(MAX_DRAFTS):
            with run.timed("generate"):
                reply = generate(
                    self._provider,
                    question=reading.question,
                    context=reading.context,
                    intent=reading.intent.name,
                    language=reading.classification.language,
                    passages=passages,
                    objections=objections,
                    book=run.bill.book,
                )
            if not reply.cited:  # the writer found no answer in the passages: a second draft would not either
                return {"handed_off": "not-in-passages"}
            with run.timed("validate"):
                verdict = validate(
                    self._provider,
                    question=reading.question,
                    context=reading.context,
                    reply=reply,
                    passages=passages,
                    book=run.bill.book,
                )
            if verdict.is_supported:
                return {"text": reply.text, "cited": list(reply.cited)}
            objections = verdict.objections
        return {"handed_off": "validation-failed"}
