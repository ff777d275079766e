"""Talks to an OpenAI-compatible endpoint: one deadline, few retries, every call booked.

The only module that imports `openai`, and only when a client is built: importing it takes two seconds.
"""

import logging
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit

from cachemgmt.api import BookCall, ProviderCall
from chat.endpoint.bodies import decoded
from chat.endpoint.failures import (
    LONGEST_WAIT_S,
    Failure,
    failure_in,
    failure_of_status,
    unreadable,
)
from chat.endpoint.requests import ChatRequest, LearntRungs, Rungs, a_rung_down, given_up
from chat.endpoint.responses import read_answer, read_vectors
from chat.endpoint.usage import NOTHING, UNKNOWN, Usage, usage_of
from chat.errors import ProviderMisconfigured, ProviderTimedOut, ProviderUnavailable

SHAPES_RESULTS = False  # carries requests and responses: see chat.source_code

logger = logging.getLogger(__name__)

T = TypeVar("T")
MAX_RETRIES = 2
MAX_UNREADABLE_RETRIES = 1
BACKOFF_S = 0.5
CONNECT_TIMEOUT_S = 5.0
TEXTS_PER_CALL = 256


class StreamedResponse(Protocol):
    """What is used of the official client's response."""

    def iter_bytes(self) -> Iterator[bytes]:
        """Yield the decoded body as it arrives."""
        ...


Send = Callable[[Any, Rungs], AbstractContextManager[StreamedResponse]]
"""Makes the call within the `httpx2.Timeout` it is given, as far down the ladders as it is told."""


