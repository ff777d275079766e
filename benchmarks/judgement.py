"""How well TRIA judges: are false replies refused, leaning messages noticed, personal ones kept private?

    python benchmarks/judgement.py [--provider extractive|openai] [--json]

Prints a table for each question; with --json, the same numbers as one JSON object. With `openai` the
verdicts are the model's, which costs money: about 120 + 200 + 400 calls. Nothing is drawn at random but the
messages a model is asked about, and those with a fixed seed.
"""

import argparse
import gzip
import json
import os
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chat.providers.base import Provider
    from chat.types import Passage

ROOT = Path(__file__).resolve().parent.parent
LABELS = ROOT / "benchmarks" / "labels"
DATA = Path(os.environ.get("TRIA_EVAL_DATA", ROOT.parent / "shared" / "data"))
SEED = 7
N_FOR_A_MODEL = 400
"""How many of MultiDoGO's messages a model is asked about."""

_LABELS_OF_PERSONS = """
    name username card_number ssn account_number target_account_number account_id claimid policyid
    email_address phone_number phonenumber address current_zipcode new_zipcode
"""
PERSONAL_LABELS = frozenset(_LABELS_OF_PERSONS.split())
"""MultiDoGO's slot labels that stand for a person or a contract. Cities, dates and amounts do not."""

Table = dict[str, Any]


def main() -> int:
    """Print the tables and return the exit status: 0, or 2 where nothing could be measured."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--provider", choices=["extractive", "openai"], default="extractive")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    options = parser.parse_args()
    provider = configured_provider(options.provider)
    if provider is None:
        print("OPENAI_API_KEY is not set: the model's judgement was not measured.", file=sys.stderr)
        return 2
    tables = {
        "validation": validation(provider),
        "leaning": leaning(provider),
        "personal": personal(provider if options.provider == "openai" else None),
        "false alarms": false_alarms(),
    }
    if options.json:
        print(json.dumps({"provider": options.provider, **tables}, indent=2))
    else:
        print(f"provider: {options.provider}")
        for name, table in tables.items():
            print_table(name, table)
    return 0


def configured_provider(name: str) -> "Provider | None":
    """Return the provider of that name with Django set up, or None where its key is missing."""
    sys.path.insert(0, str(ROOT))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tria_site.settings")
    import django

    django.setup()
    from django.conf import settings

    if name == "extractive":
        from chat.knowledge.embedders import chosen_embedder
        from chat.providers.extractive import ExtractiveProvider

        return ExtractiveProvider(chosen_embedder())
    if not settings.OPENAI["api_key"]:
        return None
    from chat.providers.openai_provider import configured_openai_provider

    return configured_openai_provider()


def validation(provider: "Provider") -> Table:
    """Return, by flaw and style, how many replies the figures guard alone and the whole stage refuse."""
    from chat.checks.figures import unsupported_figures
    from chat.stages.validate import validate
    from chat.types import Reply

    rows: Table = {}
    for label in read(LABELS / "replies.jsonl"):
        passages = passages_of_section(label["document"], label["section"])
        kind = "true" if label["is_true"] else f"false: {label['flaw']}"
        row = rows.setdefault(f"{kind}, {label['style']}", {"n": 0, "refused by figures": 0, "refused": 0})
        verdict = validate(
            provider,
            question=label["question"],
            context=(),
            reply=Reply(text=label["reply"], cited=()),
            passages=passages,
            book=not_booked,
        )
        row["n"] += 1
        row["refused by figures"] += bool(unsupported_figures(label["reply"], passages, label["question"]))
        row["refused"] += not verdict.is_supported
    for is_true, name in ((True, "true, all"), (False, "false, all")):
        own = [row for kind, row in rows.items() if kind.startswith("true" if is_true else "false")]
        rows[name] = {column: sum(row[column] for row in own) for column in own[0]} if own else {}
    return dict(sorted(rows.items()))


def leaning(provider: "Provider") -> Table:
    """Return precision and recall of "leans on what came before" on labelled turns of STAR."""
    path = DATA / "conversations" / "star_first70pct.jsonl.gz"
    if not path.exists():
        return absent(path)
    wanted = {(row["id"], row["turn"]): row for row in read(LABELS / "star_leans.jsonl")}
    said = {
        (dialogue["id"], turn): dialogue["turns"][turn]["text"]
        for dialogue in read(path)
        for turn in range(len(dialogue["turns"]))
        if (dialogue["id"], turn) in wanted
    }
    found = {
        key: provider.classify(message=normalised(text), history=(), book=not_booked).leans_on_context
        for key, text in sorted(said.items())
    }
    return {
        name: confusion([(wanted[key]["leans"], found[key]) for key in keys])
        for name, keys in (
            ("all", sorted(found)),
            ("where the labeller was sure", sorted(key for key in found if wanted[key]["sure"])),
        )
    }


def personal(provider: "Provider | None") -> Table:
    """Return, by slot label and split, the share of MultiDoGO's messages whose answer is not shared.

    Judged by the rules of `chat.judging.privacy`, or by `provider` on a sample of test messages.
    """
    from chat.judging.intents import intent_named
    from chat.judging.privacy import personal_reason

    turns = list(multidogo_turns())
    if not turns:
        return absent(DATA / "conversations" / "multidogo_*")
    if provider is None:

        def is_personal(text: str) -> bool:
            return personal_reason([text]) is not None

    else:
        turns = random.Random(SEED).sample([turn for turn in turns if turn[0] == "test"], N_FOR_A_MODEL)

        def is_personal(text: str) -> bool:
            found = provider.classify(message=normalised(text), history=(), book=not_booked)
            return found.is_personal or intent_named(found.intent).is_personal

    rows: Table = {}
    for split, text, labels in turns:
        carried = sorted(labels & PERSONAL_LABELS)
        flagged = is_personal(text)
        for name in [*carried, "any of these"] if carried else ["none of these (false alarms)"]:
            row = rows.setdefault(f"{split}: {name}", {"n": 0, "not shared": 0})
            row["n"] += 1
            row["not shared"] += flagged
    for row in rows.values():
        row["share"] = round(row["not shared"] / row["n"], 4)
    return dict(sorted(rows.items()))


def false_alarms() -> Table:
    """Return the share of questions that are no one's in particular and would not be shared, or are taken
    to lean on what came before, by the rules."""
    from chat.judging.leaning import leans_on_context
    from chat.judging.privacy import personal_reason

    queries = DATA / "queries"
    sources = [
        ("sample questions", ROOT / "sample" / "questions.jsonl", "question"),
        ("banking77", queries / "banking77_train.jsonl.gz", "text"),
        ("CLINC150", queries / "clinc150_train_val.jsonl.gz", "text"),
        ("HINT3 curekart", queries / "hint3_curekart.jsonl.gz", "text"),
        ("HINT3 sofmattress", queries / "hint3_sofmattress.jsonl.gz", "text"),
    ]
    rows: Table = {}
    for name, path, field in sources:
        if not path.exists():
            rows[name] = absent(path)
            continue
        texts = [row[field] for row in read(path)]
        rows[name] = {
            "n": len(texts),
            "not shared": share(texts, lambda text: personal_reason([text]) is not None),
            "leaning": share(texts, leans_on_context),
        }
    return rows


def passages_of_section(document: str, section: str) -> "list[Passage]":
    """Return the passages of one section of a sample policy."""
    from chat.knowledge.chunking import chunks_of, title_from_key, title_in
    from chat.types import Passage

    text = (ROOT / "sample" / "policies" / f"{document}.md").read_text(encoding="utf-8")
    title = title_in(text) or title_from_key(document)
    return [
        Passage(document=document, title=title, heading_path=chunk.heading_path, text=chunk.text)
        for chunk in chunks_of(title, text)
        if (chunk.heading_path[-1] if chunk.heading_path else title) == section
    ]


def multidogo_turns() -> Iterator[tuple[str, str, set[str]]]:
    """Yield split, text and slot labels of every message of MultiDoGO's customers."""
    for path in sorted((DATA / "conversations").glob("multidogo_*.jsonl.gz")):
        for dialogue in read(path):
            for turn in dialogue["turns"]:
                yield dialogue["split"], turn["text"], set((turn["slot_labels"] or "").split())


