"""Lets the models of an OpenAI-compatible endpoint classify, write and check."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

from django.conf import settings
from pydantic import AfterValidator, BaseModel

from cachemgmt.api import BookCall
from chat import unseen
from chat.intents import OTHER, intents
from chat.providers import openai_payload
from chat.providers.openai_client import SAMPLING, OpenAIClient
from chat.providers.openai_payload import payload_of
from chat.types import Classification, Passage, Reply, Stage, Turn, Verdict

PROMPTS_DIR = Path(__file__).parent.parent / "prompts"
EXAMPLES_PER_INTENT = 5
MAX_TOKENS = 4000
"""Stops a model that comes to no end. Ample, as reasoning models count their thoughts against it."""
UNNAMED_OBJECTION = "The reply is not fully supported by the passages."

Result = TypeVar("Result")


def share(value: float) -> float:
    """Return `value` if it is from 0 to 1. Not said in the schema: some endpoints refuse ranges there."""
    if not 0 <= value <= 1:
        raise ValueError("not from 0 to 1")
    return value


def language_code(value: str) -> str:
    """Return the two letters of a language tag such as "en" or "pt-BR"."""
    code = value.strip().lower().replace("_", "-").partition("-")[0]
    if len(code) != 2 or not code.isascii() or not code.isalpha():
        raise ValueError("not a language code")
    return code


def text(value: str) -> str:
    """Return `value` without white space around it, if anything is left."""
    if not value.strip():
        raise ValueError("empty")
    return value.strip()


class Sorted(BaseModel):
    """What the classifying model is to return. Here and below, fields beyond these are ignored."""

    intent: str
    confidence: Annotated[float, AfterValidator(share)]
    language: Annotated[str, AfterValidator(language_code)]
    is_personal: bool
    leans_on_context: bool
    self_contained: str


class Draft(BaseModel):
    """What the writing model is to return."""

    reply: Annotated[str, AfterValidator(text)]
    cited: list[int]


class Check(BaseModel):
    """What the checking model is to return."""

    is_supported: bool
    objections: list[str]


FORMS: Mapping[Stage, type[BaseModel]] = {"classify": Sorted, "generate": Draft, "validate": Check}


class OpenAIProvider:
    """The three stages as chat completions, each by a model of its own. Thread-safe.

    A stage's rules are the system message; all that comes from customers, policies and other models is
    one JSON object in the user message, so that none of it can pass for a rule.
    """

    name = "openai"

    def __init__(self, client: OpenAIClient, *, models: Mapping[str, str]) -> None:
        self._client = client
        self._models = dict(models)

    def make_ready(self, *, book: BookCall) -> None:
        """Nothing: a call ahead would only cost."""

    def fingerprint(self, stage: Stage) -> Mapping[str, object]:
        """Return what shapes the stage's results; nothing for "retrieve", in which no model has a part.

        Prompts and code are as this process read them first: what it runs, not what is on the disk by now.
        """
        if stage not in FORMS:
            return {}
        return {
            "provider": self.name,
            "model": self._models[stage],
            "base_url": without_credentials(self._client.base_url),
            "sampling": dict(SAMPLING),
            "prompt": digest(system_prompt(stage)),
            "schema": digest(json.dumps(schema_of(stage), sort_keys=True)),
            "intents": list(intents()) if stage == "classify" else [],
            "code": CODE,
        }

    def classify(self, *, message: str, history: Sequence[Turn], book: BookCall) -> Classification:
        """Return what `message` wishes for; see `Provider`. An intent that does not exist becomes "other"."""

        def read(content: str) -> Classification:
            found = Sorted.model_validate_json(json_object_in(content))
            self_contained = found.self_contained.strip()
            if history and found.leans_on_context and not self_contained:
                raise ValueError("a leaning message without a form that stands alone")
            return Classification(
                intent=found.intent if found.intent in intents() else OTHER,
                confidence=found.confidence,
                language=found.language,
                is_personal=found.is_personal,
                leans_on_context=found.leans_on_context,
                self_contained=(self_contained or message) if history else None,
            )

        return self._ask("classify", {"message": message, "history": as_data(history)}, read, book)

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
        """Return a reply from `passages` alone; it cites none of them if they do not answer the question."""
        data = {
            "question": question,
            "conversation": as_data(context),
            "intent": intent,
            "language": language,
            "passages": passages_as_data(passages),
            "objections": list(objections),
        }

        def read(content: str) -> Reply:
            draft = Draft.model_validate_json(json_object_in(content))
            cited = sorted({index for index in draft.cited if 0 <= index < len(passages)})
            return Reply(text=draft.reply, cited=tuple(cited))

        return self._ask("generate", data, read, book)

    def validate(
        self,
        *,
        question: str,
        context: Sequence[Turn],
        reply: str,
        passages: Sequence[Passage],
        book: BookCall,
    ) -> Verdict:
        """Return whether `passages` support all of `reply`. A yes with objections counts as a no."""
        data = {
            "question": question,
            "conversation": as_data(context),
            "reply": reply,
            "passages": passages_as_data(passages),
        }

        def read(content: str) -> Verdict:
            check = Check.model_validate_json(json_object_in(content))
            objections = tuple(objection.strip() for objection in check.objections if objection.strip())
            if check.is_supported and not objections:
                return Verdict(is_supported=True)
            return Verdict(is_supported=False, objections=objections or (UNNAMED_OBJECTION,))

        return self._ask("validate", data, read, book)

    def _ask(
        self, stage: Stage, data: Mapping[str, object], read: Callable[[str], Result], book: BookCall
    ) -> Result:
        return self._client.complete(
            stage=stage,
            model=self._models[stage],
            messages=[
                {"role": "system", "content": system_prompt(stage)},
                {"role": "user", "content": payload_of(data)},
            ],
            schema=schema_of(stage),
            read=read,
            book=book,
            max_tokens=MAX_TOKENS,
        )


def configured_openai_provider() -> OpenAIProvider:
    """Return a provider on the endpoint and with the models that `settings.OPENAI` names."""
    options: Mapping[str, Any] = settings.OPENAI
    client = OpenAIClient(**{name: options[name] for name in ("api_key", "base_url", "timeout_s")})
    return OpenAIProvider(client, models=options["models"])


@cache
def system_prompt(stage: Stage) -> str:
    """Return the rules of a stage: its prompt file, with the intents filled in."""
    prompt = (PROMPTS_DIR / f"{stage}.md").read_text(encoding="utf-8")
    rows = [
        {
            "intent": intent.name,
            "description": intent.description,
            "examples": intent.examples[:EXAMPLES_PER_INTENT],
        }
        for intent in intents().values()
    ]
    return prompt.replace("{intents}", "\n".join(json.dumps(row, ensure_ascii=False) for row in rows))


@cache
def schema_of(stage: Stage) -> Mapping[str, object]:
    """Return the JSON Schema of a stage's output, in the subset that every strict mode takes."""
    properties = FORMS[stage].model_json_schema()["properties"]
    if stage == "classify":
        properties["intent"]["enum"] = list(intents())
    required = list(properties)
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def as_data(turns: Sequence[Turn]) -> list[dict[str, str]]:
    """Return a conversation as plain JSON values."""
    return [{"role": turn.role, "content": turn.content} for turn in turns]


def passages_as_data(passages: Sequence[Passage]) -> list[dict[str, object]]:
    """Return passages as plain JSON values: only what the cache's key for a reply covers, so no scores."""
    return [
        {"index": index, "title": passage.title, "headings": passage.heading_path, "text": passage.text}
        for index, passage in enumerate(passages)
    ]


def json_object_in(content: str) -> str:
    """Return the part from the first brace to the last: models without schemas put fences or prose around."""
    return content[content.find("{") : content.rfind("}") + 1]


def without_credentials(url: str) -> str:
    """Return a URL without the user and password it may carry."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def digest(content: str) -> str:
    """Return a short digest that differs where the content differs."""
    return hashlib.blake2b(content.encode(), digest_size=16).hexdigest()


CODE = digest(
    "".join(Path(file).read_text("utf-8") for file in (__file__, openai_payload.__file__, unseen.__file__))
)
"""What this module, and those that write what it sends, were when it was imported."""
