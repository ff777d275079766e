"""The provider that needs no language model: it answers with the policies' own sentences."""

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import perf_counter

from cachemgmt.api import BookCall, ProviderCall
from chat.judging.intents import intent_named
from chat.judging.leaning import is_courtesy, leans_on_context
from chat.judging.privacy import common_words, personal_reason
from chat.knowledge.embedders import Embedder
from chat.providers.nearest_intent import NearestIntent
from chat.providers.quoting import quote, unquoted
from chat.providers.sentence_ranking import Ranked, SentenceRanker
from chat.source_code import SOURCE
from chat.types import Classification, IntentKind, Passage, Reply, Stage, Turn, Verdict

MAX_SENTENCES = 4
MAX_PASSAGES = 2
NEARLY_AS_GOOD = 0.15
"""How far below the best sentence another of its passage may score and still be quoted."""
NEARLY_AS_NEAR = 0.2
"""The same for a sentence of another passage: passages' scores lie further apart."""
N_LEADING = 3
"""How many sentences of a section are quoted where its subject as a whole is asked for."""

SMALLTALK: frozenset[IntentKind] = frozenset({"smalltalk"})
NO_SMALLTALK: frozenset[IntentKind] = frozenset({"policy", "handoff"})

_ASKS_FOR_A_SUBJECT = re.compile(
    r"\b(?:policy|policies|rules|terms)\b|^(?:tell me|information|info|explain) (?:\w+ )?(?:about|on)\b|"
    r"\bhow (?:do|does) (?:\w+ ){1,3}work$"
)
_ASKS_FOR_MORE = re.compile(
    r"\b(?:(?:tell|give|show) me more|(?:what|anything|something) (?:else|more)|go on|continue|elaborate|"
    r"(?:more|further|other) (?:details?|info|information)|(?:know|say|hear) more)\b|^(?:and )?more\b"
)


class ExtractiveProvider:
    """Sorts by example, quotes sentences, and lets nothing pass that is no quote. Thread-safe."""

    name = "extractive"

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._nearest = NearestIntent(embedder)
        self._ranker = SentenceRanker(embedder)

    def make_ready(self, *, book: BookCall) -> None:
        """Embed the intents' examples."""
        self._nearest.make_ready(book=book)

    def fingerprint(self, stage: Stage) -> Mapping[str, object]:
        """Return the embedder's id and what the code of this provider is."""
        return {"embedder": self._embedder.id, "code": SOURCE.digest(sys.modules[__name__])}

    def classify(self, *, message: str, history: Sequence[Turn], book: BookCall) -> Classification:
        """Return the intent whose examples are nearest. With `history`, the message is read together with
        the customer's last one: "and to France?" after "What does delivery cost?" asks for both."""
        with _booked("classify", book):
            leans = leans_on_context(message)
            question = message
            kinds = SMALLTALK if is_courtesy(message) else NO_SMALLTALK
            if kinds is SMALLTALK and leans:  # "ok", "no, that's all": the matter is closed
                return _closing(message if history else None)
            if history and leans:
                question = " ".join([*_asked_before(history), message])
            is_personal = personal_reason([question]) is not None
            name, confidence = self._nearest.of(question, is_personal=is_personal, kinds=kinds, book=book)
            return Classification(
                intent=name,
                confidence=confidence,
                language=_language(question),
                is_personal=intent_named(name).is_personal,
                leans_on_context=leans,
                self_contained=question if history else None,
            )

    def generate(
        self,
        *,
        question: str,
        context: Sequence[Turn],
        intent: str,
        language: str,
        passages: Sequence[Passage],
        objections: Sequence[str],
        book: BookCall,
    ) -> Reply:
        """Return the one to four sentences that answer best, word for word, with where they stand. Sentences
        named in `objections` are not quoted again, nor, where more is asked for, those told in `context`,
        unless nothing else is left."""
        with _booked("generate", book):
            ranked = self._ranker.rank(question, passages, book=book)
            allowed = [row for row in ranked if not any(row.sentence.text in one for one in objections)]
            if context and _ASKS_FOR_MORE.search(question.casefold()):
                allowed = _untold(allowed, context) or allowed
            chosen = _leading(allowed) if _ASKS_FOR_A_SUBJECT.search(question.casefold()) else _best(allowed)
            cited = list(dict.fromkeys(row.passage for row in chosen))
            quotes = []
            for n in cited:
                rows = sorted((row for row in chosen if row.passage == n), key=lambda row: row.position)
                quotes.append(quote(passages[n], [row.sentence for row in rows]))
            return Reply(text="\n\n".join(quotes), cited=tuple(cited))

    def validate(
        self,
        *,
        question: str,
        context: Sequence[Turn],
        reply: str,
        passages: Sequence[Passage],
        book: BookCall,
    ) -> Verdict:
        """Return whether every sentence of the reply is a quote. A true paraphrase is refused too: without a
        language model nobody could tell it from a false one."""
        with _booked("validate", book):
            objections = tuple(
                f"'{text}' does not stand in the passages." for text in unquoted(reply, passages)
            )
            return Verdict(is_supported=not objections, objections=objections)


def _closing(self_contained: str | None) -> Classification:
    return Classification(
        intent="thanks",
        confidence=0.7,
        language="en",
        is_personal=False,
        leans_on_context=True,
        self_contained=self_contained,
    )


@contextmanager
def _booked(stage: Stage, book: BookCall) -> Iterator[None]:
    started = perf_counter()
    yield
    book(ProviderCall(stage=stage, model="extractive", outcome="ok", seconds=perf_counter() - started))


def _best(ranked: Sequence[Ranked]) -> list[Ranked]:
    """Return the best sentence and those nearly as good, from few passages."""
    chosen: list[Ranked] = []
    for row in ranked[: 3 * MAX_SENTENCES]:
        sources = {one.passage for one in chosen} | {row.passage}
        is_near = not chosen or row.score >= chosen[0].score - _allowance(row, chosen[0])
        is_new = all(one.sentence.text != row.sentence.text for one in chosen)
        if is_near and is_new and len(sources) <= MAX_PASSAGES and len(chosen) < MAX_SENTENCES:
            chosen.append(row)
    return chosen


def _allowance(row: Ranked, best: Ranked) -> float:
    return NEARLY_AS_GOOD if row.passage == best.passage else NEARLY_AS_NEAR


def _untold(ranked: Sequence[Ranked], context: Sequence[Turn]) -> list[Ranked]:
    """Return the sentences that no reply in the context holds."""
    told = [" ".join(turn.content.split()) for turn in context if turn.role == "assistant"]
    return [row for row in ranked if not any(" ".join(row.sentence.text.split()) in one for one in told)]


def _leading(ranked: Sequence[Ranked]) -> list[Ranked]:
    """Return the first sentences of the passage in which the best one stands."""
    own = [row for row in ranked if row.passage == ranked[0].passage] if ranked else []
    return sorted(own, key=lambda row: row.position)[:N_LEADING]


def _asked_before(history: Sequence[Turn]) -> list[str]:
    """Return the customer's last message, and the one before it where the last leans as well."""
    asked = [turn.content for turn in history if turn.role == "user" and not is_courtesy(turn.content)]
    return asked[-2:] if len(asked) > 1 and leans_on_context(asked[-1]) else asked[-1:]


def _language(text: str) -> str:
    """Return "en" where at least half of the words are common English, else "und" (undetermined)."""
    words = re.findall(r"[^\W\d_]+", text.casefold())
    known = sum(word in common_words() or len(word) == 1 for word in words)
    return "en" if known * 2 >= len(words) else "und"
