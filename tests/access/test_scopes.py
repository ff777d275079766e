"""Random callers, collections, customers and questions: nobody is served what was made for somebody else.

A reply's first words tell which writing of it this is, and the test keeps who each was written for. A failing
seed is played again by its number alone.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

import pytest
from django.http import HttpRequest
from rest_framework.exceptions import APIException
from rest_framework.request import Request

from access import authentication, caller
from access.admission import Admission, Wish
from access.authentication import identified, require_right, who_asks
from access.caller import Caller
from access.identity import signature_of, signing_secret
from access.keys import PREFIX, digest_of
from access.sessions import Session, token_of
from cachemgmt.api import Directives, Knowledge, normalise_message
from cachemgmt.engine.reuse.knowledge import Flush, Flushes
from chat.errors import ChatError
from chat.types import Classification, Passage, Question, Reply, Turn, Verdict
from tests.fakes.kitchen import Kitchen

STEPS = 10_000
SEEDS = 10
FAR = 4e9
"""A Unix time far off."""

COLLECTIONS = ("shop", "hats")
CUSTOMERS = ("ada", "bob", None)
DELIVERY = "standard delivery takes how many working days?"
PLAIN = ("what is your refund policy?", DELIVERY, "who returns an item?")
OWN = (
    "where is my order 734-22871, standard delivery takes how many working days?",
    "my name is zoë, what is the refund policy?",
    "my e-mail is z@y.example, what is the refund policy?",
)
LEANING = ("and how many working days does standard delivery take?",)
TELLS_OWN = "how are refunds paid?"
"""The reply to it names somebody's e-mail address, though the question is plain."""

QUESTIONS = (*PLAIN * 8, *OWN, *LEANING, TELLS_OWN)
HISTORIES: tuple[tuple[Turn, ...], ...] = (
    (),
    (Turn(role="user", content=DELIVERY),),
    (Turn(role="user", content="my order is 734-22871"), Turn(role="assistant", content="It is on its way.")),
)


def serial_of(number: int) -> str:
    """Return a number in letters: a figure would have to stand in the passages."""
    return "w" + "".join(chr(ord("a") + int(digit)) for digit in str(number))


@dataclass
class Writer:
    """A provider that numbers what it writes."""

    name: str = "writer"
    n_written: int = 0

    def make_ready(self, *, book: Any) -> None: ...

    def fingerprint(self, stage: str) -> dict[str, object]:
        return {"writer": stage}

    def classify(self, *, message: str, history: Sequence[Turn], book: Any) -> Classification:
        return Classification(
            intent="refund_policy",
            confidence=0.9,
            language="en",
            is_personal=False,
            leans_on_context=message in map(normalise_message, LEANING),
            self_contained=DELIVERY if history else None,
        )

    def generate(self, *, question: str, passages: Sequence[Passage], **_: Any) -> Reply:
        self.n_written += 1
        told = " write to z@y.example." if question == normalise_message(TELLS_OWN) else ""
        return Reply(text=f"{serial_of(self.n_written)} is so.{told}", cited=(0,))

    def validate(self, **_: Any) -> Verdict:
        return Verdict(is_supported=True)


@dataclass(frozen=True, kw_only=True)
class Credential:
    """What somebody asks with, and, as the reference knows it, what that allows."""

    header: str
    rights: frozenset[str] = frozenset()
    collections: tuple[str, ...] = ()
    key_id: str = ""
    is_session: bool = False
    customer_id: str | None = None
    is_over: bool = False


@dataclass(frozen=True, kw_only=True)
class Ask:
    """One question, as somebody sends it."""

    credential: Credential
    message: str
    history: tuple[Turn, ...]
    collection: str | None
    customer_id: str | None
    signed: str
    directives: Directives = field(default_factory=Directives)


