"""Talks to an OpenAI-compatible endpoint: one deadline, few retries, every call booked.

The only module that imports `openai`, and only when a client is built: importing it takes two seconds.
"""

import json
import logging
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

from cachemgmt.api import BookCall, ProviderCall
from chat.errors import ProviderMisconfigured, ProviderTimedOut, ProviderUnavailable
from chat.providers.openai_responses import (
    LONGEST_WAIT_S,
    Failure,
    failure_of_status,
    read_answer,
    read_vectors,
    unreadable,
    usage_of,
)

logger = logging.getLogger(__name__)

T = TypeVar("T")
SAMPLING: Mapping[str, float] = {"temperature": 0}
"""No seed: some endpoints refuse it, and none promises anything for it."""
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


Send = Callable[[Any], AbstractContextManager[StreamedResponse]]
"""Makes the call within the `httpx2.Timeout` it is given."""


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
            raise ProviderMisconfigured("The API key is none: it has spaces or characters beyond ASCII.")
        self.base_url = base_url
        self.timeout_s = timeout_s
        self._sleep = sleep
        self._clock = clock
        self._randomness = randomness
        self._api = openai.OpenAI(api_key=api_key, base_url=base_url, max_retries=0)
        # The client imports their code when they are first used: here, so that no two threads do it at once.
        _ = self._api.chat.completions.with_streaming_response, self._api.embeddings.with_streaming_response
        # What each model has refused since this process started. Only ever grows, and each step is atomic.
        self._refused: dict[str, set[str]] = {}

    def close(self) -> None:
        """Close the pooled connections. The client is of no use afterwards."""
        self._api.close()

    def complete(
        self,
        *,
        stage: str,
        model: str,
        messages: Sequence[Mapping[str, str]],
        schema: Mapping[str, object] | None,
        read: Callable[[str], T],
        book: BookCall,
        max_tokens: int,
    ) -> T:
        """Return what `read` makes of the model's answer.

        `read` raises ValueError for an answer of the wrong form, which is then asked for once more.
        `schema` (JSON Schema) asks for that form; endpoints that know no schemas may ignore it. Raises
        ProviderError. Every call is booked, with what it came to, before this returns or raises.
        """
        wanted: dict[str, object] = {**SAMPLING, "max_tokens": max_tokens}
        if schema is not None:
            form = {"name": stage, "strict": True, "schema": schema}
            wanted["response_format"] = {"type": "json_schema", "json_schema": form}

        def send(timeout: Any) -> AbstractContextManager[StreamedResponse]:
            parameters: Any = self._acceptable(model, wanted)
            turns: Any = messages
            create = self._api.chat.completions.with_streaming_response.create
            return create(model=model, messages=turns, timeout=timeout, **parameters)

        def read_body(body: object) -> T | Failure:
            return read_answer(body, of_what=f"{stage} by {model}", read=read)

        return self._call(stage=stage, model=model, send=send, read_body=read_body, book=book)

    def embed(self, texts: Sequence[str], *, model: str, book: BookCall) -> list[list[float]]:
        """Return one vector for each text, in the texts' order. No text may be empty.

        Makes one call for every `TEXTS_PER_CALL` texts, booked as stage "embed". Raises ProviderError.
        """
        starts = range(0, len(texts), TEXTS_PER_CALL)
        batches = [list(texts[start : start + TEXTS_PER_CALL]) for start in starts]
        return [vector for batch in batches for vector in self._embed_batch(batch, model=model, book=book)]

    def _embed_batch(self, texts: list[str], *, model: str, book: BookCall) -> list[list[float]]:
        def send(timeout: Any) -> AbstractContextManager[StreamedResponse]:
            create = self._api.embeddings.with_streaming_response.create
            return create(model=model, input=texts, encoding_format="float", timeout=timeout)

        def read_body(body: object) -> list[list[float]] | Failure:
            return read_vectors(body, of_what=f"embed by {model}", n_texts=len(texts))

        return self._call(stage="embed", model=model, send=send, read_body=read_body, book=book)

    def _call(
        self,
        *,
        stage: str,
        model: str,
        send: Send,
        read_body: Callable[[object], T | Failure],
        book: BookCall,
    ) -> T:
        """Call until it succeeds, another try could not help, or the next would begin past the deadline."""
        deadline = self._clock() + self.timeout_s
        n_failures = n_unreadable = 0
        left_out: set[str] = set()
        while True:
            started = self._clock()
            body = self._fetch(send, deadline=deadline, of_what=f"{stage} by {model}")
            result = body if isinstance(body, Failure) else read_body(body)
            usage = usage_of(body)
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
            refused = result.refused_parameter
            if refused and refused not in left_out:
                logger.info("The model refuses a parameter, which is left out from now on.", extra=extra)
                left_out.add(refused)
                self._refused.setdefault(model, set()).add(refused)
                continue
            wait_s = self._wait_s(result, n_failures)
            n_failures += 1
            n_unreadable += result.outcome == "unreadable"
            is_spent = n_failures > MAX_RETRIES or n_unreadable > MAX_UNREADABLE_RETRIES
            if wait_s is None or is_spent or self._clock() + wait_s >= deadline:
                logger.warning("A provider call failed.", extra=extra)
                raise result.error
            logger.warning("A provider call failed and is tried again.", extra=extra)
            self._sleep(wait_s)

    def _fetch(self, send: Send, *, deadline: float, of_what: str) -> object:
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
            with send(httpx2.Timeout(left_s, connect=min(left_s, CONNECT_TIMEOUT_S))) as response:
                for piece in response.iter_bytes():
                    pieces.append(piece)
                    if self._clock() > deadline:
                        return timed_out
        except (openai.APITimeoutError, httpx2.TimeoutException):
            return timed_out
        except openai.APIStatusError as error:
            headers = error.response.headers
            return failure_of_status(
                error.status_code, code=error.code, param=error.param, headers=headers, of_what=of_what
            )
        except (openai.OpenAIError, httpx2.HTTPError):
            broken = ProviderUnavailable(f"The connection failed: {of_what}.")
            return Failure(error=broken, outcome="error", is_passing=True)
        try:
            return json.loads(b"".join(pieces))
        except (ValueError, RecursionError):
            return unreadable(f"The response is not JSON: {of_what}.")

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

    def _acceptable(self, model: str, wanted: Mapping[str, object]) -> dict[str, object]:
        """Return the parameters without those the model has refused."""
        refused = self._refused.get(model, set())
        accepted = {name: value for name, value in wanted.items() if name not in refused}
        if "max_tokens" in refused:
            accepted["max_completion_tokens"] = wanted["max_tokens"]
        return accepted
