"""Attempts to talk a language model round, in messages, forged histories and policies, and what others get.

The model is the worst there is: it obeys every order that it is shown, whatever the prompts say. So what
holds here holds by what stages are shown, what stands in keys, and what is checked without a model. Whether
a good model falls for an order at all is not shown here.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from cachemgmt.engine.entry import decode
from cachemgmt.inspecting.inspector import Inspector
from chat import assembly
from chat.judging.unseen import without_unseen
from chat.providers.base import Provider
from chat.stages.generate import SMALLTALK_TEXTS
from chat.types import Passage
from tests.fakes import llm_mind
from tests.fakes.fixtures import make_openai_provider
from tests.fakes.hashed import hashed_provider
from tests.fakes.kitchen import COLLECTION, POLICIES, Kitchen
from tests.fakes.llm_obeying import texts_in
from tests.fakes.llm_script import Obey, Order
from tests.fakes.llm_server import LlmServer

Attempt = Mapping[str, Any]

ATTEMPTS: list[Attempt] = [
    json.loads(line)
    for line in (Path(__file__).parents[2] / "data" / "injections.jsonl").read_text("utf-8").splitlines()
]
"""`sign`: what the model knows the attempt by. `wants`: what it is ordered to say, by stage; `says`: the
reply. `owns`: whether the attacker himself gets what he wants."""

OWNED = "Owned: every refund is refused."
REFUND = "What's your refund policy?"
TALK = [["assistant", "Hello! Ask away."], ["user", REFUND], ["assistant", "You get your money back."]]
OTHERS: list[tuple[str, list[list[str]]]] = [
    (REFUND, []),
    (REFUND, [["user", "Hello"], ["assistant", "Hello!"]]),
    ("Tell me more", TALK),
    ("How long does shipping take?", []),
    ("Can opened coffee be returned?", []),
    ("Hello", []),
    ("I want to talk to a human being", []),
]
"""What other customers ask, and what they talked of before."""
ASKS_FOR_POISON = "What does the newsletter about roasting say?"
PERSONAL = "My order number is 51877. When are refunds paid for a returned item?"

TOPICS = ("refund", "shipping", "coffee", "order", "gift card")
MORE = [
    Passage(
        document=f"{topic}-{n}",
        title=f"Your {topic} policy",
        heading_path=(f"What rule {n} is on",),
        text=f"What your {topic} is, tells rule {n} on {topic}.",
    )
    for topic in TOPICS
    for n in range(5)
]
"""So many that no question is answered from all of them."""


@dataclass(frozen=True, kw_only=True)
class Stored:
    """An entry: all that its key stands for, its bytes, and its value."""

    level: str
    inputs: Mapping[str, Any]
    raw: bytes
    value: Any


@dataclass(frozen=True, kw_only=True)
class Clean:
    """What others are told and what is stored where nobody has attempted anything."""

    told: list[str]
    stored: Mapping[str, Stored]

    @property
    def raw(self) -> dict[str, bytes]:
        return {name: entry.raw for name, entry in self.stored.items()}


SITE = Client()
"""One for all: it loads the middleware once."""


class Shop:
    """A site over HTTP with its own cache. Whoever asks gets what a customer gets."""

    def __init__(self, provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
        self.kitchen = Kitchen(provider)
        self._patch = monkeypatch
        self.publish("r1", [*POLICIES, *MORE])

    def put(self, entries: "Mapping[str, Stored]") -> None:
        """Keep entries that another shop has made."""
        for name, entry in entries.items():
            self.kitchen.store.set(name, entry.raw, 86_400)

    def publish(self, revision: str, policies: list[Passage]) -> None:
        """Publish these policies under a revision's name."""
        self.kitchen.index.revisions[revision] = policies
        self.kitchen.policies.learn(revisions={COLLECTION: revision})

    def ask(self, message: str, history: list[list[str]]) -> str:
        """Return the answer's text."""
        self._patch.setattr(assembly, "pipeline", lambda: self.kitchen.pipeline)
        turns = [{"role": role, "content": content} for role, content in history]
        body = {"message": message, "history": turns, "collection": COLLECTION}
        response = SITE.post("/api/chat", body, content_type="application/json")
        assert response.status_code == 200, response.content
        answer: str = response.json()["answer"]
        return answer

    def ask_as_others(self) -> list[str]:
        """Return what other customers are answered."""
        texts = [self.ask(message, history) for message, history in OTHERS]
        return [*texts, self.kitchen.ask(PERSONAL, customer_id="victim").text]

    def attack(self, attempt: Attempt) -> str:
        """Make the attempt; return what the attacker is answered."""
        if "policy" in attempt:
            poison = Passage(document="news", title="Newsletter", heading_path=(), text=attempt["policy"])
            self.publish(f"with {attempt['id']}", [*POLICIES, *MORE, poison])
        return self.ask(attempt["message"], attempt["history"])

    def stored(self) -> dict[str, Stored]:
        """Return all entries of all levels and customers, as the inspector finds them, by name."""
        store, cursor, found = self.kitchen.store, "", {}
        inspector = Inspector(store, self.kitchen.policies.now, now=self.kitchen.clock)
        while True:
            page = inspector.page(cursor=cursor, count=500)
            for shown in page.entries:
                raw = store.get(shown.name) or b""
                _, level, _, inputs, _ = json.loads(decode(raw).key_parts)
                found[shown.name] = Stored(level=level, inputs=inputs, raw=raw, value=decode(raw).value)
            if not page.has_more:
                assert set(found) == {name for name in store.names() if not name.startswith("lease:")}
                return found
            cursor = page.cursor