def read(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a JSON lines file, compressed or not."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def normalised(text: str) -> str:
    """Return a message as the pipeline hands it on."""
    from cachemgmt.api import normalise_message

    return normalise_message(text)


def confusion(pairs: Sequence[tuple[bool, bool]]) -> Table:
    """Return counts and ratios of (wanted, found)."""
    counts = {
        "n": len(pairs),
        "found": sum(wanted and found for wanted, found in pairs),
        "missed": sum(wanted and not found for wanted, found in pairs),
        "false alarms": sum(found and not wanted for wanted, found in pairs),
    }
    recall = counts["found"] / max(1, counts["found"] + counts["missed"])
    precision = counts["found"] / max(1, counts["found"] + counts["false alarms"])
    return {**counts, "recall": round(recall, 4), "precision": round(precision, 4)}


def share(texts: Sequence[str], holds: Callable[[str], bool]) -> float:
    """Return for which share of the texts it holds."""
    return round(sum(holds(text) for text in texts) / max(1, len(texts)), 4)


def absent(path: Path) -> Table:
    """Return the row that says that there was nothing to measure on."""
    return {"not measured": f"{path} is not there"}


def not_booked(call: object) -> None:
    """Take a provider call's record and forget it."""


def print_table(name: str, table: Table) -> None:
    """Print one table, a row per line."""
    print(f"\n{name}")
    for kind, row in table.items():
        cells = row if isinstance(row, dict) else {"": row}
        print(f"  {kind:44s} " + "  ".join(f"{column} {value}" for column, value in cells.items()))


if __name__ == "__main__":
    sys.exit(main())
