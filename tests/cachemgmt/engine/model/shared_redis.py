"""One Redis for all processes, and each process's own, failing way to it."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal, Protocol

from cachemgmt.engine.errors import StoreBusy, StoreRefused, StoreUnavailable
from cachemgmt.engine.reuse.knowledge import CLOCK_NAME
from cachemgmt.engine.stores.memory import MemoryStore
from tests.cachemgmt.engine.model.schedule import Owner, Schedule

Fault = Literal["", "out", "frozen", "slow", "refusing", "full", "busy"]
"""What is the matter: nothing; refused connections; time-outs whose commands are carried out late or never;
140 ms a command; every command refused; writes refused; all connections in use."""

COMMAND_S = 0.15
SLOW_S = 0.14
WRITES = {"set", "take_lease", "renew_leases", "set_leased", "raise_number"}
COMMANDS = WRITES | {"get_many", "exists", "delete", "remove", "names", "end_lease", "scan", "clear_all"}

Contents = dict[str, tuple[bytes, float]]


class SharedRedis(MemoryStore):
    """A Redis: what it holds, and how that gets lost."""

    kind = "redis"
    is_shared = True

    def __init__(self, schedule: Schedule) -> None:
        super().__init__(now=schedule.time)
        self.schedule = schedule
        self.fault: Fault = ""
        self.late: list[Callable[[], object]] = []
        """Commands that a client has given up on, and that are carried out once it goes on."""
        self.disturbed_at = schedule.now
        """When it last lost something without being told to."""
        self.clock_lost_at = schedule.now
        self.stolen: list[str] = []
        """What was stored by one who had no right to."""

    @property
    def clock(self) -> int:
        """The clock that it tells now, -1 for none."""
        raw = self.peek(CLOCK_NAME)
        return int(raw) if raw is not None and raw.isdigit() else -1

    def peek(self, name: str) -> bytes | None:
        """Return what stands there, touching nothing."""
        return self._peek(name, self.schedule.now)

    def saved(self) -> Contents:
        """Return a copy, as a file or a replica has it."""
        return dict(self._items)

    def roll_back(self, saved: Contents) -> None:
        """Be what it was once."""
        before = self.clock
        self.clear_all()
        for name, (value, expires_at) in saved.items():
            self._write(name, value, expires_at)
        self._disturbed(before)

    def lose(self, names: Sequence[str]) -> None:
        """Evict them."""
        before = self.clock
        self.delete(names)
        self._disturbed(before)

    def overwrite(self, name: str, value: bytes) -> None:
        """Be written to by another program."""
        before = self.clock
        self.set(name, value, 600.0)
        self._disturbed(before)

    def thaw(self) -> None:
        """Carry out what clients have given up on."""
        late, self.late = self.late, []
        for command in late:
            command()

    def set_leased(self, name: str, value: bytes, ttl_s: float, *, lease: str, token: bytes) -> bool:
        is_held = self.peek(lease) == token
        is_kept = super().set_leased(name, value, ttl_s, lease=lease, token=token)
        if is_kept and not is_held:
            self.stolen.append(name)
        return is_kept

    def _disturbed(self, clock_before: int) -> None:
        self.disturbed_at = self.schedule.now
        if self.clock < clock_before:
            self.clock_lost_at = self.schedule.now


class Caller(Owner, Protocol):
    """A process that uses Redis."""

    def was_told(self, raw: bytes | None) -> None:
        """Note the clock that Redis told it."""
        ...


class Line:
    """One process's way to the one Redis: a `Store` whose commands take time, and fail."""

    kind = "redis"
    is_shared = True

    def __init__(self, redis: SharedRedis, caller: Caller) -> None:
        self._redis = redis
        self._caller = caller
        self._schedule = redis.schedule
        self.fault: Fault = ""

    @property
    def worst(self) -> Fault:
        """What is the matter for this process."""
        return self._redis.fault or self.fault

    def session(self) -> "Line":
        return self

    def spare(self, name: str) -> bytes | None:
        return None

    def note(self, name: str, value: bytes) -> None:
        """Nothing."""

    def get_info(self) -> dict[str, object]:
        return {"store": self.kind}

    def health_check(self) -> dict[str, object]:
        return {"store": self.kind, "is_healthy": not self.worst}

    def __getattr__(self, command: str) -> Callable[..., Any]:
        if command not in COMMANDS:
            raise AttributeError(command)
        return partial(self._command, command)

    def _command(self, command: str, *args: Any, **options: Any) -> Any:
        schedule, rng = self._schedule, self._schedule.rng
        carry_out = partial(getattr(self._redis, command), *args, **options)
        learns = command in {"get_many", "take_lease"}
        schedule.pause(SLOW_S if self.worst == "slow" else rng.random() * 0.002, learns=learns)
        match self.worst:
            case "out":
                raise StoreUnavailable
            case "frozen":
                self._freeze(carry_out, learns=learns)
            case "refusing":
                raise StoreRefused
            case "busy":
                raise StoreBusy
            case "full" if command in WRITES:
                raise StoreRefused
        result = carry_out()
        told = self._told(command, args, options, result)
        if rng.random() < 0.5:
            schedule.pause(learns=learns)
        if told is not None:
            self._caller.was_told(told)
        return result

    def _freeze(self, carry_out: Callable[[], object], *, learns: bool) -> None:
        if self._redis.fault == "frozen":
            self._redis.late.append(carry_out)
        elif self._schedule.rng.random() < 0.5:
            carry_out()  # only the reply is lost
        self._schedule.pause(COMMAND_S, learns=learns)
        raise StoreUnavailable

    def _told(self, command: str, args: Any, options: Any, result: Any) -> bytes | None:
        """Return the clock that was read, None if it was not asked for, b"" where there is none."""
        if command == "get_many":
            names, found = args[0], result
        elif command == "take_lease":
            names, found = options["reading"], result[1]
        else:
            return None
        return (found[names.index(CLOCK_NAME)] or b"") if CLOCK_NAME in names else None