class Desk:
    """The service, and the reference that knows who may be told what."""

    def __init__(self, seed: int, patch: pytest.MonkeyPatch) -> None:
        self.random = random.Random(seed)
        self.writer = Writer()
        self.kitchen = Kitchen(self.writer)
        self.kitchen.index.revisions = {"r1": self.kitchen.index.revisions["r1"]}
        self.callers: dict[str, Caller] = {}
        self.kitchen.policies.now = Knowledge(revisions=dict.fromkeys(COLLECTIONS, "r1"))
        for module in (authentication, caller):
            for name in ("known", "learn"):
                if hasattr(module, name):
                    patch.setattr(module, name, self.kitchen.policies.known)
        patch.setattr("access.admission.known", self.kitchen.policies.known)
        patch.setattr("access.admission.learn", lambda: None)
        self.credentials = [*self._keys(), *self._sessions()]
        self._learn_callers()
        self.written: dict[str, tuple[str, str | None, bool]] = {}
        """By serial: the collection, the customer and whether it was somebody's own."""
        self.refused = self.reused = 0

    def _keys(self) -> Iterator[Credential]:
        choices = product((("shop",), ("hats",), COLLECTIONS), ((), ("trusted",), ("trusted", "skip_cache")))
        for number, (collections, more) in enumerate(choices):
            key_id = f"{number:012x}"
            text = f"{PREFIX}{key_id}_{'A' * 43}"
            rights = frozenset({"ask", *more})
            self.callers[digest_of(text)] = self.callers[key_id] = Caller(
                key_id=key_id,
                name=key_id,
                collections=frozenset(collections),
                rights=rights,  # type: ignore[arg-type]
                expires_at=1.0 if number == 4 else None,
            )
            yield Credential(
                header=f"Bearer {text}",
                rights=rights,
                collections=collections,
                key_id=key_id,
                is_over=number == 4,
            )
        yield Credential(header=f"Bearer {PREFIX}{'f' * 12}_{'A' * 43}", is_over=True)
        yield Credential(header="", is_over=True)

    def _sessions(self) -> Iterator[Credential]:
        for number, collection, customer_id in product((2, 6, 8), COLLECTIONS, CUSTOMERS):
            key = self.callers[f"{number:012x}"]
            session = Session(
                key_id=key.key_id, collection=collection, customer_id=customer_id, expires_at=FAR
            )
            yield Credential(
                header=f"Bearer {token_of(session)}",
                rights=frozenset({"ask"}),
                collections=(collection,),
                key_id=key.key_id,
                is_session=True,
                customer_id=customer_id,
                is_over=not key.may_ask_of(collection),
            )

    def _learn_callers(self) -> None:
        self.kitchen.policies.learn(others={"callers": dict(self.callers)})

    def step(self) -> None:
        """Let somebody ask, or something be changed."""
        kind = self.random.random()
        if kind < 0.002:
            self._change_a_key()
        elif kind < 0.006:
            self._flush()
        elif kind < 0.01:
            self.kitchen.clock.advance(self.random.choice([60, 2000]))
        else:
            self._ask(self._some_question())

    def _change_a_key(self) -> None:
        """Revoke a key, or put it back: to the service it is the same as a new one."""
        digest = self.random.choice([name for name in self.callers if len(name) > 12])
        held = self.callers[digest]
        is_revoked = held.key_id not in self.callers
        if is_revoked:
            self.callers[held.key_id] = held
        else:
            del self.callers[held.key_id]
        current = {name: one for name, one in self.callers.items() if one.key_id in self.callers}
        self.kitchen.policies.learn(others={"callers": current})

    def _flush(self) -> None:
        now = self.kitchen.policies.now
        match = self.random.choice(["collection:shop", "customer:ada", "intent:refund_policy"])
        self._flushed = [*getattr(self, "_flushed", []), Flush(clock=now.clock + 1, kind="tag", match=match)]
        self.kitchen.policies.learn(flushes=Flushes(self._flushed))

    def _some_question(self) -> Ask:
        choose = self.random.choice
        return Ask(
            credential=choose(self.credentials),
            message=choose(QUESTIONS),
            history=choose(HISTORIES),
            collection=choose([None, None, None, None, *COLLECTIONS, "nowhere"]),
            customer_id=choose([None, None, None, *CUSTOMERS]),
            signed=choose(["", "", "right", "by another key", "for another customer"]),
            directives=choose([Directives()] * 20 + [Directives(no_cache=True), Directives(no_store=True)]),
        )

    def _ask(self, ask: Ask) -> None:
        expected = self._allowed(ask)
        before = self.writer.n_written
        try:
            question = self._admitted(ask)
        except APIException:
            assert expected is None, f"refused: {ask}"
            self.refused += 1
            return
        assert expected is not None, f"admitted: {ask}"
        assert (question.collection, question.customer_id) == expected, ask
        try:
            answer = self.kitchen.pipeline.answer(question)
        except ChatError:
            assert question.collection == "nowhere"
            return
        if answer.needs_human:
            return  # the same words for everybody
        serial = answer.text.partition(" ")[0]
        is_own = ask.message in {*OWN, TELLS_OWN} or (ask.message in LEANING and ask.history == HISTORIES[2])
        if self.writer.n_written > before:
            self.written[serial] = (question.collection, question.customer_id, is_own)
            return
        self.reused += 1
        collection, customer_id, was_own = self.written[serial]
        assert collection == question.collection, f"another collection's: {ask}"
        assert not was_own or (customer_id is not None and customer_id == question.customer_id), (
            f"{customer_id}'s own: {ask}"
        )

    def _admitted(self, ask: Ask) -> Question:
        request = HttpRequest()
        request.META = {"HTTP_AUTHORIZATION": ask.credential.header, "REMOTE_ADDR": "10.0.0.1"}
        asker = Request(request)
        asker.auth = identified(ask.credential.header, address="10.0.0.1")
        require_right(who_asks(asker), "ask")
        wish = Wish(
            collection=ask.collection,
            customer_id=ask.customer_id,
            customer_signature=self._signature(ask),
            directives=ask.directives,
        )
        admission = Admission(asker, wish)
        return Question(
            message=ask.message,
            history=ask.history,
            collection=admission.collection,
            customer_id=admission.customer_id,
            directives=admission.directives,
            asker=admission,
        )

    def _signature(self, ask: Ask) -> str | None:
        if not ask.signed or ask.customer_id is None:
            return None
        key_id = ask.credential.key_id if ask.signed != "by another key" else "0" * 11 + "x"
        whose = "eve" if ask.signed == "for another customer" else ask.customer_id
        return signature_of(whose, secret=signing_secret(key_id))

    def _allowed(self, ask: Ask) -> tuple[str, str | None] | None:
        """Return of which collection and for whom he may ask, None if he may not: said once more, plainly."""
        held = ask.credential
        if held.is_over or held.key_id not in self.callers:
            return None
        collection = ask.collection or (held.collections[0] if len(held.collections) == 1 else "sample")
        if collection not in held.collections:
            return None
        if held.is_session:
            is_his = ask.customer_id in {None, held.customer_id}
            return (collection, held.customer_id) if is_his else None
        is_vouched = ask.customer_id is None or "trusted" in held.rights or ask.signed == "right"
        makes_anew = ask.directives.no_cache or ask.directives.no_store
        if not is_vouched or (makes_anew and "skip_cache" not in held.rights):
            return None
        return collection, ask.customer_id