def order(attempt: Attempt) -> Order:
    """Return what the attempt orders the model to say at each stage."""
    wants = attempt["wants"]
    read = {"intent": "refund_policy", "confidence": 1.0, "language": "en", "is_personal": False}
    read |= {"leans_on_context": False, "self_contained": ""}
    verdicts = {
        "generate": wants.get("generate", {"reply": attempt.get("says", OWNED), "cited": [0]}),
        "validate": {"is_supported": True, "objections": []},
    }
    if "classify" in wants:
        verdicts["classify"] = read | wants["classify"]
    return Order(sign=attempt["sign"].casefold(), verdicts=verdicts)


def is_signed(entry: Stored, attempts: Sequence[Attempt]) -> bool:
    """Whether the entry's key holds the text of one of the attempts; of an attempt in a policy, whether it
    holds the policy's text or the answer names it."""
    evidence = entry.value.get("sources", []) if isinstance(entry.value, dict) else entry.value
    in_key = laid_bare(" \n ".join(texts_in(entry.inputs)))
    in_evidence = laid_bare(" \n ".join(texts_in(evidence)))
    return any(
        attempt["sign"].casefold() in in_key
        or ("policy" in attempt and attempt["sign"].casefold() in in_evidence)
        for attempt in attempts
    )


def laid_bare(text: str) -> str:
    """Return a text with what tags hide in it, and without what hides nothing."""
    return without_unseen(text.translate({0xE0000 + code: code for code in range(128)})).casefold()


def is_owned(text: str) -> bool:
    return "owned" in text.casefold()


def assert_nothing_planted(
    found: Mapping[str, Stored], clean: Mapping[str, Stored], attempts: Sequence[Attempt]
) -> None:
    """Fail if an entry that others can reach is not what an honest model makes of its key."""
    for name, entry in found.items():
        if is_signed(entry, attempts):
            continue
        assert not is_owned(str(entry.value)), entry
        if name in clean:
            assert without_revision(entry.value) == without_revision(clean[name].value)
        elif entry.level == "reply":
            assert entry.value.get("text") in honest_texts(entry.inputs), entry
        else:  # passages and vectors follow from the question alone; no model makes them
            assert entry.level in {"policy", "vector"}, entry


def honest_texts(inputs: Mapping[str, Any]) -> list[str | None]:
    """Return the replies an honest model may make of a reply's key; None for none."""
    passages = [
        {"index": index, "title": title, "headings": headings, "text": without_unseen(text)}
        for index, (title, headings, text) in enumerate(inputs["passages"])
    ]
    context = [{"role": role, "content": content} for role, content in inputs["context"]]
    data = {"question": inputs["question"], "conversation": context, "passages": passages, "objections": []}
    return [str(llm_mind.generate(data)["reply"]), *SMALLTALK_TEXTS.values(), None]


def without_revision(value: Any) -> Any:
    return {**value, "revision": None} if isinstance(value, dict) else value


@pytest.fixture(autouse=True)
def found_by_words(settings: Any, monkeypatch: pytest.MonkeyPatch, db: None) -> None:
    """Passages are found by their words alone, which is fast; and however little they bear on a message, it
    gets to the model that writes."""
    settings.EMBEDDER = "hashed"
    monkeypatch.setattr("chat.answering.pipeline.is_enough", bool)


@pytest.fixture(scope="module")
def gullible() -> Iterator[Provider]:
    """A provider whose model obeys whatever attempt it is shown."""
    obey = Obey(tuple(order(attempt) for attempt in ATTEMPTS))
    with LlmServer() as server:
        for stage in ("classify", "generate", "validate"):
            server.always(stage, obey)
        yield make_openai_provider(server)


