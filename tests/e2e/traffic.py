"""A steady mix of questions to several products, and what came of each."""

import contextlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from http.client import HTTPException
from threading import Condition, Event, Thread
from typing import Self

from tests.e2e.conftest import Product
from tests.e2e.fleet import REPLY_WITHIN_S, Reply, ask

PAUSE_S = 0.01
"""Between two questions to one product: a mix, not a trial of strength."""


@dataclass(frozen=True, kw_only=True)
class Noted:
    """One question of the traffic, and its reply; None where there was none."""

    product: Product
    question: str
    asked_at: float
    took_s: float
    reply: Reply | None


class Traffic:
    """Asks each product the questions in turn, one at a time, from entering the context to leaving it."""

    def __init__(self, products: Sequence[Product], questions: Sequence[str]) -> None:
        self._products = products
        self._questions = questions
        self._noted: list[Noted] = []
        self._has_more = Condition()
        self._is_over = Event()
        self._threads = [Thread(target=self._ask_on, args=(product,)) for product in products]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    @property
    def noted(self) -> list[Noted]:
        """All there is so far, in the order of the replies."""
        return list(self._noted)

    def next(self, count: int) -> list[Noted]:
        """Wait until each product has replied to so many questions that were asked from now on, and return
        them; fail where that takes too long."""
        since = time.monotonic()

        def come() -> list[Noted]:
            return [one for one in self._noted if one.asked_at >= since]

        def are_enough() -> bool:
            replied = [one.product.port for one in come()]
            return all(replied.count(product.port) >= count for product in self._products)

        with self._has_more:
            assert self._has_more.wait_for(are_enough, REPLY_WITHIN_S), f"not {count} replies in time"
        return come()

    def _ask_on(self, product: Product) -> None:
        number = 0
        while not self._is_over.wait(PAUSE_S):
            question = self._questions[number % len(self._questions)]
            number += 1
            asked_at = time.monotonic()
            reply = None
            with contextlib.suppress(OSError, HTTPException, json.JSONDecodeError):
                reply = ask(product, question)
            took_s = time.monotonic() - asked_at
            with self._has_more:
                self._noted.append(
                    Noted(product=product, question=question, asked_at=asked_at, took_s=took_s, reply=reply)
                )
                self._has_more.notify_all()