class OpenAIClient:
    """Chat Completions and embeddings of one endpoint. Thread-safe; connections are pooled.

    `timeout_s` bounds a whole `complete`, its retries and waits included, and each batch of `embed`. A
    server that drips its response is cut off with the first piece that comes after the deadline.
    `sleep`, `clock` (monotonic seconds) and `randomness` (0..1) can be replaced in tests.
    """

    def __init__(
        self,
        *,
        api_key: str,
        base_url: str,
        timeout_s: float,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        randomness: Callable[[], float] = random.random,
    ) -> None:
        import openai

        if not api_key.isascii() or not api_key.isprintable() or " " in api_key:
            raise ProviderMisconfigured(
                "The API key is none: it has spaces or characters beyond ASCII.", setting="OPENAI_API_KEY"
            )
        self.base_url = base_url
        self.timeout_s = timeout_s
        self._sleep = sleep
        self._clock = clock
        self._randomness = randomness
        self._api = openai.OpenAI(api_key=api_key, base_url=base_url, max_retries=0)
        self._learnt = LearntRungs()
        # The client imports their code when they are first used: here, so that no two threads do it at once.
        _ = self._api.chat.completions.with_streaming_response, self._api.embeddings.with_streaming_response

    def close(self) -> None:
        """Close the pooled connections. The client is of no use afterwards."""
        self._api.close()

    def left_out(self, model: str) -> list[str]:
        """Return, for people, what the model refused since this client was made."""
        return given_up(self._learnt.of(model))

    def complete(self, request: ChatRequest, *, read: Callable[[str], T], book: BookCall) -> T:
        """Return what `read` makes of the model's answer.

        `read` raises ValueError for an answer of the wrong form, which is then asked for once more. What
        the model refuses is left out (see `openai_requests`). Raises ProviderError. Every call is booked,
        with what it came to, before this returns or raises.
        """

        def send(timeout: Any, rungs: Rungs) -> AbstractContextManager[StreamedResponse]:
            create = self._api.chat.completions.with_streaming_response.create
            return create(timeout=timeout, **request.parameters(rungs))

        def read_body(body: object) -> T | Failure:
            return read_answer(body, of_what=f"{request.stage} by {request.model}", read=read)

        return self._call(
            stage=request.stage,
            model=request.model,
            sent=request.rules + request.data,
            send=send,
            read_body=read_body,
            book=book,
        )

    def embed(self, texts: Sequence[str], *, model: str, book: BookCall) -> list[list[float]]:
        """Return one vector for each text, in the texts' order. No text may be empty.

        Makes one call for every `TEXTS_PER_CALL` texts, booked as stage "embed". Raises ProviderError.
        """
        starts = range(0, len(texts), TEXTS_PER_CALL)
        batches = [list(texts[start : start + TEXTS_PER_CALL]) for start in starts]
        return [vector for batch in batches for vector in self._embed_batch(batch, model=model, book=book)]

    def _embed_batch(self, texts: list[str], *, model: str, book: BookCall) -> list[list[float]]:
        def send(timeout: Any, _: Rungs) -> AbstractContextManager[StreamedResponse]:
            create = self._api.embeddings.with_streaming_response.create
            return create(model=model, input=texts, encoding_format="float", timeout=timeout)

        def read_body(body: object) -> list[list[float]] | Failure:
            return read_vectors(body, of_what=f"embed by {model}", n_texts=len(texts))

        return self._call(
            stage="embed", model=model, sent="\n".join(texts), send=send, read_body=read_body, book=book
        )

    def _call(
        self,
        *,
        stage: str,
        model: str,
        sent: str,
        send: Send,
        read_body: Callable[[object], T | Failure],
        book: BookCall,
    ) -> T:
        """Call until it succeeds, another try could not help, or the next would begin past the deadline.

        `sent` are the request's texts, which an error may quote.
        """
        deadline = self._clock() + self.timeout_s
        of_what = f"{stage} by {model}"
        n_failures = n_unreadable = 0
        rungs = self._learnt.of(model)
        while True:
            started = self._clock()
            body = self._fetch(send, rungs, deadline=deadline, sent=sent, of_what=of_what)
            failure = body if isinstance(body, Failure) else failure_in(body, sent=sent, of_what=of_what)
            if failure is None:
                self._learn(model, rungs)
            result = failure or read_body(body)
            usage = usage_of(body, is_embedding=stage == "embed")
            if failure and usage == UNKNOWN:
                usage = failure.usage
            book(
                ProviderCall(
                    stage=stage,
                    model=model,
                    outcome=result.outcome if isinstance(result, Failure) else "ok",
                    seconds=self._clock() - started,
                    prompt_tokens=usage.prompt_tokens,
                    cached_tokens=usage.cached_tokens,
                    completion_tokens=usage.completion_tokens,
                )
            )
            if not isinstance(result, Failure):
                return result
            extra = {"action": "provider_call", "stage": stage, "model": model, "outcome": result.outcome}
            # An embedding sends nothing that could be left out.
            lower = None if stage == "embed" else a_rung_down(rungs, result.refused)
            if lower is not None and self._clock() < deadline:
                rungs = lower
                continue
            wait_s = self._wait_s(result, n_failures)
            n_failures += 1
            n_unreadable += result.outcome == "unreadable"
            is_spent = n_failures > MAX_RETRIES or n_unreadable > MAX_UNREADABLE_RETRIES
            if wait_s is None or is_spent or self._clock() + wait_s >= deadline:
                logger.warning("A provider call failed (%s): %s.", result.outcome, of_what, extra=extra)
                raise result.error
            logger.warning(
                "A provider call failed (%s) and is tried again: %s.", result.outcome, of_what, extra=extra
            )
            self._sleep(wait_s)

    def _learn(self, model: str, rungs: Rungs) -> None:
        """Keep what the model was asked without: only now that it answered, as errors can mislead."""
        for name in self._learnt.learn(model, rungs):
            extra = {"action": "provider_call", "model": model, "outcome": "refused", "refused": name}
            logger.info("%s refuses %s, which is left out from now on.", model, name, extra=extra)

    def _fetch(self, send: Send, rungs: Rungs, *, deadline: float, sent: str, of_what: str) -> object:
        """Return the decoded body of one response, or a Failure."""
        import httpx2
        import openai

        timed_out = Failure(
            error=ProviderTimedOut(f"No answer within {self.timeout_s:g} s: {of_what}."),
            outcome="timeout",
            # Only a connection that took too long leaves time for another try.
            is_passing=True,
        )
        left_s = max(deadline - self._clock(), 0.001)
        pieces = []
        try:
            with send(httpx2.Timeout(left_s, connect=min(left_s, CONNECT_TIMEOUT_S)), rungs) as response:
                for piece in response.iter_bytes():
                    pieces.append(piece)
                    if self._clock() > deadline:
                        return replace(timed_out, usage=UNKNOWN)
        except (openai.APITimeoutError, httpx2.TimeoutException) as error:
            return replace(timed_out, usage=_usage_of_broken(error))
        except openai.APIStatusError as error:
            response = error.response
            return failure_of_status(
                error.status_code, response.content, headers=response.headers, sent=sent, of_what=of_what
            )
        except (openai.OpenAIError, httpx2.HTTPError) as error:
            broken = ProviderUnavailable(f"The connection failed: {of_what}.")
            usage = _usage_of_broken(error)
            return Failure(error=broken, outcome="error", is_passing=True, usage=usage)
        try:
            return decoded(b"".join(pieces))
        except (ValueError, RecursionError):
            return replace(unreadable(f"The response is not JSON: {of_what}."), usage=UNKNOWN)

    def _wait_s(self, failure: Failure, n_failures: int) -> float | None:
        """Return the seconds to wait before the next try after `n_failures` earlier ones, None for no try."""
        if not failure.is_passing:
            return None
        if failure.retry_after_s is not None:
            return failure.retry_after_s if failure.retry_after_s <= LONGEST_WAIT_S else None
        if failure.outcome == "unreadable":
            return 0.0
        # Half of it random, so that those who failed together do not come back together.
        return BACKOFF_S * 2.0**n_failures * (0.5 + self._randomness() / 2)


def without_credentials(url: str) -> str:
    """Return a URL without the user and password it may carry."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _usage_of_broken(error: Exception) -> Usage:
    """Return what a call cost that ended without a response: nothing where it was never sent. Else the
    endpoint may have answered, and billed, what did not arrive."""
    import httpx2

    causes = (error, error.__cause__)
    never_sent = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)
    return NOTHING if any(isinstance(cause, never_sent) for cause in causes) else UNKNOWN
