"""What may be served, by the truth: when each result's inputs were read, and what was decided since.

Written from the design alone, over all that really happened, which no process knows: it shares no judgement
with the engine.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

from cachemgmt.engine.entry import Entry, decode
from cachemgmt.engine.errors import Undecodable
from cachemgmt.engine.filling.lease import FAILED
from cachemgmt.engine.filling.results import FillOutcome
from cachemgmt.engine.keys import Key
from cachemgmt.engine.reuse.freshness import Directives
from cachemgmt.engine.reuse.knowledge import Flush, Rule
from tests.cachemgmt.engine.model.database import Decided, SharedDatabase
from tests.cachemgmt.engine.model.process import FILL_S, Call, Process
from tests.cachemgmt.engine.model.schedule import Schedule
from tests.cachemgmt.engine.model.shared_redis import SharedRedis

SECOND_S = 1.0
HAIR_S = 1e-6
JITTER = 0.05
LEASED_BEFORE_S = 0.5
"""How long before a fill begins its lease may have been taken, at most."""

CALM_S = 1.5
"""For how long all must have been well before a loss is the engine's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """One customer's question. `is_own`: its answer turns out to be his alone."""

    collection: str
    question: str
    customer: str | None = None
    is_own: bool = False
    directives: Directives = field(default_factory=Directives)

    @property
    def intent(self) -> str:
        return f"about-{self.question[-1]}"

    def __str__(self) -> str:
        told = "".join(
            f" {name}"
            for name in ("no_cache", "no_store", "only_if_cached")
            if getattr(self.directives, name)
        )
        age = self.directives.max_age_s
        return f"{self.collection}/{self.question}/{self.customer}{told}" + (f" max-age={age}" if age else "")


@dataclass(frozen=True, kw_only=True, slots=True)
class Fact:
    """The truth about one result. `clock` is the database's when its first input was read, at `began_at`."""

    number: int
    level: str
    asked: Asked
    clock: int
    began_at: float
    made_at: float
    tags: frozenset[str]
    passages: str = ""
    revision: str = ""
    made_of: "Fact | None" = None

    @property
    def name(self) -> str:
        return f"{self.level}:{self.asked.collection}:{self.asked.question}"

    def is_removed(self, flush: Flush, made_at: float, *, also_as_part: bool = False) -> bool:
        """Whether the flush concerns it."""
        if flush.clock <= self.clock:
            return False
        match flush.kind:
            case "all":
                return True
            case "tag":
                return flush.match in self.tags
            case "age":
                return made_at < float(flush.match)
            case _:
                return not also_as_part and fnmatchcase(self.name, flush.match)


@dataclass(slots=True, eq=False)
class Filling:
    """A fill under way. `is_alone`: one that does not wait for others, nor they for it."""

    process: Process
    key: Key
    asked: Asked
    asked_at: float
    began_at: float
    is_alone: bool
    fact: Fact | None = None
    taken_over_by: "Filling | None" = None


def rule_of(decided: Decided, level: str, intent: str) -> Rule:
    """Return the rule as the design has it: the intent's, else the level's; a reply's never above an
    answer's."""
    rule = decided.rules.get((level, intent)) or decided.rules[level, ""]
    if level != "reply":
        return rule
    answer = rule_of(decided, "response", intent)
    return Rule(
        ttl_s=min(rule.ttl_s, answer.ttl_s),
        is_enabled=rule.is_enabled,
        stale_while_revalidate_s=min(rule.stale_while_revalidate_s, answer.stale_while_revalidate_s),
        stale_if_error_s=min(rule.stale_if_error_s, answer.stale_if_error_s),
    )


def is_on(decided: Decided, level: str, intent: str) -> bool:
    """Whether no switch forbids the level, or the intent in it."""
    return (
        decided.is_on and decided.rules[level, ""].is_enabled and rule_of(decided, level, intent).is_enabled
    )


