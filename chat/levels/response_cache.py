"""The levels of the cache: how each is looked up, filled and kept, and for whom.

The pipeline works through this class. Code that embeds the cache uses its `get_…`/`set_…` pairs, which are
the same paths.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from decimal import Decimal
from time import perf_counter
from typing import Any

from cachemgmt.api import (
    Cache,
    Entry,
    Failed,
    Filler,
    FillOutcome,
    FillResult,
    Key,
    Lookup,
    metrics,
    normalise_message,
    release_connection,
)
from chat.levels.counting import count_outcome
from chat.levels.keys import LevelKeys, Versions
from chat.levels.scope import (
    Scope,
    is_personal,
    keep_under,
    last_turns,
    owner_tags,
    tells_personal,
    users_texts,
)
from chat.levels.value_schemas import (
    StoredResponse,
    checked,
    document_tags,
    is_own_reading,
    made_under_published_policies,
    reading_of,
    response_tags,
)
from chat.types import Passage, Turn

SHAPES_RESULTS = False  # looks up and keeps what others make: see chat.source_code

KeyedFill = Callable[[Callable[[bool], Key | None]], FillResult]


class ChatResponseCache:
    """Stored answers and their parts, by level. Thread-safe.

    Messages are normalised here, so callers may pass them as typed. Values are plain JSON.
    """

    def __init__(self, *, engine: Cache, filler: Filler, versions: Versions, collection: str) -> None:
        """`collection` is used where a call names no scope."""
        self._engine = engine
        self._filler = filler
        self._keys = LevelKeys(versions)
        self._default = collection

    # response: the complete answer ----------------------------------------------------------------------

    def get_response(
        self, message: str, history: Sequence[Turn] = (), *, scope: Scope | None = None
    ) -> Lookup:
        """Return the stored answer to this message after this history, if it was made under the published
        policies. One round trip to the store, no query."""
        scope = scope or self.scope(message, history)
        started = perf_counter()
        found = self._engine.lookup(
            self._keys.response(message, history, scope),
            scope.visit,
            barred=scope.barred,
            accept=made_under_published_policies(scope.collection),
        )
        count_outcome("response", found, scope, started)
        return found

    def set_response(
        self,
        message: str,
        history: Sequence[Turn],
        response: Mapping[str, Any],
        *,
        scope: Scope | None = None,
        cost_usd: Decimal | None = Decimal(0),
        made_at: float | None = None,
        fill_s: float | None = None,
        valid_until: float | None = None,
        tags: tuple[str, ...] = (),
    ) -> tuple[Entry, bool]:
        """Store a complete, validated answer; return its envelope and whether it was kept.

        `response` has the fields of `StoredResponse`. It carries the tags that flush it by intent, document
        and customer, and `tags` besides. Raises ValueError where a field is missing or wrong.
        """
        answer = checked(StoredResponse, response)
        if scope is None:
            published = [source.passage for source in answer.sources]
            told = Turn(role="assistant", content=answer.text)
            scope = self.scope(message, (*last_turns(history), told), published=published)
        keys = self._keys.response(message, history, scope)
        made = FillResult(
            value=answer.model_dump(),
            cost_usd=cost_usd,
            question=normalise_message(message),
            keep_under=keep_under(keys, scope),
            tags=tuple(dict.fromkeys((*tags, *response_tags(answer, scope)))),
            made_at=made_at,
            fill_s=fill_s,
            valid_until=valid_until,
        )
        return self._engine.keep(made.keep_under or keys[0], made, scope.visit)

    def note_clock(self, scope: Scope) -> None:
        """Let what is made from now on carry the clock as it is now."""
        scope.visit.clock = self._engine.reread_clock(scope.visit)[0].clock

    def refresh_response(
        self, message: str, history: Sequence[Turn], make: Callable[[], object], *, scope: Scope
    ) -> None:
        """Make a stale answer anew in the background, once in this process."""
        self._filler.refreshes.begin(self._keys.response(message, history, scope)[-1].digest, make)

    def stale_response(self, found: Lookup, error: Exception, *, scope: Scope) -> tuple[Entry, Failed] | None:
        """Return the stale answer that may serve in the error's place, and why, None where there is none."""
        entry = self._engine.serves_error(found, scope.visit) if self._filler.is_failure(error) else None
        return (entry, self._filler.why_stale(error)) if entry else None

    def is_overtaken(self, outcomes: Sequence[FillOutcome], *, scope: Scope) -> bool:
        """Whether a flush that is known by now concerns one of the results."""
        known = self._engine.known()
        return any(known.is_flushed(outcome.entry, scope.collection) for outcome in outcomes)

    # intent ---------------------------------------------------------------------------------------------

    def get_intent(self, message: str, history: Sequence[Turn] = (), *, scope: Scope | None = None) -> Lookup:
        """Return the stored classification of the message, alone or (with `history`) in its light."""
        scope = scope or self.scope(message, history)
        return self._engine.lookup(
            self._keys.intent(message, history, scope), scope.visit, barred=scope.barred
        )

    def set_intent(
        self,
        message: str,
        history: Sequence[Turn],
        intent: Mapping[str, Any],
        *,
        scope: Scope | None = None,
        cost_usd: Decimal | None = Decimal(0),
    ) -> tuple[Entry, bool]:
        """Store a classification; return its envelope and whether it was kept. Raises ValueError where a
        field of `Classification` is missing or wrong."""
        found = reading_of(intent)
        scope = scope or self.scope(message, history)
        keys, is_own = self._keys.intent(message, history, scope), is_own_reading(found, scope)
        made = FillResult(
            value=asdict(found),
            cost_usd=cost_usd,
            question=normalise_message(message),
            keep_under=keep_under(keys, scope, is_personal=is_own),
            tags=(f"intent:{found.intent}", *owner_tags(scope, is_own=is_own)),
        )
        return self._engine.keep(made.keep_under or keys[0], made, scope.visit)

    def fill_intent(
        self,
        message: str,
        history: Sequence[Turn],
        fill: KeyedFill,
        *,
        refill: KeyedFill,
        scope: Scope,
    ) -> FillOutcome:
        """Return the stored classification, else what `fill` makes. `fill` is given a function that says,
        for is_personal, under which key its result may be kept. `refill` makes a stale one anew, in another
        thread."""
        return self._fill("intent", self._keys.intent(message, history, scope), fill, refill, scope)

    # policy: the retrieved passages ---------------------------------------------------------------------

    def get_policy_retrieval(
        self, question: str, *, revision: str, top_n: int, scope: Scope | None = None
    ) -> Lookup:
        """Return the passages that were retrieved for the question from that revision, best first."""
        scope = scope or self.scope(question)
        started = perf_counter()
        keys = self._keys.policy(question, revision, top_n, scope)
        found = self._engine.lookup(keys, scope.visit, barred=scope.barred)
        count_outcome("policy", found, scope, started)
        return found

    def set_policy_retrieval(
        self,
        question: str,
        passages: Sequence[Passage],
        *,
        revision: str,
        top_n: int,
        scope: Scope | None = None,
        fill_s: float | None = None,
    ) -> tuple[Entry, bool]:
        """Store retrieved passages; return their envelope and whether they were kept."""
        scope = scope or self.scope(question)
        keys = self._keys.policy(question, revision, top_n, scope)
        under = keep_under(keys, scope)
        made = FillResult(
            value=[asdict(passage) for passage in passages],
            cost_usd=Decimal(0),
            question=normalise_message(question),
            keep_under=under,
            tags=(*document_tags(passages), *owner_tags(scope, is_own=scope.is_personal)),
            fill_s=fill_s,
        )
        return self._engine.keep(under or keys[0], made, scope.visit)

    def fill_vector(
        self,
        text: str,
        embedder: str,
        fill: Callable[[], FillResult],
        *,
        refill: Callable[[], FillResult],
        scope: Scope,
    ) -> FillOutcome:
        """Return the text's stored embedding vector, else what `fill` makes: a new revision of the policies
        embeds no question again. Made for only-if-cached, too: that forbids to fill an answer, not to look
        for its evidence. `refill` makes a stale one anew, in another thread."""
        keys = self._keys.vector(text, embedder, scope)
        under = keep_under(keys, scope)
        visit = replace(scope.visit, directives=replace(scope.visit.directives, only_if_cached=False))
        tags = owner_tags(scope, is_own=scope.is_personal)
        return self._filler.get_or_fill(
            keys,
            lambda: replace(fill(), keep_under=under, tags=tags),
            visit,
            barred=scope.barred,
            refill=lambda: replace(refill(), keep_under=under, tags=tags),
        )

    # reply ----------------------------------------------------------------------------------------------

    def fill_reply(
        self,
        inputs: Mapping[str, Any],
        fill: KeyedFill,
        *,
        refill: KeyedFill,
        scope: Scope,
    ) -> FillOutcome:
        """Return the stored reply made from exactly these inputs, else as `fill_intent` does."""
        keys = self._keys.reply(inputs, scope)
        return self._fill("reply", keys, fill, refill, scope)

    def get_metrics(self) -> Mapping[str, Any]:
        """Return hits, misses, hit rate, calls, spent and saved, by level and in total, of 24 hours."""
        return metrics()

    def health_check(self) -> Mapping[str, Any]:
        """Return {"store", "is_healthy", …}. Raises nothing."""
        return self._engine.store.health_check()

    def scope(
        self, message: str = "", history: Sequence[Turn] = (), *, published: Sequence[str] = ()
    ) -> Scope:
        """Return a scope of the default collection for one message, judged as the pipeline judges.

        Use one for a look-up and the storing that follows it: what is stored then carries the clock of
        before the look-up, so that a flush in between is not undone. `published` are passages' texts: what
        stands there is nobody's own.
        """
        texts = [message, *users_texts(history)]
        return Scope(
            collection=self._default,
            is_personal=is_personal(texts) or tells_personal(history, published),
            is_empty=not normalise_message(message),
        )

    def _fill(
        self,
        level: str,
        keys: list[Key],
        fill: KeyedFill,
        refill: KeyedFill,
        scope: Scope,
    ) -> FillOutcome:
        started = perf_counter()
        release_connection()  # whoever waits, for the provider or for another's fill, needs none

        def key_for(is_personal: bool) -> Key | None:
            return keep_under(keys, scope, is_personal=is_personal)

        outcome = self._filler.get_or_fill(
            keys,
            lambda: fill(key_for),
            scope.visit,
            barred=scope.barred,
            refill=lambda: refill(key_for),
        )
        count_outcome(level, outcome, scope, started)
        return outcome
