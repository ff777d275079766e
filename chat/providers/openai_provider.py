"""Lets the models of an OpenAI-compatible endpoint classify, write and check."""

import hashlib
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from django.conf import settings

from cachemgmt.api import BookCall
from chat.endpoint.client import OpenAIClient, without_credentials
from chat.endpoint.requests import SAMPLING, ChatRequest
from chat.judging.intents import intents
from chat.providers.openai_forms import FORMS, ClassifyForm, GenerateForm, ValidateForm, schema_of
from chat.providers.openai_outputs import form_in
from chat.providers.openai_payload import payload_of, texts_in
from chat.source_code import SOURCE
from chat.types import Classification, Passage, Reply, Stage, Turn, Verdict

PROMPTS_DIR = Path(__file__).parent.parent / "prompts"
EXAMPLES_PER_INTENT = 5
MAX_TOKENS = 4000
"""Stops a model that comes to no end. Ample, as reasoning models count their thoughts against it."""
UNNAMED_OBJECTION = "The reply is not fully supported by the passages."

Result = TypeVar("Result")


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

        def read(content: str, sent: str) -> Classification:
            found = form_in(content, ClassifyForm, sent=sent)
            self_contained = found.self_contained.strip()
            if history and found.leans_on_context and not self_contained:
                raise ValueError("a leaning message without a form that stands alone")
            return Classification(
                intent=found.intent,
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

        def read(content: str, sent: str) -> Reply:
            draft = form_in(content, GenerateForm, sent=sent)
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

        def read(content: str, sent: str) -> Verdict:
            check = form_in(content, ValidateForm, sent=sent)
            objections = tuple(objection.strip() for objection in check.objections if objection.strip())
            if check.is_supported and not objections:
                return Verdict(is_supported=True)
            return Verdict(is_supported=False, objections=objections or (UNNAMED_OBJECTION,))

        return self._ask("validate", data, read, book)

    def left_out(self, stage: Stage) -> list[str]:
        """Return, for people, what the stage's model refused since this provider was made."""
        return self._client.left_out(self._models[stage])

    def _ask(
        self, stage: Stage, data: Mapping[str, object], read: Callable[[str, str], Result], book: BookCall
    ) -> Result:
        """Return what `read` makes of the answer and the texts that were sent."""
        sent = "\n".join(texts_in(data))
        request = ChatRequest(
            stage=stage,
            model=self._models[stage],
            rules=system_prompt(stage),
            data=payload_of(data),
            schema=schema_of(stage),
            max_tokens=MAX_TOKENS,
        )
        return self._client.complete(request, read=lambda content: read(content, sent), book=book)


def configured_openai_provider() -> OpenAIProvider:
    """Return a provider on the endpoint and with the models that `settings.OPENAI` names."""
    return OpenAIProvider(configured_client(), models=settings.OPENAI["models"])


def configured_client() -> OpenAIClient:
    """Return a client of the endpoint that `settings.OPENAI` names. Raises ProviderMisconfigured."""
    options: Mapping[str, Any] = settings.OPENAI
    return OpenAIClient(**{name: options[name] for name in ("api_key", "base_url", "timeout_s")})


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


def as_data(turns: Sequence[Turn]) -> list[dict[str, str]]:
    """Return a conversation as plain JSON values."""
    return [{"role": turn.role, "content": turn.content} for turn in turns]


def passages_as_data(passages: Sequence[Passage]) -> list[dict[str, object]]:
    """Return passages as plain JSON values: only what the cache's key for a reply covers, so no scores."""
    return [
        {"index": index, "title": passage.title, "headings": passage.heading_path, "text": passage.text}
        for index, passage in enumerate(passages)
    ]


def digest(content: str) -> str:
    """Return a short digest that differs where the content differs."""
    return hashlib.blake2b(content.encode(), digest_size=16).hexdigest()


CODE = SOURCE.digest(sys.modules[__name__], length=16)
"""What writes what is sent and reads what comes back, as it was when this process imported it."""
