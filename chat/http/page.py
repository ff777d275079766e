"""The chat page, for people."""

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from chat.http.bodies import MAX_MESSAGE_CHARS
from chat.http.health import PROVIDERS
from chat.http.words import page_words

SAMPLE_QUESTIONS = (
    "What's your refund policy?",
    "How long have I got to send something back?",
    "How much do you charge for delivery in England?",
    "How many years of guarantee do I get on a cast-iron pan?",
    "Do I have to post a broken mug back to you?",
    "When does a gift card run out?",
)
"""What one may ask of the sample shop's policies. Of other collections the page suggests nothing."""


@require_safe
def chat_page(request: HttpRequest) -> HttpResponse:
    """Return the page. It reads no database, so it is there to show what the endpoint says."""
    if not settings.CHAT_PAGE:
        raise Http404
    collection = settings.DEFAULT_COLLECTION
    name = settings.LLM_PROVIDER
    context = {
        "provider": {"name": name, "description": PROVIDERS[name]},
        "collection": collection,
        "examples": SAMPLE_QUESTIONS if collection == "sample" else (),
        "max_chars": MAX_MESSAGE_CHARS,
        "needs_session": settings.REQUIRE_API_KEY,
        "words": page_words(),
    }
    return render(request, "chat/page.html", context)
