"""Questions, and the way to their answers: the response in front, the reply behind it, as in the pipeline."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

from cachemgmt.engine.entry import Entry
from cachemgmt.engine.errors import NotFilled, NotStored
from cachemgmt.engine.filling.results import CacheRequest, FillOutcome, FillResult
from cachemgmt.engine.keys import Key
from cachemgmt.engine.reuse.knowledge import Knowledge
from tests.cachemgmt.engine.model.database import SharedDatabase
from tests.cachemgmt.engine.model.process import FILL_S, Process, ProviderDown
from tests.cachemgmt.engine.model.reference import Asked, Fact, Filling, Reference
from tests.cachemgmt.engine.model.schedule import Schedule

MAX_ATTEMPTS = 3
TAKES_S = (0.01, 0.01, 0.05, 0.3, 0.3, 1.5, 4.0, 7.0)
HANGS_S = FILL_S + 3.0
PASSAGES = 2
"""So many different passages are found in the revisions: some of these are as good as equal."""


def passages_of(revision: str) -> str:
    """Return what is retrieved from that revision."""
    return f"passages {int(revision[1:]) % PASSAGES}"


def keys_for(level: str, asked: Asked, passages: str = "") -> list[Key]:
    """Return the key that all share, then the customer's own."""
    customers = [None] if asked.customer is None else [None, asked.customer]
    return [
        Key(
            level, asked.collection, {"question": asked.question, "passages": passages, "customer": one}, "v1"
        )
        for one in customers
    ]


def engines_tags(key: Key) -> tuple[str, ...]:
    """Return the tags that the engine itself gives."""
    return (f"level:{key.level}", f"collection:{key.collection}", f"entry:{key.entry_id}")


def made_under_published_revision(collection: str) -> Callable[[Entry, Knowledge], bool]:
    """As `chat.levels.response_cache` has it."""

    def accept(entry: Entry, known: Knowledge) -> bool:
        return bool(entry.value["revision"] == known.revisions.get(collection))

    return accept


class Provider:
    """What answers while it is not down. How long it takes is a matter of luck."""

    def __init__(self) -> None:
        self.is_down = False
        self.hangs = 0.0
        """How likely it is that a call hangs."""


