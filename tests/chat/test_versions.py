"""What is stored is reused under the code that made it, and words about the code are no part of that."""

import ast
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from types import ModuleType

import pytest

from chat.answering import fills, pipeline, report
from chat.knowledge import chunking, index, minilm, ranking
from chat.knowledge.embedders import HashedWordsEmbedder, OpenAIEmbedder
from chat.knowledge.minilm import MiniLMEmbedder
from chat.levels import response_cache, scope, value_schemas
from chat.levels.keys import Versions
from chat.providers import extractive, openai_provider
from chat.source_code import SourceCode, SourceMissing, code_of, source_of
from chat.stages import classify, generate, retrieve, validate
from chat.versions import stage_versions
from tests.fakes.hashed import hashed_provider

ROOTS: dict[str, tuple[ModuleType, ...]] = {
    "intent": (classify, value_schemas, scope),
    "policy": (retrieve, index),
    "reply": (generate, validate, scope),
    "response": (pipeline, report, response_cache),
}
PROVIDERS = (extractive, openai_provider)
STAGE_MODULES = [
    (level, name) for level, roots in ROOTS.items() for name in sorted(SourceCode().modules(*roots))
]
EVERY_MODULE = sorted(SourceCode().modules(*PROVIDERS, *(root for roots in ROOTS.values() for root in roots)))


def edited(name: str, edit: Callable[[str], str]) -> SourceCode:
    """Return the code as it would be after an edit of one module."""
    return SourceCode(lambda one: edit(source_of(one)) if one == name else source_of(one))


def versions(source: SourceCode) -> Versions:
    return stage_versions(hashed_provider(), "an-embedder", source=source)


def with_other_words(source: str) -> str:
    """Return the same code with another docstring, another comment, and other lines."""
    tree = ast.parse(source)
    docstring = tree.body[0]
    assert isinstance(docstring, ast.Expr)
    rest = source.splitlines()[docstring.end_lineno or 0 :]
    return "\n".join(['"""Said otherwise."""', "", "# A comment.", "", *rest, "", "# The end.", ""])


def with_more(statement: str) -> Callable[[str], str]:
    return lambda source: f"{source}\n{statement}\n"


with_other_code = with_more("NEW = 1")


@pytest.mark.parametrize("name", EVERY_MODULE)
def test_words_about_the_code_are_no_part_of_it(name: str) -> None:
    module = import_module(name)
    plain, reworded = SourceCode(), edited(name, with_other_words)
    assert reworded.digest(module) == plain.digest(module)
    assert versions(reworded) == versions(plain)


@pytest.mark.parametrize(("level", "name"), STAGE_MODULES)
def test_an_edit_of_any_module_that_a_stage_imports_changes_its_version(level: str, name: str) -> None:
    assert getattr(versions(edited(name, with_other_code)), level) != getattr(versions(SourceCode()), level)


@pytest.mark.parametrize("level", ["intent", "reply", "response"])
def test_an_edit_of_what_fills_both_levels_changes_both(level: str) -> None:
    before, after = versions(SourceCode()), versions(edited(fills.__name__, with_other_code))
    assert getattr(before, level) != getattr(after, level)
    assert before.policy == after.policy


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        (generate.__name__, ["intent", "policy"]),
        (validate.__name__, ["intent", "policy"]),
        (classify.__name__, ["policy", "reply"]),
        (retrieve.__name__, ["intent", "reply"]),
        (report.__name__, ["intent", "policy", "reply"]),
        (response_cache.__name__, ["intent", "policy", "reply"]),
    ],
)
def test_an_edit_of_one_stage_leaves_the_others_results(name: str, kept: list[str]) -> None:
    before, after = versions(SourceCode()), versions(edited(name, with_other_code))
    assert {level for level in ROOTS if getattr(before, level) == getattr(after, level)} == set(kept)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_edit_of_any_module_that_a_provider_imports_is_another_provider(provider: ModuleType) -> None:
    before = SourceCode().digest(provider)
    for name in SourceCode().modules(provider):
        assert edited(name, with_other_code).digest(provider) != before


def test_an_edit_of_what_only_carries_results_leaves_them() -> None:
    carriers = ["chat.errors", "chat.models", "chat.endpoint.client"]
    for name in carriers:
        for provider in PROVIDERS:
            assert edited(name, with_other_code).digest(provider) == SourceCode().digest(provider)


def test_a_new_import_is_found_wherever_it_stands() -> None:
    for statement in (
        "import chat.http.negotiation",
        "from chat.http import negotiation",
        "from chat.http.negotiation import JsonAlone",
        "def f():\n    try:\n        from chat.http import negotiation\n    except OSError:\n        pass",
    ):
        assert "chat.http.negotiation" in edited("chat.types", with_more(statement)).modules(classify)
    only_typed = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import chat.http.negotiation"
    assert "chat.http.negotiation" not in edited("chat.types", with_more(only_typed)).modules(classify)


def test_data_files_are_part_of_the_code_that_names_them() -> None:
    source = SourceCode()
    modules = [source._module(name) for name in source.modules(classify, scope)]
    named = {file.name for module in modules for file in module.data_files}
    assert named == {"intents.json", "common_words.txt"}


def test_code_is_the_same_in_every_process() -> None:
    """Sets, for one, are in another order in each process."""
    program = (
        "import django; django.setup(); from chat.source_code import SOURCE; "
        "from chat.answering import pipeline; "
        "from chat.knowledge.embedders import HashedWordsEmbedder; "
        "print(SOURCE.digest(pipeline), HashedWordsEmbedder().id)"
    )
    command = [sys.executable, "-c", program]
    told = {subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in range(3)}
    assert told == {f"{SourceCode().digest(pipeline)} {HashedWordsEmbedder().id}\n"}


def test_every_module_that_a_process_loads_to_classify_and_write_is_known_or_only_carries() -> None:
    """The walk misses nothing that is imported in a way it does not see."""
    loaded = {name for name in sys.modules if name.startswith(("chat.stages.", "chat.checks."))}
    with_code = {name for name in loaded if ast.parse(source_of(name)).body}
    assert with_code <= SourceCode().modules(*(root for roots in ROOTS.values() for root in roots))


def test_without_sources_it_is_said_what_is_missing() -> None:
    with pytest.raises(SourceMissing, match=r"chat\.nothing"):
        source_of("chat.nothing")


def embedders() -> Iterator[str]:
    yield MiniLMEmbedder.id
    yield HashedWordsEmbedder().id


def test_what_shapes_a_vector_is_in_the_embedders_id() -> None:
    assert all(name.replace("-", "").isalnum() and len(name) < 60 for name in embedders())
    assert MiniLMEmbedder.id.endswith(SourceCode().digest(minilm, length=4))

    class OtherHash(HashedWordsEmbedder):
        n_dims = 128

    assert code_of(OtherHash) != code_of(HashedWordsEmbedder)
    assert edited(minilm.__name__, with_other_code).digest(minilm) != SourceCode().digest(minilm)


def test_an_endpoints_vectors_are_its_models_whatever_the_password() -> None:
    ids = {
        OpenAIEmbedder(None, model=model, endpoint=endpoint).id  # type: ignore[arg-type]
        for model in ("small", "large")
        for endpoint in ("https://one.example/v1", "https://two.example/v1")
    }
    assert len(ids) == 4


def test_the_way_documents_are_cut_and_ranked_is_named_by_its_code() -> None:
    assert SourceCode().digest(chunking, length=4) == chunking.CHUNKING
    assert SourceCode().digest(alone=(ranking,), length=4) == ranking.RANKING
