"""The whole model: processes, customers, operators and accidents, for one seed."""

import logging
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from random import Random
from typing import Literal

from cachemgmt.engine.reuse.freshness import Directives
from cachemgmt.engine.reuse.knowledge import CLOCK_NAME, Flush, FlushKind, Rule
from tests.cachemgmt.engine.model.customers import Customers, Provider, keys_for, passages_of
from tests.cachemgmt.engine.model.database import Decided, SharedDatabase
from tests.cachemgmt.engine.model.process import Process
from tests.cachemgmt.engine.model.reference import Asked, Reference
from tests.cachemgmt.engine.model.schedule import Schedule, taking_turns
from tests.cachemgmt.engine.model.shared_redis import Contents, SharedRedis

COLLECTIONS = ("acme", "zeta")
QUESTIONS = ("q0", "q1", "q2")
CUSTOMERS = ("ann", "bob")
MOST_AT_ONCE = 3
"""Questions that a process is at."""

TOLD = 40
"""Events that are told of a run that failed."""

WINDING_UP_STEPS = 20_000


@dataclass(slots=True)
class Operator:
    """A process that only decides something, and its name in the tale."""

    name: str
    is_alive: bool = True


@dataclass(slots=True)
class Tale:
    """The latest events, told only if somebody asks."""

    schedule: Schedule
    events: deque[tuple[float, int, str]] = field(default_factory=lambda: deque(maxlen=TOLD))

    def add(self, event: str) -> None:
        self.events.append((self.schedule.now, self.schedule.steps, event))

    def __str__(self) -> str:
        return "\n".join(
            f"  {at - 1_700_000_000:9.4f} s  step {step:5d}  {event}" for at, step, event in self.events
        )


