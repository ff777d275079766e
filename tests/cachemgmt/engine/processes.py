"""Several processes over one shared store, on one time that passes only while somebody sleeps."""

import threading
from collections.abc import Callable
from concurrent.futures import Future

from cachemgmt.engine.filling.cache import Cache
from cachemgmt.engine.filling.filling import FILL_S, Filler
from cachemgmt.engine.filling.lease import Heartbeat
from cachemgmt.engine.filling.refreshing import Refreshes
from cachemgmt.engine.filling.results import FillOutcome
from cachemgmt.engine.keys import Key
from cachemgmt.engine.reuse.knowledge import KnowledgeSource
from cachemgmt.engine.stores.base import Store
from tests.cachemgmt.engine.fakes import KEY, WITHIN_S, Background, FakeTime, Fill, Threads, take


class ProviderOut(Exception):
    """The provider's failure in these tests."""


class FakeFailures:
    """`Failures` of which `ProviderOut` alone is one."""

    def note(self, error: Exception) -> str | None:
        return f"out {error}" if isinstance(error, ProviderOut) else None

    def error(self, note: str) -> Exception:
        return ProviderOut(note.removeprefix("out "))

    def allows_stale(self, error: Exception) -> bool:
        return isinstance(error, ProviderOut)


class Process:
    """One process, alive until it is killed. `steps` are what goes on elsewhere: one each time it sleeps."""

    def __init__(
        self, store: Store, source: KnowledgeSource, now: FakeTime, *, fill_s: float = FILL_S
    ) -> None:
        self._now = now
        self._heartbeat = Heartbeat(store, now, is_threaded=False)
        self.cache = Cache(store=store, source=source, now=now)
        self.background = Background()
        self.filler = Filler(
            self.cache,
            failures=FakeFailures(),
            fill_s=fill_s,
            monotonic=now,
            sleep=self._sleep,
            refreshes=Refreshes(self.background),
            heartbeat=self._heartbeat,
        )
        self.steps: list[Callable[[], object]] = []
        self.naps = 0
        now.hearts.append(self._heartbeat.beat)

    def kill(self) -> None:
        """Its threads stand still from now on, that of its heart among them."""
        self._now.hearts.remove(self._heartbeat.beat)

    def _sleep(self, seconds: float) -> None:
        self._now.advance(seconds)
        self.naps += 1
        if self.steps:
            self.steps.pop(0)()


class Filling:
    """A fill under way in a process, until a test ends it. `error` is what comes of it, if not a result."""

    def __init__(
        self,
        process: Process,
        threads: Threads,
        *keys: Key,
        kept_under: Key | None = KEY,
        error: BaseException | None = None,
        **directives: object,
    ) -> None:
        self._begun, self._may_end = threading.Event(), threading.Event()
        self.fill = Fill(kept_under, during=self._hang, error=error)
        self._call: Future[FillOutcome] = threads.start(
            lambda: take(process.filler, self.fill, *keys, **directives)
        )
        assert self._begun.wait(WITHIN_S)

    def _hang(self) -> None:
        self._begun.set()
        assert self._may_end.wait(WITHIN_S), "nobody ended the fill"

    def end(self) -> FillOutcome:
        """Let it end, and wait for that."""
        self._may_end.set()
        return self._call.result(WITHIN_S)

    def fail(self) -> BaseException:
        """Let it fail, and wait for that."""
        self._may_end.set()
        error = self._call.exception(WITHIN_S)
        assert error is not None
        return error