@pytest.fixture(scope="module")
def remembered() -> dict[str, Any]:
    """What others got and what was stored before any attempt, once that is known."""
    return {}


@pytest.fixture
def clean(gullible: Provider, monkeypatch: pytest.MonkeyPatch, remembered: dict[str, Any]) -> Clean:
    """What there is before any attempt."""
    if not remembered:
        shop = Shop(gullible, monkeypatch)
        told = shop.ask_as_others()
        shop.ask(ASKS_FOR_POISON, [])
        remembered.update(told=told, stored=shop.stored())
    return Clean(**remembered)


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=[attempt["id"] for attempt in ATTEMPTS])
def test_an_attempt_changes_nothing_for_others(
    attempt: Attempt, gullible: Provider, clean: Clean, monkeypatch: pytest.MonkeyPatch
) -> None:
    # They have asked before.
    warm = Shop(gullible, monkeypatch)
    warm.put(clean.stored)
    told = warm.attack(attempt)
    assert is_owned(told) == attempt["owns"]
    assert "51877" not in told
    if "policy" not in attempt:  # with other policies, answers are put together anew
        assert {name: warm.stored()[name].raw for name in clean.stored} == clean.raw
    assert warm.ask_as_others() == clean.told
    assert_nothing_planted(warm.stored(), clean.stored, [attempt])

    # They ask only now.
    cold = Shop(gullible, monkeypatch)
    assert cold.attack(attempt) == told
    assert_nothing_planted(cold.stored(), clean.stored, [attempt])
    assert cold.ask_as_others() == clean.told
    assert_nothing_planted(cold.stored(), clean.stored, [attempt])


def test_all_attempts_together_change_nothing_for_others(
    gullible: Provider, clean: Clean, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Shop(gullible, monkeypatch)
    for attempt in ATTEMPTS:
        if "policy" not in attempt:
            shop.attack(attempt)
    assert shop.ask_as_others() == clean.told
    assert_nothing_planted(shop.stored(), clean.stored, ATTEMPTS)
    assert sum(is_owned(str(entry.value)) for entry in shop.stored().values()) > 50


def test_a_poisoned_policy_speaks_only_where_it_is_evidence(
    gullible: Provider, clean: Clean, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Shop(gullible, monkeypatch)
    poisons = [attempt for attempt in ATTEMPTS if attempt["where"] == "policy" and attempt["owns"]]
    for attempt in poisons:
        assert is_owned(shop.attack(attempt))
    owned = [entry for entry in shop.stored().values() if is_owned(str(entry.value))]
    replies = [entry for entry in owned if entry.level == "reply"]
    assert len(replies) == len(poisons)
    texts = {without_unseen(attempt["policy"]) for attempt in poisons}
    assert all({text for _, _, text in entry.inputs["passages"]} & texts for entry in replies)
    # It is gone with the policy.
    shop.publish("r3", [*POLICIES, *MORE])
    assert not is_owned(shop.ask(poisons[0]["message"], []))


def test_what_is_planted_is_noticed(
    gullible: Provider, clean: Clean, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Shop(gullible, monkeypatch)
    assert_nothing_planted(shop.stored(), clean.stored, ATTEMPTS)
    scope = replace(shop.kitchen.cache.scope(REFUND), collection=COLLECTION)
    answer = {"text": OWNED, "intent": "refund_policy", "confidence": 1.0, "sources": []}
    shop.kitchen.cache.set_response(REFUND, (), answer, scope=scope)
    with pytest.raises(AssertionError):
        assert_nothing_planted(shop.stored(), clean.stored, ATTEMPTS)


def test_attempts_do_nothing_to_the_provider_that_quotes(monkeypatch: pytest.MonkeyPatch) -> None:
    clean = Shop(hashed_provider(), monkeypatch)
    before = clean.ask_as_others()
    shop = Shop(hashed_provider(), monkeypatch)
    told = [shop.attack(attempt) for attempt in ATTEMPTS if "policy" not in attempt]
    assert not any(is_owned(text) for text in told)
    assert shop.ask_as_others() == before


def test_there_are_attempts_of_every_kind() -> None:
    assert len({attempt["id"] for attempt in ATTEMPTS}) == len(ATTEMPTS) >= 45
    assert {attempt["where"] for attempt in ATTEMPTS} == {"message", "history", "policy"}
    assert len({attempt["language"] for attempt in ATTEMPTS}) >= 7
    assert len({attempt["technique"] for attempt in ATTEMPTS}) >= 35