class Reference:
    """Judges each answer and each loss. What is wrong is in `broken`."""

    def __init__(self, schedule: Schedule, redis: SharedRedis, database: SharedDatabase) -> None:
        self._schedule = schedule
        self._redis = redis
        self._database = database
        self.processes: list[Process] = []
        self.facts: list[Fact] = []
        self.flushes: list[Flush] = []
        self.fillings: list[Filling] = []
        self.broken: list[str] = []
        self.late: dict[int, Filling] = {}
        """The fills that others had taken over from, by what they made."""
        self.seen: Counter[str] = Counter()

    def blame(self, rule: str, told: str) -> None:
        """Note that a promise is broken."""
        self.broken.append(f"{rule}: {told}")

    def add(self, **truth: Any) -> Fact:
        """Note the truth about a result that was made."""
        fact = Fact(number=len(self.facts), **truth)
        self.facts.append(fact)
        return fact

    # what is served -------------------------------------------------------------------------------------

    def judge(
        self, process: Process, call: Call, asked: Asked, entry: Entry, status: str, *, passages: str = ""
    ) -> None:
        """Judge an answer that was reused."""
        self.seen[f"{entry.level} {status}"] += 1
        fact = self.facts[entry.value["fact"]]
        self._judge_owner(fact, asked, entry, passages)
        level, intent = entry.level, asked.intent
        least = self._least_known(process, call)
        is_as_new_as_his = status == "collapsed" and fact.began_at >= call.began_at
        if is_as_new_as_his and not self._is_database_well(process, call):
            return  # what was begun since he came is as good as his own: what fell meanwhile he cannot know
        if call.decided_at <= self._database.doubtful_at + SECOND_S:
            return  # restored: what fell meanwhile is not known, until its clock has been raised
        told = f"{process.name} served fact {fact.number} ({status}) at {call.decided_at:.3f} for {asked}"
        told += f", having to know {least}"
        for flush in self.flushes:
            if flush.clock > least:
                continue
            part = fact.made_of
            if fact.is_removed(flush, entry.made_at) or (
                part and part.is_removed(flush, entry.made_at, also_as_part=True)
            ):
                self.blame("flushed", f"{told}, flushed by {flush}")
        states = self._database.since(least)
        if level == "response" and all(
            state.revisions[asked.collection] != fact.revision for state in states
        ):
            self.blame("revision", f"{told}, made under {fact.revision}")
        if not any(is_on(state, level, intent) for state in states):
            self.blame("switched off", told)
        age_s = call.decided_at - entry.made_at
        if not any(age_s < self._most_s(rule_of(state, level, intent), status) for state in states):
            self.blame("expired", f"{told}, {age_s:.3f} s old")
        longest_s = asked.directives.max_age_s
        waited_s = call.decided_at - call.began_at if status == "collapsed" else 0.0
        if longest_s is not None and age_s > longest_s + waited_s + HAIR_S:
            self.blame("max-age", f"{told}, {age_s:.3f} s old")

    def _judge_owner(self, fact: Fact, asked: Asked, entry: Entry, passages: str) -> None:
        made_for = fact.asked
        is_his = (made_for.collection, made_for.question) == (asked.collection, asked.question)
        if not is_his or (made_for.is_own and made_for.customer != asked.customer):
            self.blame("somebody else's", f"fact {fact.number} for {made_for} served for {asked}")
        if entry.level == "reply" and fact.passages != passages:
            self.blame("other passages", f"fact {fact.number} of {fact.passages} served for {passages}")
        if entry.clock > fact.clock:
            self.blame("stamped newer", f"fact {fact.number} carries {entry.clock}, read under {fact.clock}")
        if not -HAIR_S <= entry.made_at - fact.made_at <= 1.0:
            self.blame("made younger", f"fact {fact.number} of {fact.made_at:.3f} says {entry.made_at:.3f}")

    def _most_s(self, rule: Rule, status: str) -> float:
        if status == "stale":
            return rule.ttl_s + rule.stale_while_revalidate_s
        if status == "stale-if-error":
            return rule.ttl_s + max(rule.stale_if_error_s, rule.stale_while_revalidate_s)
        return rule.ttl_s

    def _least_known(self, process: Process, call: Call) -> int:
        """Return the clock that the process had to know when it decided: what Redis told it, and what was
        decided a second before. Only where it asked a Redis that nobody could tell, Redis's word counts."""
        second_ago = self._database.clock_at(call.decided_at - SECOND_S - HAIR_S)
        least = max(call.told, second_ago)
        if (
            call.told_last is not None
            and call.told_at > call.decided_at - 0.5
            and call.told_last < second_ago
        ):
            believed = max(call.told, process.heard)
            if believed < second_ago and not self._could_be_told(call, believed + 1):
                self.seen["excused"] += 1
                return believed
        return least

    def _is_database_well(self, process: Process, call: Call) -> bool:
        bad_at = max(process.database_bad_at, self._database.doubtful_at)
        return bad_at < call.began_at - CALM_S

    def _could_be_told(self, call: Call, clock: int) -> bool:
        """Whether a process had a second to tell Redis this clock."""
        missing_since = max(self._database.committed_at(clock), self._redis.clock_lost_at)
        return any(
            call.decided_at - max(missing_since, one.redis_bad_at, one.database_bad_at) > SECOND_S
            for one in self.processes
            if one.is_alive and one.is_watched
        )

    def judge_made(self, process: Process, call: Call, asked: Asked, outcome: FillOutcome) -> None:
        """Judge an answer that this request made: whether it is told what overtook it, and whether it is
        kept where nothing stands against it."""
        self.seen[f"reply {outcome.status}"] += 1
        fact, entry = self.facts[outcome.entry.value["fact"]], outcome.entry
        self._judge_owner(fact, asked, entry, fact.passages)
        is_database_well = self._is_database_well(process, call)
        if is_database_well and not outcome.is_overtaken:
            least = max(call.told, self._database.clock_at(call.decided_at - SECOND_S - HAIR_S))
            late = [
                flush
                for flush in self.flushes
                if flush.clock <= least and fact.is_removed(flush, entry.made_at)
            ]
            if late:
                self.blame("not told", f"{process.name} made fact {fact.number}, overtaken by {late[0]}")
        self._judge_kept(process, call, asked, outcome, fact, is_database_well=is_database_well)
        overtaken = self.late.get(fact.number)
        if overtaken:
            self._judge_late(overtaken, outcome)

    def _judge_late(self, late: Filling, outcome: FillOutcome) -> None:
        """Judge that a filler that lost its lease has stored nothing while another is at it, or over what
        another made that is fresh."""
        other = late.taken_over_by
        assert other
        trouble_at = max(self._redis.disturbed_at, late.process.redis_bad_at, other.process.redis_bad_at)
        began = late.began_at - CALM_S
        seem_off = self._may_seem_off(late, began) or self._may_seem_off(other, began)
        if trouble_at < min(late.asked_at, other.asked_at) - CALM_S and not seem_off:
            self.seen["judged late"] += 1
            if outcome.is_stored and self._stands(other):
                names = f"{late.process.name} after {other.process.name} took over"
                self.blame("stored late", f"{names}: {late.key.parts}")

    def _stands(self, other: Filling) -> bool:
        """Whether who took over is at it, or has made what is fresh still."""
        fact = other.fact
        if fact is None:
            return other in self.fillings  # else it failed, or was killed
        states = self._database.since(self._database.clock_at(other.began_at - CALM_S))
        age_s = self._schedule.now - fact.made_at
        is_fresh = all(
            age_s < rule_of(state, "reply", fact.asked.intent).ttl_s * (1 - JITTER) for state in states
        )
        is_removed = any(fact.is_removed(flush, fact.made_at) for flush in self.flushes)
        return is_fresh and not is_removed and fact.number not in self.late

    def _judge_kept(
        self,
        process: Process,
        call: Call,
        asked: Asked,
        outcome: FillOutcome,
        fact: Fact,
        *,
        is_database_well: bool,
    ) -> None:
        since = call.began_at - CALM_S
        states = self._database.since(self._database.clock_at(since))
        is_well = is_database_well and max(process.redis_bad_at, self._redis.disturbed_at) < since
        was_too_late = call.ended_at - call.began_at >= FILL_S and fact.number in self.late
        is_kept = outcome.is_storable and not asked.directives.no_store and len(states) == 1
        if not is_well or was_too_late or not is_kept or not is_on(states[0], "reply", asked.intent):
            return
        ttl_s = rule_of(states[0], "reply", asked.intent).ttl_s * (1 - JITTER)
        if call.ended_at - fact.made_at < ttl_s and not outcome.is_stored:
            self.blame("not kept", f"{process.name} made fact {fact.number} for nothing")
        self.seen["judged keeping"] += 1

    # what is lost ---------------------------------------------------------------------------------------

    def in_reach(
        self, process: Process, asked: Asked, keys: Sequence[Key]
    ) -> list[tuple[Callable[[], bytes | None], bytes, bool]]:
        """Return where entries lie that the question must find, as long as they lie there."""
        directives = asked.directives
        if directives.no_cache or directives.no_store or directives.max_age_s is not None:
            return []
        places: list[tuple[Callable[[], bytes | None], bytes, bool]] = []
        for key in keys:
            for is_memory, read in ((False, self._redis.peek), (True, self._memory_of(process))):
                raw = read(key.name)
                if raw is not None:
                    places.append((partial(read, key.name), raw, is_memory))
        return places

    def _memory_of(self, process: Process) -> Callable[[str], bytes | None]:
        return lambda name: process.memory._peek(name, self._schedule.now)

    def judge_loss(
        self,
        process: Process,
        call: Call,
        asked: Asked,
        keys: Sequence[Key],
        places: Iterable[tuple[Callable[[], bytes | None], bytes, bool]],
        visit_began_at: float,
        reason: str | None,
    ) -> None:
        """Judge that nothing was reused, although something lay there."""
        now = self._schedule.now
        if not self._is_database_well(process, call):
            return
        is_redis_well = process.redis_bad_at < min(visit_began_at, call.began_at) - CALM_S
        for read, raw, is_memory in places:
            if not (is_memory or is_redis_well) or read() != raw:
                continue
            if self._is_valid_throughout(raw, keys, asked, call.began_at - CALM_S, now):
                where = "memory" if is_memory else "Redis"
                self.blame(
                    "lost",
                    f"{process.name} did not find ({reason}) what lies in {where} for {asked}: {raw!r}",
                )
            self.seen["judged loss"] += 1

    def _is_valid_throughout(
        self, raw: bytes, keys: Sequence[Key], asked: Asked, since: float, until: float
    ) -> bool:
        try:
            entry = decode(raw)
        except Undecodable:
            return False
        if not any(entry.key_parts == key.parts for key in keys):
            return False
        fact = self.facts[entry.value["fact"]]
        level, intent = entry.level, asked.intent
        for state in self._database.since(self._database.clock_at(since)):
            ttl_s = rule_of(state, level, intent).ttl_s * (1 - JITTER)
            if (
                not is_on(state, level, intent)
                or until - entry.made_at > ttl_s - HAIR_S
                or entry.clock < state.floor
            ):
                return False
            if level == "response" and state.revisions[asked.collection] != fact.revision:
                return False
        return not any(
            entry.clock < flush.clock
            and Fact.is_removed(_as_stamped(fact, entry.clock), flush, entry.made_at)
            for flush in self.flushes
        )

    # who makes what is missing --------------------------------------------------------------------------

    def begin(self, filling: Filling) -> None:
        """Judge whether this fill may begin, beside those that are under way."""
        now = self._schedule.now
        self.seen["fill"] += 1
        for other in self.fillings:
            if other.key.parts != filling.key.parts or other.is_alone or filling.is_alone:
                continue
            if now - other.began_at >= FILL_S - LEASED_BEFORE_S:
                self.seen["takeover of a hung one"] += 1
                other.taken_over_by = other.taken_over_by or filling
                continue
            began = other.began_at - CALM_S
            # A request that has met a failing Redis asks it no more.
            asked_at = min(other.asked_at, filling.asked_at) - CALM_S
            trouble_at = max(
                self._redis.disturbed_at, other.process.redis_bad_at, filling.process.redis_bad_at
            )
            seem_off = self._may_seem_off(other, began) or self._may_seem_off(filling, began)
            if trouble_at < min(began, asked_at) and not seem_off:
                self.blame(
                    "filled twice", f"{filling.process.name} beside {other.process.name}: {filling.key.parts}"
                )
        note = self._redis.peek(filling.key.lease_name) or b""
        trouble_at = max(self._redis.disturbed_at, filling.process.redis_bad_at)
        is_redis_well = trouble_at < filling.asked_at - CALM_S
        must_ask = is_redis_well and not filling.is_alone and not self._may_seem_off(filling, now - CALM_S)
        if note.startswith(FAILED) and must_ask:
            told = f"{filling.process.name} though it was told {note!r}"
            self.blame("tried again", f"{told}: {filling.key.parts}")
        self.fillings.append(filling)

    def _may_seem_off(self, filling: Filling, since: float) -> bool:
        """Whether the level may be, or seem to be, switched off: then each fills for himself."""
        if self._database.doubtful_at >= since:
            return True
        if filling.process.database_bad_at >= since:
            since = 0.0  # who cannot read the database may know of an old switch alone
        states = self._database.since(self._database.clock_at(since))
        return not all(is_on(state, "reply", filling.asked.intent) for state in states)

    def end(self, filling: Filling, fact: Fact | None) -> None:
        """Note that the fill has come to its end, and what it made."""
        filling.fact = fact
        if filling in self.fillings:
            self.fillings.remove(filling)
        if filling.taken_over_by and fact:
            self.late[fact.number] = filling

    def forget(self, process: Process) -> None:
        """Note that the process is gone, and with it what it was at."""
        if any(one.process is process for one in self.fillings):
            self.seen["killed in a fill"] += 1
        self.fillings = [one for one in self.fillings if one.process is not process]


def _as_stamped(fact: Fact, clock: int) -> Fact:
    """Return the fact as old as its entry says: never younger, so that it may be flushed for nothing."""
    return Fact(
        number=fact.number,
        level=fact.level,
        asked=fact.asked,
        clock=clock,
        began_at=fact.began_at,
        made_at=fact.made_at,
        tags=fact.tags,
    )
