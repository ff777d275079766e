"""The version of each stage, computed from everything that shapes its results: no result of an earlier
prompt, model or algorithm is ever taken for one of this."""

from importlib.metadata import version

from cachemgmt.api import fingerprint
from chat.answering import fills, pipeline, report
from chat.knowledge import index
from chat.knowledge.chunking import CHUNKING
from chat.levels import response_cache, scope, value_schemas
from chat.levels.keys import Versions
from chat.providers.base import Provider
from chat.source_code import SOURCE, SourceCode
from chat.stages import classify, generate, retrieve, validate

LIBRARIES = ("phonenumbers", "tldextract")
"""Libraries whose data decide what a reply may say."""


def stage_versions(provider: Provider, embedder_id: str, *, source: SourceCode = SOURCE) -> Versions:
    """Return the versions that hold for this provider and embedder. Reads source files: call it once."""
    # What fills both levels is part of both, but not what it imports: that is mostly another stage's.
    intent = fingerprint(
        [
            provider.name,
            dict(provider.fingerprint("classify")),
            source.digest(classify, value_schemas, scope, alone=(fills,)),
        ]
    )
    policy = fingerprint([embedder_id, CHUNKING, source.digest(retrieve, index)])
    reply = fingerprint(
        [
            provider.name,
            dict(provider.fingerprint("generate")),
            dict(provider.fingerprint("validate")),
            [version(library) for library in LIBRARIES],
            source.digest(generate, validate, scope, alone=(fills,)),
        ]
    )
    response = fingerprint([intent, policy, reply, source.digest(pipeline, report, response_cache)])
    return Versions(intent=intent, policy=policy, reply=reply, response=response)
