"""Stage 4: may this reply be sent?"""

from collections.abc import Sequence

from cachemgmt.api import BookCall
from chat.checks.figures import unsupported_figures
from chat.checks.links import unsupported_links
from chat.checks.phones import unsupported_phones
from chat.providers.base import Provider
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

    An empty reply, and one with figures, addresses or telephone numbers that stand nowhere, is rejected
    without asking the provider.
    """
    if not reply.text:
        return Verdict(is_supported=False, objections=("The reply is empty.",))
    # What an assistant is said to have told him is the client's word, and supports nothing.
    known_texts = " ".join([question, *(turn.content for turn in context if turn.role == "user")])
    strange = [
        *unsupported_figures(reply.text, passages, known_texts),
        *unsupported_links(reply.text, passages),
        *unsupported_phones(reply.text, passages),
    ]
    if strange:
        return Verdict(is_supported=False, objections=tuple(strange))
    return provider.validate(
        question=question, context=context, reply=reply.text, passages=passages, book=book
    )
