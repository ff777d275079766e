"""The version of each stage, computed from everything that shapes its results: no result of an earlier
prompt, model or algorithm is ever taken for one of this."""

from dataclasses import dataclass
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path

from cachemgmt.api import fingerprint
from chat.intents import INTENTS_FILE
from chat.knowledge.chunking import CHUNKING
from chat.providers.base import Provider

CHAT = Path(__file__).parent
CHECKS = [
    "checks/as_read.py",
    "checks/figures.py",
    "checks/hosts.py",
    "checks/links.py",
    "checks/phones.py",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Versions:
    """One fingerprint for each level of results."""

    intent: str
    policy: str
    reply: str
    response: str


def source_hash(*files: str | Path) -> str:
    """Return a fingerprint of the files' contents, named relative to this package."""
    digest = blake2b(digest_size=8)
    for file in files:
        digest.update((CHAT / file).read_bytes())
    return digest.hexdigest()


def stage_versions(provider: Provider, embedder_id: str) -> Versions:
    """Return the versions that hold for this provider and embedder. Reads source files: call it once."""
    intent = fingerprint(
        [
            provider.name,
            dict(provider.fingerprint("classify")),
            source_hash(
                INTENTS_FILE,
                "types.py",
                "fills.py",
                "stored_values.py",
                "scope.py",
                "stages/classify.py",
                "privacy.py",
                "common_words.txt",
            ),
        ]
    )
    policy = fingerprint(
        [
            embedder_id,
            CHUNKING,
            source_hash("types.py", "stages/retrieve.py", "knowledge/index.py", "knowledge/ranking.py"),
        ]
    )
    reply = fingerprint(
        [
            provider.name,
            dict(provider.fingerprint("generate")),
            dict(provider.fingerprint("validate")),
            [version("tldextract"), version("phonenumbers")],
            source_hash(
                "types.py",
                "fills.py",
                "scope.py",
                "stages/generate.py",
                "stages/validate.py",
                *CHECKS,
                "unseen.py",
                "privacy.py",
                "common_words.txt",
            ),
        ]
    )
    response = fingerprint(
        [
            intent,
            policy,
            reply,
            source_hash(
                "pipeline.py",
                "report.py",
                "response_cache.py",
                "level_keys.py",
                "stored_values.py",
                "scope.py",
            ),
        ]
    )
    return Versions(intent=intent, policy=policy, reply=reply, response=response)
