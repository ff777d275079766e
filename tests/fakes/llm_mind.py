"""A language model's verdicts by counting words: crude, but they follow from what it is sent."""

import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

STOP_WORDS = frozenset(
    re.findall(
        r"\w+",
        "a about all am an and any are as at be been but by can could did do does for from get give had has "
        "have how i if in into is it its me my of on or our please s so t that the their them then there "
        "these they this those to us was we were what when where which who will with would you your",
    )
)
POINTING = frozenset(re.findall(r"\w+", "it its that this these those them they one ones he she there"))
OPENINGS = (
    "and ",
    "but ",
    "so ",
    "then ",
    "what about ",
    "how about ",
    "yes",
    "no",
    "ok",
    "tell me more",
    "why",
)
NEGATIONS = frozenset(
    re.findall(r"\w+", "not no never cannot nor without don won isn aren doesn didn unless")
)
OWN_CASE = re.compile(
    r"\bmy (order|parcel|package|refund|account|card|data|invoice|payment|plan|subscription|delivery)\b", re.I
)
PERSONAL_DATA = re.compile(r"\S+@\S+|\d{4,}")
NO_ANSWER = "I cannot answer that from the company's policies."
N_DIMENSIONS = 64


def words(text: str) -> list[str]:
    """Return the words that carry meaning, in lower case and without a plural's s."""
    found = re.findall(r"[a-zà-ÿ]+|\d[\d.,]*\d|\d", text.casefold())
    return [word.removesuffix("s") if len(word) > 3 else word for word in found if word not in STOP_WORDS]


def numbers(text: str) -> set[str]:
    """Return the numbers in a text."""
    return set(re.findall(r"\d[\d.,]*\d|\d", text))


def sentences(text: str) -> list[str]:
    """Return a text's sentences."""
    return [part.strip() for part in re.split(r"(?<=[.!?])\s+|\n+", text) if part.strip()]


def count_tokens(text: str) -> int:
    """Return about how many tokens a text has: pieces of up to six letters, digits in threes, signs."""
    return len(re.findall(r"[^\W\d]{1,6}|\d{1,3}|[^\w\s]", text))


def overlap(one: Iterable[str], other: Iterable[str]) -> float:
    """Return how alike two bags of words are, 0..1 (Dice's coefficient)."""
    first, second = set(one), set(other)
    return 2 * len(first & second) / (len(first) + len(second)) if first and second else 0.0


def classify(system: str, data: Mapping[str, Any]) -> dict[str, object]:
    """Sort the message into one of the intents that the system message lists, one JSON object per line."""
    message, history = data["message"], data["history"]
    intents = [json.loads(line) for line in system.splitlines() if line.startswith('{"intent"')]
    if not intents:
        raise ValueError("the system message lists no intents")
    scores: dict[str, float] = {}
    for row in intents:
        by_example = [likeness(message, example) for example in row["examples"]]
        scores[row["intent"]] = max(by_example) + 0.3 * overlap(words(message), words(row["description"]))
    best = max(scores, key=lambda name: scores[name])
    leans = leans_on_context(message, is_known=scores[best] >= 1)
    last = next((turn["content"] for turn in reversed(history) if turn["role"] == "user"), "")
    return {
        "intent": best if scores[best] > 0.2 else "other",
        "confidence": round(min(1.0, 0.4 + scores[best] / 2), 2),
        "language": "en",
        "is_personal": bool(OWN_CASE.search(message) or PERSONAL_DATA.search(message)),
        "leans_on_context": leans,
        "self_contained": (f"{last} {message}".strip() if leans else message) if history else "",
    }


def likeness(message: str, example: str) -> float:
    """Return 1 for the same message but for case and edges, else how many words they share, 0..1."""
    if message.casefold().strip(" .!?") == example.casefold().strip(" .!?"):
        return 1.0
    return overlap(words(message), words(example))


def leans_on_context(message: str, *, is_known: bool) -> bool:
    """Return whether the message points at something or is a fragment; `is_known`: it equals an example."""
    plain = message.casefold().strip()
    tokens = re.findall(r"[a-zà-ÿ]+", plain)
    if is_known:
        return False
    n_words = len(words(message))
    return n_words < 2 or plain.startswith(OPENINGS) or (n_words <= 3 and bool(POINTING & set(tokens)))


def generate(data: Mapping[str, Any]) -> dict[str, object]:
    """Reply with the two sentences of the passages that share most with the question, as they stand there."""
    earlier = " ".join(turn["content"] for turn in data["conversation"] if turn["role"] == "user")
    asked = set(words(f"{data['question']} {earlier}"))
    objected = " ".join(data["objections"])
    candidates = []
    for place, passage in enumerate(data["passages"]):
        heading = set(words(" ".join([passage["title"], *passage["headings"]])))
        for sentence in sentences(passage["text"]):
            shared = asked & set(words(sentence))
            if shared and sentence not in objected:
                candidates.append(
                    (len(shared) + 0.5 * len(asked & heading), -place, sentence, passage["index"])
                )
    best = sorted(candidates, key=lambda one: one[:2], reverse=True)[:2]
    if not best:
        return {"reply": NO_ANSWER, "cited": []}
    best.sort(key=lambda one: -one[1])
    return {"reply": " ".join(one[2] for one in best), "cited": sorted({one[3] for one in best})}


def validate(data: Mapping[str, Any]) -> dict[str, object]:
    """Approve a reply each of whose sentences has its numbers, negations and most words in the passages."""
    evidence = [sentence for passage in data["passages"] for sentence in sentences(passage["text"])]
    known_words = {word for sentence in evidence for word in words(sentence)}
    known_numbers = {number for sentence in evidence for number in numbers(sentence)}
    objections = []
    for sentence in sentences(data["reply"]):
        if sentence == NO_ANSWER:
            continue
        wanted = set(words(sentence))
        nearest = max(evidence, key=lambda known: overlap(wanted, words(known)), default="")
        if unknown := numbers(sentence) - known_numbers:
            objections.append(f'"{sentence}": no passage says {", ".join(sorted(unknown))}.')
        elif len(wanted & known_words) < 0.7 * len(wanted):
            objections.append(f'"{sentence}": the passages do not say this.')
        elif is_negated(sentence) != is_negated(nearest):
            objections.append(f'"{sentence}": the passage says the opposite.')
    return {"is_supported": not objections, "objections": objections}


def is_negated(sentence: str) -> bool:
    """Return whether a sentence denies something an odd number of times."""
    return sum(word in NEGATIONS for word in re.findall(r"[a-z]+", sentence.casefold())) % 2 == 1


def embed(text: str) -> list[float]:
    """Return the hashed words of a text: `N_DIMENSIONS` floats, unit norm."""
    vector = [0.0] * N_DIMENSIONS
    for word in words(text) or [text]:
        place = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=4).digest()) % N_DIMENSIONS
        vector[place] += 1.0
    norm = math.sqrt(sum(value * value for value in vector))
    return [value / norm for value in vector]
