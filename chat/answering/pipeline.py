"""A question's way to its answer: look up, classify, retrieve, generate, validate, keep."""

from collections.abc import Callable
from dataclasses import asdict, replace
from decimal import Decimal
from functools import partial

from cachemgmt.api import (
    Bill,
    Bulkhead,
    CacheRequest,
    Directives,
    FillOutcome,
    Knowledge,
    Lookup,
    NotFilled,
    NotStored,
    normalise_message,
)
from cachemgmt.api import Overloaded as NoPlace
from chat.answering.fills import Fills
from chat.answering.question_run import AnswerAttempt, ClassifiedMessage, PendingAnswer, QuestionRun, nobody
from chat.answering.report import Reporter
from chat.errors import (
    CallsUsedUp,
    ChatError,
    IndexUnavailable,
    NotCached,
    Overloaded,
    ProviderRefused,
    ProviderTimedOut,
    UnknownCollection,
)
from chat.judging.intents import intent_named
from chat.levels.response_cache import ChatResponseCache
from chat.levels.scope import (
    Scope,
    is_kept_for_owner,
    is_personal,
    last_turns,
    tells_personal,
    users_texts,
)
from chat.providers.base import Provider
from chat.stages.generate import HANDOFF_TEXT, PERSON_TEXT
from chat.stages.retrieve import Retriever, in_canonical_order, is_enough
from chat.types import Answer, Asker, Passage, Question, Turn