class World:
    """One run. `without`: kinds of events that are left out."""

    def __init__(self, seed: int, *, without: Collection[str] = ()) -> None:
        self.rng = rng = Random(seed)
        self.schedule = schedule = Schedule(rng)
        self.redis = SharedRedis(schedule)
        self.database = SharedDatabase(schedule, self._first_decisions())
        self.reference = Reference(schedule, self.redis, self.database)
        self.database.after_outrun = self._note_outrun
        self.provider = Provider()
        self.customers = Customers(schedule, self.database, self.reference, self.provider)
        self.tale = Tale(schedule)
        self._saved: Contents = {}
        self._recoveries: list[tuple[float, Callable[[], None]]] = []
        self._revisions = 1
        self._started = 0
        self._memory_bytes = rng.choice((64 * 2**20, 64 * 2**20, 6_000))
        everything: dict[str, tuple[float, Callable[[], None]]] = {
            "flush": (0.005, self._flush),
            "publish": (0.002, self._publish),
            "rule": (0.002, self._change_rule),
            "switch": (0.0005, self._switch_off),
            "trim": (0.001, self._trim),
            "fault": (0.003, self._let_redis_fail),
            "global fault": (0.001, self._let_redis_fail_for_all),
            "database fault": (0.002, self._let_database_fail),
            "global database fault": (0.0007, self._let_database_fail_for_all),
            "evict": (0.002, self._evict),
            "flushall": (0.0007, self._lose_everything),
            "rollback": (0.001, self._roll_back),
            "garbage": (0.001, self._write_garbage),
            "restore": (0.003, self._restore_database),
            "kill": (0.001, self._kill),
            "provider": (0.001, self._let_provider_fail),
        }
        is_quiet = rng.random() < 0.1
        chosen = {kind: rng.random() < 0.5 and not is_quiet for kind in everything}
        self.kinds = [kind for kind, is_chosen in chosen.items() if is_chosen and kind not in without]
        self._accidents = [everything[kind] for kind in self.kinds]
        self.provider.hangs = rng.choice((0.0, 0.02))
        self._p_question = rng.choice((0.03, 0.08, 0.2))
        self._p_hot = rng.choice((0.3, 0.9))
        for number in range(4):
            self._start_process(is_watched=number < 3)

    def _first_decisions(self) -> Decided:
        rule = self._some_rule()
        return Decided(
            clock=1,
            rules={("response", ""): rule, ("reply", ""): Rule(ttl_s=15.0, stale_while_revalidate_s=2.0)},
            revisions=dict.fromkeys(COLLECTIONS, "r1"),
        )

    def _some_rule(self) -> Rule:
        rng = self.rng
        return Rule(
            ttl_s=rng.choice((2.0, 6.0, 10.0, 30.0)),
            is_enabled=rng.random() < 0.9,
            stale_while_revalidate_s=rng.choice((0.0, 3.0)),
            stale_if_error_s=rng.choice((0.0, 10.0)),
        )

    # the run --------------------------------------------------------------------------------------------

    def run(self, steps: int) -> None:
        """Run so many steps, then let all end in peace; stop as soon as something is wrong."""
        logging.disable(logging.WARNING)
        try:
            with taking_turns(self.schedule):
                while self.schedule.steps < steps and not self.is_broken:
                    self._happen()
                    self._step()
                self._wind_up()
                for process in self.reference.processes:
                    self._end(process)
        finally:
            logging.disable(logging.NOTSET)

    @property
    def is_broken(self) -> bool:
        """Whether a promise is broken."""
        if self.schedule.crashes:
            self.reference.blame("raised", self.schedule.crashes.pop())
        if self.redis.stolen:
            self.reference.blame("stolen", self.redis.stolen.pop())
        return bool(self.reference.broken)

    def _step(self) -> None:
        self._notice()
        self.schedule.step()

    def _notice(self) -> None:
        for process in self.reference.processes:
            process.notice()

    def _happen(self) -> None:
        now, rng = self.schedule.now, self.rng
        while self._recoveries and self._recoveries[0][0] <= now:
            self._recoveries.pop(0)[1]()
        if rng.random() < self._p_question:
            self._ask()
        if self.database.is_in_doubt:
            return  # another accident at once, and nobody may know any more what its clock was
        luck = rng.random()
        for likelihood, accident in self._accidents:
            luck -= likelihood
            if luck < 0:
                accident()
                return

    def _wind_up(self) -> None:
        """Everything is well again: all questions must come to an end."""
        for _, recover in self._recoveries:
            recover()
        last = self.schedule.steps + WINDING_UP_STEPS
        while self._is_anything_left() and not self.is_broken:
            if self.schedule.steps >= last:
                asking = [task.name for task in self.schedule.tasks if task.name.startswith("ask")]
                self.reference.blame("never ends", ", ".join(asking) or "the other history")
            self._step()

    def _is_anything_left(self) -> bool:
        return self.database.is_in_doubt or any(process.questions for process in self.reference.processes)

    def _later(self, seconds: float, recover: Callable[[], None]) -> None:
        self._recoveries.append((self.schedule.now + seconds, recover))
        self._recoveries.sort(key=lambda item: item[0])

    # processes and their customers ----------------------------------------------------------------------

    def _start_process(self, *, is_watched: bool) -> None:
        self._started += 1
        name = f"P{self._started}" if is_watched else f"C{self._started}"
        process = Process(
            name,
            self.schedule,
            self.redis,
            self.database,
            is_watched=is_watched,
            memory_bytes=self._memory_bytes,
        )
        self.reference.processes.append(process)
        process.start()
        self.tale.add(f"{name} starts")

    def _ask(self) -> None:
        rng = self.rng
        process = rng.choice(self.reference.processes)
        if process.questions >= MOST_AT_ONCE:
            return
        question = QUESTIONS[0] if rng.random() < self._p_hot else rng.choice(QUESTIONS)
        asked = Asked(
            collection=COLLECTIONS[0] if rng.random() < self._p_hot else rng.choice(COLLECTIONS),
            question=question,
            customer=rng.choice((None, *CUSTOMERS)),
            is_own=question == QUESTIONS[2],
            directives=self._some_directives(),
        )
        process.questions += 1

        def work() -> None:
            self.tale.add(f"{process.name} is asked {asked}")
            came_of_it = self.customers.ask(process, asked)
            self.tale.add(f"{process.name} answered {asked}: {came_of_it}")
            process.questions -= 1

        self.schedule.start(process, f"ask {asked}", work)

    def _some_directives(self) -> Directives:
        luck = self.rng.random()
        if luck < 0.04:
            return Directives(no_cache=True)
        if luck < 0.06:
            return Directives(no_store=True)
        if luck < 0.10:
            return Directives(only_if_cached=True)
        return Directives(max_age_s=self.rng.choice((1.0, 5.0))) if luck < 0.15 else Directives()

    def _kill(self) -> None:
        process = self.rng.choice(self.reference.processes)
        self._end(process)
        self.tale.add(f"{process.name} is killed")
        self._later(self.rng.random() * 4, lambda: self._start_process(is_watched=process.is_watched))

    def _end(self, process: Process) -> None:
        process.is_alive = False
        process.questions = 0
        self.reference.processes = [one for one in self.reference.processes if one is not process]
        self.reference.forget(process)
        self.schedule.end_all(process)

    # decisions ------------------------------------------------------------------------------------------

    def _decide(self, what: str, changes: Callable[[Decided], dict[str, object]]) -> None:
        process = self.rng.choice(self.reference.processes)
        is_aborted = self.rng.random() < 0.1

        def work() -> None:
            with self.database.transaction():
                if self.database.is_in_doubt:
                    return
                if is_aborted:
                    self.tale.add(f"{process.name} would decide {what}, and rolls back")
                    return
                decided = self.database.commit(**changes(self.database.now))
                self.reference.flushes.extend(decided.flushes[-1:] if what.startswith("flush") else ())
                self.tale.add(f"{process.name} decides {what}: clock {decided.clock}")
            self.schedule.pause()
            process.store.raise_number(CLOCK_NAME, decided.clock)
            process.snapshot.known(at_least=decided.clock)

        self.schedule.start(process, "operator", work)

    def _flush(self) -> None:
        rng = self.rng
        collection, question = rng.choice(COLLECTIONS), rng.choice(QUESTIONS)
        asked = Asked(collection=collection, question=question, customer=rng.choice(CUSTOMERS))
        level = rng.choice(("response", "reply"))
        key = keys_for(level, asked, passages_of("r0") if level == "reply" else "")[rng.randrange(2)]
        kinds: list[tuple[FlushKind, str]] = [
            ("all", ""),
            ("tag", f"level:{level}"),
            ("tag", f"collection:{collection}"),
            ("tag", f"intent:{asked.intent}"),
            ("tag", f"doc:{passages_of('r1')}"),
            ("tag", f"customer:{asked.customer}"),
            ("tag", f"entry:{key.entry_id}"),
            ("age", f"{self.schedule.now - rng.choice((0.0, 1.0, 4.0)):.3f}"),
            ("pattern", f"{level}:*:{question}"),
            ("pattern", f"*:{collection}:*"),
        ]
        kind, match = rng.choice(kinds)

        def changes(now: Decided) -> dict[str, object]:
            return {"flushes": (*now.flushes, Flush(clock=now.clock + 1, kind=kind, match=match))}

        self._decide(f"flush {kind} {match}", changes)

    def _publish(self) -> None:
        self._revisions += 1
        revision, collection = f"r{self._revisions}", self.rng.choice(COLLECTIONS)
        self._decide(
            f"publish {revision} of {collection}",
            lambda now: {"revisions": {**now.revisions, collection: revision}},
        )

    def _change_rule(self) -> None:
        which = self.rng.choice(
            (("response", ""), ("reply", ""), ("response", "about-0"), ("reply", "about-1"))
        )
        rule = self._some_rule()
        self._decide(f"rule {which} {rule}", lambda now: {"rules": {**now.rules, which: rule}})

    def _switch_off(self) -> None:
        self._decide("switch off", lambda _: {"is_on": False})
        self._later(self.rng.random() * 3, lambda: self._decide("switch on", lambda _: {"is_on": True}))

    def _trim(self) -> None:
        """Take all but the latest two flushes off the record."""

        def changes(now: Decided) -> dict[str, object]:
            old = now.flushes[:-2]
            return {"flushes": now.flushes[-2:], "floor": max(now.floor, old[-1].clock)} if old else {}

        self._decide("trim", changes)

    # accidents ------------------------------------------------------------------------------------------

    def _let_redis_fail(self) -> None:
        rng = self.rng
        line = rng.choice(self.reference.processes).line
        name = line._caller.name
        line.fault = rng.choice(("out", "frozen", "slow", "refusing", "full", "busy"))
        self.tale.add(f"Redis is {line.fault} for {name}")

        def recover() -> None:
            self._notice()
            line.fault = ""
            self.tale.add(f"Redis is well for {name}")

        self._later(rng.choice((0.3, 2.0, 5.0)) * rng.random(), recover)

    def _let_redis_fail_for_all(self) -> None:
        rng = self.rng
        self.redis.fault = rng.choice(("out", "frozen", "slow", "refusing", "full"))
        self.tale.add(f"Redis is {self.redis.fault}")

        def recover() -> None:
            self._notice()
            self.redis.fault = ""
            self.redis.thaw()
            self.tale.add("Redis is well")

        self._later(rng.choice((0.3, 2.0, 5.0)) * rng.random(), recover)

    def _let_database_fail(self) -> None:
        self._fail_database([self.rng.choice(self.reference.processes)])

    def _let_database_fail_for_all(self) -> None:
        self._fail_database(self.reference.processes)

    def _fail_database(self, processes: Collection[Process]) -> None:
        rng = self.rng
        fault: Literal["out", "hangs"] = "out" if rng.random() < 0.5 else "hangs"
        failing = list(processes)
        names = " ".join(process.name for process in failing)
        for process in failing:
            process.reader.fault = fault if process.is_watched else "out"
        self.tale.add(f"the database is {fault} for {names}")

        def recover() -> None:
            self._notice()
            for process in failing:
                process.reader.fault = ""
            self.tale.add(f"the database is well for {names}")

        self._later(rng.choice((0.5, 3.0, 8.0)) * rng.random(), recover)

    def _restore_database(self) -> None:
        """To what it was once. Redis and the processes know more."""

        def work() -> None:
            with self.database.transaction():
                processes = self.reference.processes
                clock = self.database.now.clock
                earlier = [decided for _, decided in self.database.history if decided.clock < clock]
                watched = [process.snapshot.known().clock for process in processes if process.is_watched]
                if earlier and {self.redis.clock, *watched} == {clock}:
                    self.database.restore(self.rng.choice(earlier))
                    self.reference.seen["restored"] += 1
                    self.tale.add(f"the database is what it was once: clock {self.database.now.clock}")

        self.schedule.start(self.rng.choice(self.reference.processes), "operator", work)

    def _note_outrun(self, clock: int) -> None:
        self.reference.flushes.append(Flush(clock=clock, kind="all"))
        self.tale.add(f"the other history is outrun: clock {clock}")

    def _evict(self) -> None:
        rng = self.rng
        names = sorted(self.redis._items)
        if not names:
            return
        name = CLOCK_NAME if rng.random() < 0.4 else rng.choice(names)
        self.redis.lose([name])
        self.tale.add(f"Redis evicts {name}")

    def _lose_everything(self) -> None:
        self.redis.lose(list(self.redis._items))
        self.tale.add("Redis loses everything")

    def _roll_back(self) -> None:
        """To what was saved; and save what is there, for the next time."""
        saved, self._saved = self._saved, self.redis.saved()
        if saved and self.rng.random() < 0.7:
            self.redis.roll_back(saved)
            self.tale.add(f"Redis is what it was once: clock {self.redis.clock}")
        else:
            self.tale.add(f"Redis is saved: clock {self.redis.clock}")

    def _write_garbage(self) -> None:
        """Of another program, or what belongs under another name."""
        names = sorted(self.redis._items)
        if not names:
            return
        name, other = self.rng.choice(names), self.rng.choice(names)
        value = (
            self.redis.peek(other) if self.rng.random() < 0.5 and CLOCK_NAME not in {name, other} else None
        )
        self.redis.overwrite(name, value or b"banana")
        self.tale.add(f"{name} is overwritten with {f'what stands under {other}' if value else 'nonsense'}")

    def _let_provider_fail(self) -> None:
        self.provider.is_down = True
        self.tale.add("the provider is down")

        def recover() -> None:
            self.provider.is_down = False
            self.tale.add("the provider is back")

        self._later(self.rng.random() * 5, recover)