@pytest.fixture
def quiet(settings: Any, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No limits: how often one may ask is another test's."""
    settings.EMBEDDER = "hashed"
    settings.REQUIRE_API_KEY = True
    monkeypatch.setattr("access.authentication.check_wrong_key", lambda _: None)
    return monkeypatch


@pytest.mark.django_db
@pytest.mark.parametrize("seed", range(SEEDS))
def test_nobody_is_served_what_is_not_his(seed: int, quiet: pytest.MonkeyPatch) -> None:
    desk = Desk(seed, quiet)
    for _ in range(STEPS):
        desk.step()
    assert desk.reused > STEPS / 10, desk.reused  # it was worth looking
    assert desk.refused > STEPS / 10


def test_a_scope_that_forgets_the_customer_is_found_out(db: None, quiet: pytest.MonkeyPatch) -> None:
    from chat.levels import scope

    quiet.setattr(scope, "owner_tags", lambda *_, **__: ())
    quiet.setattr("chat.levels.response_cache.keep_under", lambda keys, *_, **__: keys[0])
    assert is_found_out(quiet)


def test_a_session_that_forgets_its_collection_is_found_out(db: None, quiet: pytest.MonkeyPatch) -> None:
    whole = authentication._of_session
    quiet.setattr(authentication, "_of_session", lambda *given: replace(whole(*given), collections=None))
    assert is_found_out(quiet)


def is_found_out(patch: pytest.MonkeyPatch) -> bool:
    """Whether some step fails."""
    desk = Desk(0, patch)
    try:
        for _ in range(STEPS):
            desk.step()
    except AssertionError:
        return True
    return False
