"""A question's way to its answer: look up, classify, retrieve, generate, validate, keep."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from decimal import Decimal

from cachemgmt.api import Bill, Key, Knowledge, Made, NotStored, Outcome, Visit, normalise_message
from chat.errors import ChatError, IndexUnavailable, NotCached, ProviderRefused, UnknownCollection
from chat.intents import intent_named
from chat.precedence import Precedence
from chat.providers.base import Provider
from chat.report import Reporter
from chat.response_cache import ChatResponseCache, document_tags
from chat.run import Reading, Run
from chat.scope import (
    Scope,
    is_kept_for_owner,
    is_personal,
    last_turns,
    owner_tags,
    tells_personal,
    users_texts,
)
from chat.stages.classify import classify
from chat.stages.generate import HANDOFF_TEXT, PERSON_TEXT, generate, smalltalk
from chat.stages.retrieve import Retriever, in_canonical_order, is_enough
from chat.stages.validate import validate
from chat.types import Answer, Classification, Passage, Question, Turn

MAX_DRAFTS = 2
"""A draft that fails validation is written once more, with the objections."""

HANDOFF_TTL_S = 5 * 60
"""For how long it is remembered that a question had to be handed to a person."""


class Pipeline:
    """Answers questions. One instance serves all threads of a process."""

    def __init__(
        self,
        *,
        provider: Provider,
        retriever: Retriever,
        cache: ChatResponseCache,
        reporter: Reporter,
        known: Callable[[], Knowledge],
    ) -> None:
        """`known` returns the published revisions, without a query."""
        self.provider = provider
        self._retriever = retriever
        self._cache = cache
        self._report = reporter
        self._known = known
        self._precedence = Precedence()

    def make_ready(self, collection: str) -> None:
        """Load what the first question to this collection would have to wait for: models, index."""
        book = Bill(purpose="start", collection=collection).book
        self.provider.make_ready(book=book)
        revision = self._known().revisions.get(collection)
        self._retriever.make_ready(collection, revision, book=book)

    def answer(self, question: Question) -> Answer:
        """Return the answer, from the cache where a right one is stored.

        Raises UnknownCollection, NotCached, IndexUnavailable or a ProviderError; nothing is stored then.
        """
        message = normalise_message(question.message)
        run = Run(
            message=message,
            turns=last_turns(question.history),
            scope=Scope(
                collection=question.collection,
                customer_id=question.customer_id,
                is_empty=not message,
                # Names that nobody has would fill the books.
                is_counted=question.purpose == "customer" and question.collection in self._known().revisions,
                visit=Visit(question.directives),
            ),
            bill=Bill(purpose=question.purpose, collection=question.collection),
        )
        with run.timed("lookup"):
            found = self._cache.get_response(run.message, run.turns, scope=run.scope)
        if found.entry:
            return self._report.stored(run, found.entry)
        known = self._known()
        if question.collection not in known.revisions:
            raise UnknownCollection if known.is_complete else IndexUnavailable
        run.missed = found.reason
        try:
            if question.purpose == "warming":
                self._precedence.give_way()
                return self._make(run)
            with self._precedence.customer():
                return self._make(run)
        except ProviderRefused:
            return self._report.handed_off(run, None, HANDOFF_TEXT, "refused")
        except NotStored as error:
            self._report.failed(run, "not-cached")
            raise NotCached from error
        except ChatError as error:
            self._report.failed(run, type(error).__name__)
            raise

    def _make(self, run: Run) -> Answer:
        with run.timed("classify"):
            reading = self._read(run)
        if reading.intent.kind == "handoff":
            return self._report.handed_off(run, reading.classification, PERSON_TEXT, "person-wanted")
        scope = replace(run.scope, is_personal=reading.is_personal)
        revision = self._known().revisions[scope.collection]
        passages: list[Passage] = []
        if reading.intent.kind == "policy":
            with run.timed("retrieve"):
                # The passages are what excuses an address in the context, so they are looked for without it.
                own = reading.is_personal or tells_personal(reading.context, ())
                passages = self._retriever.passages(
                    reading.question, revision=revision, scope=replace(scope, is_personal=own), bill=run.bill
                )
            if not is_enough(passages):
                return self._report.handed_off(run, reading.classification, HANDOFF_TEXT, "no-passages")
        outcome = self._reply(run, reading, scope, passages)
        if "handed_off" in outcome.value:
            reason = outcome.value["handed_off"]
            return self._report.handed_off(run, reading.classification, HANDOFF_TEXT, reason, outcome)
        return self._keep(run, reading, scope, revision, passages, outcome)

    # classify -------------------------------------------------------------------------------------------

    def _read(self, run: Run) -> Reading:
        """Classify the message alone, and only if it leans on what came before, again in that light."""
        found = self._classified(run, ())
        context: tuple[Turn, ...] = ()
        if found.leans_on_context and run.turns:
            context = run.turns
            found = self._classified(run, context)
        intent = intent_named(found.intent)
        question = found.self_contained or run.message
        texts = [run.message, question, *users_texts(context)]
        return Reading(
            classification=found,
            intent=intent,
            question=question,
            context=context,
            is_personal=found.is_personal or intent.is_personal or is_personal(texts),
        )

    def _classified(self, run: Run, history: tuple[Turn, ...]) -> Classification:
        own_texts = [run.message, *users_texts(history)]
        scope = replace(run.scope, is_personal=is_personal(own_texts) or tells_personal(history, ()))

        def fill(key_for: Callable[[bool], Key | None]) -> Made:
            spent_before = run.bill.spent_usd
            found = classify(self.provider, message=run.message, history=history, book=run.bill.book)
            is_own = (
                scope.is_personal
                or found.is_personal
                or intent_named(found.intent).is_personal
                or (found.self_contained is not None and is_personal([found.self_contained]))
            )
            return Made(
                value=asdict(found),
                cost_usd=run.bill.since(spent_before),
                question=run.message,
                keep_under=key_for(is_own),
                reason="personal" if is_own else None,
                tags=(f"intent:{found.intent}", *owner_tags(scope, is_own=is_own)),
            )

        outcome = self._cache.fill_intent(run.message, history, fill, scope=scope)
        run.outcomes.append(outcome)
        return Classification(**outcome.value)

    # generate and validate ------------------------------------------------------------------------------

    def _reply(self, run: Run, reading: Reading, scope: Scope, passages: Sequence[Passage]) -> Outcome:
        ordered = in_canonical_order(passages)
        inputs = {
            "question": reading.question,
            "context": [[turn.role, turn.content] for turn in reading.context],
            "language": reading.classification.language,
            "intent": reading.intent.name,
            "passages": [[passage.title, passage.heading_path, passage.text] for passage in ordered],
        }

        def fill(key_for: Callable[[bool], Key | None]) -> Made:
            spent_before = run.bill.spent_usd
            value = self._write(run, reading, ordered)
            published = [passage.text for passage in ordered]
            turns = [*reading.context, Turn(role="assistant", content=str(value.get("text", "")))]
            is_own = scope.is_personal or tells_personal(turns, published)
            return Made(
                value=value,
                cost_usd=run.bill.since(spent_before),
                question=reading.question,
                keep_under=key_for(is_own),
                reason="personal" if is_own else None,
                tags=(
                    f"intent:{reading.intent.name}",
                    *owner_tags(scope, is_own=is_own),
                    *document_tags(ordered),
                ),
                max_ttl_s=HANDOFF_TTL_S if "handed_off" in value else None,
            )

        outcome = self._cache.fill_reply(inputs, fill, scope=scope)
        run.outcomes.append(outcome)
        return outcome

    def _write(self, run: Run, reading: Reading, passages: Sequence[Passage]) -> dict[str, object]:
        """Return the reply's stored form: {"text", "cited"}, or {"handed_off": why}."""
        if reading.intent.kind == "smalltalk":
            return {"text": smalltalk(reading.intent).text, "cited": []}
        objections: tuple[str, ...] = ()
        for _ in range(MAX_DRAFTS):
            with run.timed("generate"):
                reply = generate(
                    self.provider,
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
                    self.provider,
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

    # keep -----------------------------------------------------------------------------------------------

    def _keep(
        self,
        run: Run,
        reading: Reading,
        scope: Scope,
        revision: str,
        passages: Sequence[Passage],
        reply: Outcome,
    ) -> Answer:
        """Write the complete answer to the shortcut in front, as old as the reply it rests on."""
        answer = self._report.made(run, reading.classification, in_canonical_order(passages), reply)
        if not reply.is_storable:
            return answer
        made_of = [tag for outcome in run.outcomes for tag in outcome.entry.tags]
        scope = replace(scope, is_personal=scope.is_personal or is_kept_for_owner(reply.entry.tags))
        value = {
            "text": answer.text,
            "intent": answer.intent,
            "confidence": answer.confidence,
            "sources": [asdict(source) for source in answer.sources],
            "reply_id": reply.entry.entry_id,
            "revision": revision if passages else None,
        }
        costs = [outcome.entry.cost_usd for outcome in run.outcomes]
        entry, is_stored = self._cache.set_response(
            run.message,
            run.turns,
            value,
            scope=scope,
            cost_usd=None if None in costs else sum((cost for cost in costs if cost), Decimal(0)),
            made_at=reply.entry.made_at,
            fill_s=sum(outcome.entry.fill_s for outcome in run.outcomes),
            tags=tuple(dict.fromkeys(tag for tag in made_of if not tag.startswith("collection:"))),
        )
        return self._report.with_storage(answer, entry, is_stored=is_stored)
