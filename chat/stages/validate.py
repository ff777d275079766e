"""Stage 4: may this reply be sent?"""

from collections.abc import Sequence

from cachemgmt.api import BookCall
from chat.providers.base import Provider
from chat.stages.figures import unsupported_figures
from chat.types import Passage, Reply, Turn, Verdict


def validate(
    provider: Provider,
    *,
    question: str,
    context: Sequence[Turn],
    reply: Reply,
    passages: Sequence[Passage],
    book: BookCall,
) -> Verdict:
    """Return whether the passages support the reply.

    An empty reply, and one with figures that stand nowhere, is rejected without asking the provider.
    """
    if not reply.text:
        return Verdict(is_supported=False, objections=("The reply is empty.",))
    known_texts = " ".join([question, *(turn.content for turn in context)])
    figures = unsupported_figures(reply.text, passages, known_texts)
    if figures:
        return Verdict(is_supported=False, objections=tuple(figures))
    return provider.validate(
        question=question, context=context, reply=reply.text, passages=passages, book=book
    )