MAX_ATTEMPTS = 3
"""An answer that a flush or a new revision overtakes in its making is made again, up to so often in all."""


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
        bulkhead: Bulkhead,
    ) -> None:
        """`known` returns the published revisions, without a query."""
        self.provider = provider
        self._fills = Fills(provider, cache)
        self.retriever = retriever
        self._cache = cache
        self._report = reporter
        self._known = known
        self._bulkhead = bulkhead

    def answer(self, question: Question) -> Answer:
        """Return the answer, from the cache where a right one is stored; a stale one where a rule allows it,
        while it is made anew or the language model fails.

        Raises Overloaded, UnknownCollection, NotCached, IndexUnavailable or a ProviderError; nothing is
        stored then.
        """
        found = self.look_up(question)
        return self.make(found) if isinstance(found, PendingAnswer) else found

    def look_up(self, question: Question) -> Answer | PendingAnswer:
        """Return the stored answer, else what `make` needs to make one. One round trip, no query.

        Raises UnknownCollection, or IndexUnavailable where it is not known which collections there are.
        """
        run = self._begin(question)
        with run.timed("lookup"), self._report.counting_faults(run):
            found = self._cache.get_response(run.message, run.turns, scope=run.scope)
        if question.asker:
            question.asker.confirm(reread=found.status == "bypass")
        if found.entry:
            if found.is_stale:
                self._refresh(question, run)
            return self._report.stored(run, found.entry, status="stale" if found.is_stale else "hit")
        known = self._known()
        if question.collection not in known.revisions:
            raise UnknownCollection if known.is_complete else IndexUnavailable
        run.missed = found.reason
        return PendingAnswer(question=question, run=run, found=found)

    def make(self, missed: PendingAnswer, tell: Callable[[str], None] = nobody) -> Answer:
        """Return the answer that was not stored, made by its stages; each is told as it begins.

        May be called in another thread than `look_up`, once. Raises what `answer` raises.
        """
        run = missed.run
        run.tell = tell
        try:
            if missed.question.purpose == "customer":
                return self._make_for(missed.question.asker, run)
            # It has its slot before any lease, so that no customer waits for a warmer that queues.
            with self._bulkhead.warming():
                self._cache.note_clock(run.scope)  # a flush while it queued has overtaken nothing of it
                return self._make(run)
        except ProviderRefused:
            return self._report.handed_off(run, None, HANDOFF_TEXT, "refused")
        except NotStored as error:
            self._report.failed(run, "not-cached")
            raise NotCached from error
        except (ChatError, NoPlace, NotFilled) as error:
            return self._stale_or_raise(run, missed.found, error)
        except Exception:
            self._report.failed(run, "internal")
            raise
        finally:
            if run.scope.visit.place:
                run.scope.visit.place.leave()

    def _make_for(self, asker: Asker | None, run: QuestionRun) -> Answer:
        """Make the answer on the asker's account; where that is used up, from what is stored."""
        visit = run.scope.visit
        if asker is None or visit.directives.only_if_cached:
            return self._make(run)
        wait_s = asker.begin_calls()
        if wait_s is None:
            try:
                return self._make(run)
            finally:
                asker.end_calls(run.bill.llm_call_count)
        directives = replace(visit.directives, only_if_cached=True)
        run.scope = replace(run.scope, visit=replace(visit, directives=directives))
        try:
            return self._make(run)
        except NotStored as error:
            raise CallsUsedUp(retry_after_s=wait_s) from error

    def _begin(self, question: Question) -> QuestionRun:
        message = normalise_message(question.message)
        is_customer = question.purpose == "customer"
        # Names that nobody has would fill the books.
        is_known = question.collection in self._known().revisions
        return QuestionRun(
            message=message,
            turns=last_turns(question.history),
            scope=Scope(
                collection=question.collection,
                customer_id=question.customer_id,
                is_empty=not message,
                is_counted=is_customer and is_known,
                visit=CacheRequest(
                    question.directives, place=self._bulkhead.place(), is_refresh=not is_customer
                ),
            ),
            bill=Bill(purpose=question.purpose, collection=question.collection),
        )

    def _refresh(self, question: Question, run: QuestionRun) -> None:
        """Make the answer anew behind the customer's back. He has been given the stale one."""

        def make() -> None:
            # What he asked of the cache is answered by now: only-if-cached would keep it from being made.
            again = self._begin(replace(question, purpose="refresh", directives=Directives()))
            self._cache.note_clock(again.scope)
            self._make(again)

        self._cache.refresh_response(run.message, run.turns, make, scope=run.scope)

    def _stale_or_raise(
        self, run: QuestionRun, found: Lookup, error: ChatError | NoPlace | NotFilled
    ) -> Answer:
        stale = self._cache.stale_response(found, error, scope=run.scope)
        if stale:
            why = "calls-used-up" if isinstance(error, CallsUsedUp) else stale[1]
            return self._report.stored(run, stale[0], status="stale", reason=why)
        told: ChatError = error if isinstance(error, ChatError) else Overloaded()
        if isinstance(error, NotFilled):
            told = ProviderTimedOut()
        self._report.failed(run, type(told).__name__)
        if told is error:
            raise told
        raise told from error

    def _make(self, run: QuestionRun) -> Answer:
        """Make the answer; again if what it rests on was flushed or published anew meanwhile."""
        reading = self._read(run)
        draft = self._drafted(run, reading)
        for _ in range(MAX_ATTEMPTS - 1):
            if not self._is_overtaken(run, draft):
                break
            reading = self._begin_again(run, reading)
            draft = self._drafted(run, reading)
        return self._told(run, reading, draft)

    def _is_overtaken(self, run: QuestionRun, draft: AnswerAttempt) -> bool:
        is_published_anew = self._known().revisions.get(run.scope.collection) != draft.revision
        return is_published_anew or self._cache.is_overtaken(run.outcomes, scope=run.scope)

    def _begin_again(self, run: QuestionRun, reading: ClassifiedMessage) -> ClassifiedMessage:
        """Return the reading for another attempt from retrieval on: a new one only where it was flushed."""
        run.scope = replace(run.scope, visit=replace(run.scope.visit, clock=self._known().clock))
        readings = [outcome for outcome in run.outcomes if outcome.entry.level == "intent"]
        run.outcomes = [] if self._cache.is_overtaken(readings, scope=run.scope) else readings
        return reading if run.outcomes else self._read(run)

    def _drafted(self, run: QuestionRun, reading: ClassifiedMessage) -> AnswerAttempt:
        scope = replace(run.scope, is_personal=reading.is_personal)
        revision = self._known().revisions.get(scope.collection, "")
        draft = partial(AnswerAttempt, scope=scope, revision=revision)
        if reading.intent.kind == "handoff":
            return draft(passages=(), reply="person-wanted")
        passages: tuple[Passage, ...] = ()
        if reading.intent.kind == "policy":
            with run.timed("retrieve"):
                # The passages are what excuses an address in the context, so they are looked for without it.
                own = reading.is_personal or tells_personal(reading.context, ())
                whose, question = replace(scope, is_personal=own), reading.question
                found = self.retriever.passages(question, revision=revision, scope=whose, bill=run.bill)
            if not is_enough(found):
                return draft(passages=(), reply="no-passages")
            passages = tuple(in_canonical_order(found))
        return draft(passages=passages, reply=self._fills.reply(run, reading, scope, passages))

    def _told(self, run: QuestionRun, reading: ClassifiedMessage, draft: AnswerAttempt) -> Answer:
        found, reply = reading.classification, draft.reply
        if isinstance(reply, str):
            text = PERSON_TEXT if reply == "person-wanted" else HANDOFF_TEXT
            return self._report.handed_off(run, found, text, reply)
        if "handed_off" in reply.value:
            return self._report.handed_off(run, found, HANDOFF_TEXT, reply.value["handed_off"], reply)
        return self._keep(run, reading, draft, reply)

    # classify -------------------------------------------------------------------------------------------

    def _read(self, run: QuestionRun) -> ClassifiedMessage:
        """Classify the message alone, and only if it leans on what came before, again in that light."""
        with run.timed("classify"):
            found = self._fills.classified(run, ())
            context: tuple[Turn, ...] = ()
            if found.leans_on_context and run.turns:
                context = run.turns
                found = self._fills.classified(run, context)
        intent = intent_named(found.intent)
        question = found.self_contained or run.message
        texts = [run.message, question, *users_texts(context)]
        return ClassifiedMessage(
            classification=found,
            intent=intent,
            question=question,
            context=context,
            is_personal=found.is_personal or intent.is_personal or is_personal(texts),
        )

    # keep -----------------------------------------------------------------------------------------------

    def _keep(
        self, run: QuestionRun, reading: ClassifiedMessage, draft: AnswerAttempt, reply: FillOutcome
    ) -> Answer:
        """Write the complete answer to the shortcut in front, as old as the reply it rests on. One that rests
        on something stale is given, not kept: it would pass for fresh."""
        answer = self._report.made(run, reading.classification, draft.passages, reply)
        is_passing = any(outcome.is_late or outcome.status == "stale" for outcome in run.outcomes)
        if not reply.is_storable or reply.is_overtaken or is_passing:
            return answer
        entries = [outcome.entry for outcome in run.outcomes]
        made_of = [tag for entry in entries for tag in entry.tags]
        is_own = draft.scope.is_personal or is_kept_for_owner(reply.entry.tags)
        value = {
            "text": answer.text,
            "intent": answer.intent,
            "confidence": answer.confidence,
            "sources": [asdict(source) for source in answer.sources],
            "reply_id": reply.entry.entry_id,
            "revision": draft.revision if draft.passages else None,
        }
        costs = [entry.cost_usd for entry in entries]
        ends = [entry.valid_until for entry in entries if entry.valid_until is not None]
        entry, is_stored = self._cache.set_response(
            run.message,
            run.turns,
            value,
            scope=replace(draft.scope, is_personal=is_own),
            cost_usd=None if None in costs else sum((cost for cost in costs if cost), Decimal(0)),
            made_at=reply.entry.made_at,
            fill_s=sum(entry.fill_s for entry in entries),
            valid_until=min(ends, default=None),
            tags=tuple(dict.fromkeys(tag for tag in made_of if not tag.startswith("collection:"))),
        )
        return self._report.with_storage(answer, entry, is_stored=is_stored)
