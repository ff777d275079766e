"""Stage 3: write the reply, or say one of the few things that need no writing."""

from collections.abc import Sequence

from cachemgmt.api import BookCall
from chat.judging.unseen import without_unseen
from chat.providers.base import Provider
from chat.types import Intent, Passage, Reply, Turn

HANDOFF_TEXT = "I can't answer that from our policies, let me get you a person."
PERSON_TEXT = "Of course, let me get you a person."
SMALLTALK_TEXTS = {
    "greeting": "Hello! What would you like to know?",
    "thanks": "You're welcome! Is there anything else you would like to know?",
    "goodbye": "Goodbye, and thank you for getting in touch!",
}


def smalltalk(intent: Intent) -> Reply:
    """Return the short reply to a greeting, thanks or goodbye: fixed, so it costs nothing."""
    return Reply(text=SMALLTALK_TEXTS.get(intent.name, SMALLTALK_TEXTS["greeting"]), cited=())


def generate(
    provider: Provider,
    *,
    question: str,
    context: Sequence[Turn],
    intent: str,
    language: str,
    passages: Sequence[Passage],
    objections: Sequence[str],
    book: BookCall,
) -> Reply:
    """Return the provider's reply as a person sees it, its citations made sound (known passages, each once,
    in order)."""
    reply = provider.generate(
        question=question,
        context=context,
        intent=intent,
        language=language,
        passages=passages,
        objections=objections,
        book=book,
    )
    cited = tuple(sorted({index for index in reply.cited if 0 <= index < len(passages)}))
    return Reply(text=without_unseen(reply.text).strip(), cited=cited)