class Customers:
    """Asks a process questions, and has every answer judged."""

    def __init__(
        self, schedule: Schedule, database: SharedDatabase, reference: Reference, provider: Provider
    ) -> None:
        self._schedule = schedule
        self._database = database
        self._reference = reference
        self._provider = provider

    def ask(self, process: Process, asked: Asked) -> str:
        """Put the question to the process; return what came of it, in a word."""
        visit, began_at = CacheRequest(asked.directives), self._schedule.now
        keys = keys_for("response", asked)
        places = self._reference.in_reach(process, asked, keys)
        with process.calling() as call:
            found = process.cache.lookup(keys, visit, accept=made_under_published_revision(asked.collection))
        if found.entry:
            self._reference.judge(process, call, asked, found.entry, found.status)
            if found.is_stale:
                process.filler.refreshes.begin(keys[-1].digest, lambda: self._refresh(process, asked))
            return found.status
        self._reference.judge_loss(process, call, asked, keys, places, began_at, found.reason)
        try:
            return self._make(process, asked, visit, began_at)
        except NotStored:
            return "not stored"
        except (ProviderDown, NotFilled) as error:
            with process.calling() as call:
                stale = process.cache.serves_error(found, visit) if process.filler.is_failure(error) else None
            if stale is None:
                return type(error).__name__
            self._reference.judge(process, call, asked, stale, "stale-if-error")
            return "stale-if-error"

    def _refresh(self, process: Process, asked: Asked) -> None:
        visit = CacheRequest(is_refresh=True)
        visit.clock = process.cache.reread_clock(visit)[0].clock
        self._make(process, replace(asked, directives=visit.directives), visit, self._schedule.now)

    def _make(self, process: Process, asked: Asked, visit: CacheRequest, began_at: float) -> str:
        for attempt in range(1, MAX_ATTEMPTS + 1):
            clock = self._database.highest
            known = process.cache.known()
            if not known.is_complete:
                return "nothing known"
            revision = known.revisions[asked.collection]
            outcome = self._reply(process, asked, passages_of(revision), visit, began_at)
            now_known = process.cache.known()
            is_overtaken = now_known.is_flushed(outcome.entry, asked.collection)
            if now_known.revisions[asked.collection] == revision and not is_overtaken:
                break
            if attempt < MAX_ATTEMPTS:
                visit = replace(visit, clock=now_known.clock)
        if outcome.is_storable and not outcome.is_overtaken and not outcome.is_late:
            self._keep(process, asked, visit, outcome, clock, revision)
        return outcome.status

    # reply ----------------------------------------------------------------------------------------------

    def _reply(
        self, process: Process, asked: Asked, passages: str, visit: CacheRequest, began_at: float
    ) -> FillOutcome:
        keys = keys_for("reply", asked, passages)
        places = self._reference.in_reach(process, asked, keys)
        with process.calling() as call:
            outcome = process.filler.get_or_fill(
                keys, lambda: self._fill(process, asked, passages, keys, began_at), visit
            )
        if outcome.is_overtaken:
            self._reference.seen["overtaken"] += 1
        elif outcome.status in {"hit", "stale", "collapsed"}:
            by_error = outcome.status == "stale" and outcome.reason in {"provider-failed", "overloaded"}
            status = "stale-if-error" if by_error else outcome.status
            self._reference.judge(process, call, asked, outcome.entry, status, passages=passages)
        else:
            self._reference.judge_made(process, call, asked, outcome)
        if outcome.status not in {"hit", "stale"}:
            self._reference.judge_loss(process, call, asked, keys, places, began_at, outcome.reason)
        return outcome

    def _fill(
        self, process: Process, asked: Asked, passages: str, keys: list[Key], asked_at: float
    ) -> FillResult:
        schedule, rng = self._schedule, self._schedule.rng
        directives = asked.directives
        # Whose max-age the others' result does not meet fills for himself, too.
        is_barred = directives.no_cache or directives.no_store
        is_alone = is_barred or asked.is_own or directives.max_age_s is not None
        filling = Filling(process, keys[0], asked, asked_at, schedule.now, is_alone)
        self._reference.begin(filling)
        fact = None
        clock = self._database.highest
        try:
            takes_s = HANGS_S if rng.random() < self._provider.hangs else rng.choice(TAKES_S)
            schedule.pause(takes_s * rng.random())
            if self._provider.is_down:
                raise ProviderDown
            schedule.pause(takes_s * rng.random())
            fact = self._reply_fact(asked, passages, keys, clock, filling.began_at)
        finally:
            self._reference.end(filling, fact)
        key = keys[-1] if asked.is_own and asked.customer else keys[0]
        is_nobodys = asked.is_own and not asked.customer
        return FillResult(
            value={"fact": fact.number},
            cost_usd=Decimal("0.06"),
            question=asked.question,
            keep_under=None if is_nobodys else key,
            reason="personal" if is_nobodys else None,
            tags=self._tags(asked, passages),
        )

    def _tags(self, asked: Asked, passages: str) -> tuple[str, ...]:
        own = (f"customer:{asked.customer}",) if asked.is_own and asked.customer else ()
        return (f"intent:{asked.intent}", f"doc:{passages}", *own)

    def _reply_fact(self, asked: Asked, passages: str, keys: list[Key], clock: int, began_at: float) -> Fact:
        key = keys[-1] if asked.is_own and asked.customer else keys[0]
        return self._reference.add(
            level="reply",
            asked=asked,
            clock=clock,
            began_at=began_at,
            made_at=self._schedule.now,
            tags=frozenset([*self._tags(asked, passages), *engines_tags(key)]),
            passages=passages,
        )

    # response -------------------------------------------------------------------------------------------

    def _keep(
        self,
        process: Process,
        asked: Asked,
        visit: CacheRequest,
        reply: FillOutcome,
        clock: int,
        revision: str,
    ) -> None:
        part = self._reference.facts[reply.entry.value["fact"]]
        key = keys_for("response", asked)[-1 if asked.is_own else 0]
        tags = [tag for tag in reply.entry.tags if not tag.startswith("collection:")]
        fact = self._reference.add(
            level="response",
            asked=asked,
            clock=clock,
            began_at=part.began_at,
            made_at=part.made_at,
            tags=frozenset([*tags, *engines_tags(key)]),
            revision=revision,
            made_of=part,
        )
        made = FillResult(
            value={"fact": fact.number, "revision": revision},
            cost_usd=reply.entry.cost_usd,
            question=asked.question,
            keep_under=key,
            tags=tuple(tags),
            made_at=reply.entry.made_at,
            fill_s=reply.entry.fill_s,
        )
        process.cache.keep(key, made, visit)
