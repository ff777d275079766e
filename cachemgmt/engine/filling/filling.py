"""One fill, anywhere: who makes what is missing, and who waits for it."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from cachemgmt.engine.errors import NotFilled, NotStored, Overloaded, StoreError
from cachemgmt.engine.filling.cache import Cache
from cachemgmt.engine.filling.failures import Failures, NoFailures
from cachemgmt.engine.filling.flight import Flight, Flights
from cachemgmt.engine.filling.keeping import Keeper
from cachemgmt.engine.filling.lease import FAILED, LEASE_S, UNSHARED, Heartbeat, Lease, new_token
from cachemgmt.engine.filling.refreshing import Refreshes
from cachemgmt.engine.filling.results import MISSES, CacheRequest, FillOutcome, FillResult, Status
from cachemgmt.engine.keys import Key
from cachemgmt.engine.reasons import Failed, Reason
from cachemgmt.engine.reuse.knowledge import CLOCK_NAME

logger = logging.getLogger(__name__)

FILL_S = 60.0
"""How long a fill may take before another takes over."""

FIRST_POLL_S = 0.03
LONGEST_POLL_S = 0.25
POLL_GROWTH = 1.5


@dataclass(slots=True)
class _FillRequest:
    """A miss: what is wanted, how to make it, for whom."""

    keys: Sequence[Key]
    fill: Callable[[], FillResult]
    visit: CacheRequest
    reason: Reason | None

    @property
    def digest(self) -> str:
        return self.keys[0].digest


class Filler:
    """Fills on a miss, once for all who ask at the same time, in this process and in others. Thread-safe."""

    def __init__(
        self,
        cache: Cache,
        *,
        failures: Failures | None = None,
        fill_s: float = FILL_S,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        refreshes: Refreshes | None = None,
        heartbeat: Heartbeat | None = None,
    ) -> None:
        """`fill_s`: how long a fill may take before another may take over."""
        self.cache = cache
        self.refreshes = refreshes or Refreshes()
        self._failures = failures or NoFailures()
        self._fill_s = fill_s
        self._monotonic = monotonic
        self._sleep = sleep
        self._heartbeat = heartbeat or Heartbeat(cache.store, monotonic)
        self._keeper = Keeper(cache)
        self._flights: Flights[FillOutcome | None] = Flights(monotonic)

    def get_or_fill(
        self,
        keys: Sequence[Key],
        fill: Callable[[], FillResult],
        visit: CacheRequest,
        *,
        barred: Reason | None = None,
        refill: Callable[[], FillResult] | None = None,
    ) -> FillOutcome:
        """Return a reusable entry under one of the keys, else what `fill` makes, keeping it.

        Of all who miss the same first key at once, in whatever process, one fills; the others wait for it
        and report "collapsed". A dead filler's lease runs out, a hung one's ends with its deadline, and one
        of those who wait takes over. Of a fill's error each waiter of this process gets one like it, those of
        others what `Failures` tells it, and is not kept; where it is the provider's, a stale entry may serve.
        `refill` makes anew what is given stale, in another thread: what the caller's own may not touch.
        May wait up to twice `fill_s`. Raises NotStored where only a stored result was asked for, Overloaded
        where no more may wait, NotFilled after the wait.
        """
        found = self.cache.lookup(keys, visit, barred=barred)
        wanted = _FillRequest(keys, fill, visit, found.reason)
        if found.entry:
            if found.is_stale:
                again = replace(wanted, fill=refill or fill, visit=CacheRequest(clock=visit.clock))
                self.refreshes.begin(wanted.digest, lambda: self._share(again))
            return FillOutcome(status=found.status, entry=found.entry, is_stored=True, reason=found.reason)
        if visit.directives.only_if_cached:
            raise NotStored
        try:
            if visit.place:
                visit.place.take()
            if found.reason not in MISSES:
                return self._fill_alone(wanted, "bypass")
            return self._share(wanted)
        except Exception as error:
            stale = self.cache.serves_error(found, visit) if self.is_failure(error) else None
            if stale is None:
                raise
            return FillOutcome(status="stale", entry=stale, is_stored=True, reason=self.why_stale(error))

    def is_failure(self, error: Exception) -> bool:
        """Whether a stale entry may serve in place of the error: the provider's, or no room to ask it."""
        return isinstance(error, Overloaded | NotFilled) or self._failures.allows_stale(error)

    def why_stale(self, error: Exception) -> Failed:
        """Return the reason that is told with a stale entry that serves in place of the error."""
        return "overloaded" if isinstance(error, Overloaded) else "provider-failed"

    # in this process ------------------------------------------------------------------------------------

    def _share(self, wanted: _FillRequest) -> FillOutcome:
        asked_at = self._monotonic()
        give_up_at = asked_at + 2 * self._fill_s + LEASE_S
        has_waited = False
        while (now := self._monotonic()) < give_up_at:
            flight, is_leader = self._flights.join(wanted.digest, now + self._fill_s)
            if is_leader:
                return self._lead(wanted, flight)
            is_newer, has_waited = has_waited, True
            if not self._flights.wait(flight):
                continue  # it hangs: one of those who waited takes over
            error = flight.own_error()
            if error:
                raise error
            outcome = flight.result
            key = next((key for key in wanted.keys if outcome and outcome.entry.belongs_to(key)), None)
            if outcome is None or key is None or not outcome.is_storable:
                return self._fill_alone(wanted, "miss")
            if not is_newer and not self.cache.is_sure(wanted.visit):
                continue  # it may have been flushed before he came: he takes what was begun since
            waited_s = self._monotonic() - asked_at
            objection = self.cache.objection(outcome.entry, key, wanted.visit, waited_s=waited_s)
            if not objection:
                return replace(outcome, status="collapsed")
            if objection != "flushed":
                return self._fill_alone(wanted, "miss")
            if outcome.entry.clock >= (wanted.visit.clock or 0):
                # What he made of what he knows would be dead on arrival, too: he must begin again.
                return replace(outcome, status="collapsed", is_overtaken=True)
            # It was flushed before he came: one of those who waited fills again.
        raise NotFilled

    def _lead(self, wanted: _FillRequest, flight: Flight[FillOutcome | None]) -> FillOutcome:
        try:
            outcome = self._with_lease(wanted, flight)
        except Exception as error:
            self._flights.fail(wanted.digest, flight, error)
            raise
        except BaseException:  # it ends this thread, and no other: the waiters must be woken, and fill
            self._flights.land(wanted.digest, flight, None)
            raise
        if outcome is None:
            self._flights.land(wanted.digest, flight, None)
            return self._fill_alone(wanted, "miss")
        self._flights.land(wanted.digest, flight, outcome)
        return outcome

    # across processes -----------------------------------------------------------------------------------

    def _with_lease(self, wanted: _FillRequest, flight: Flight[FillOutcome | None]) -> FillOutcome | None:
        """Return what another process fills meanwhile, else fill; None where each must fill for himself."""
        give_up_at = self._monotonic() + self._fill_s + LEASE_S
        token, poll_s, has_waited = new_token(), FIRST_POLL_S, False
        names = [key.name for key in wanted.keys]
        while (now := self._monotonic()) < give_up_at:
            lease = Lease(wanted.keys[0].lease_name, token, deadline=now + self._fill_s, renewed_at=now)
            # While it waits, a request is not held up by the store: its own bound does not count here.
            store = self.cache.store if has_waited else self.cache.store_for(wanted.visit)
            try:
                holder, (*found, clock) = store.take_lease(
                    lease.name, token, min(LEASE_S, self._fill_s), reading=[*names, CLOCK_NAME]
                )
            except StoreError:
                holder, found, clock = None, [None] * len(names), None
            again = self.cache.choose(wanted.keys, found, clock, wanted.visit)
            if again.entry and not again.is_stale:
                if holder in {None, token}:
                    self._keeper.give_back(lease)
                status: Status = "collapsed" if has_waited else "hit"
                return FillOutcome(status=status, entry=again.entry, is_stored=True, reason=wanted.reason)
            if holder in {None, token}:  # its own: of a command that was given up on, and carried out late
                flight.deadline = lease.deadline
                return self._fill_under(lease, wanted)
            if holder == UNSHARED:
                return None
            if holder.startswith(FAILED):
                raise self._failures.error(holder.removeprefix(FAILED).decode("utf-8", "replace"))
            has_waited = True
            self._sleep(poll_s)
            poll_s = min(poll_s * POLL_GROWTH, LONGEST_POLL_S)
        raise NotFilled

    def _fill_under(self, lease: Lease, wanted: _FillRequest) -> FillOutcome:
        try:
            with self._heartbeat.keeping(lease):
                made = self._timed(wanted.fill)
            return self._keeper.kept(made, wanted.keys[0], wanted.visit, lease, reason=wanted.reason)
        except Exception as error:
            self._keeper.give_back(lease, note=self._note(error))
            raise
        except BaseException:  # it ends this thread: nobody must wait for its lease to run out
            self._keeper.give_back(lease)
            raise

    def _note(self, error: Exception) -> bytes:
        told = self._failures.note(error)
        return b"" if told is None else FAILED + told.encode()

    # the fill itself ------------------------------------------------------------------------------------

    def _fill_alone(self, wanted: _FillRequest, status: Status) -> FillOutcome:
        made = self._timed(wanted.fill)
        return self._keeper.kept(made, wanted.keys[0], wanted.visit, reason=wanted.reason, status=status)

    def _timed(self, fill: Callable[[], FillResult]) -> FillResult:
        started = self._monotonic()
        made = fill()
        spent_s = max(0.0, self._monotonic() - started)
        return replace(made, fill_s=spent_s) if made.fill_s is None else made
