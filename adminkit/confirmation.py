"""The page between asking for a change and making it: what it will do, with a button that posts."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from django.contrib.admin import AdminSite
from django.http import HttpRequest
from django.template.response import TemplateResponse


@dataclass(frozen=True, kw_only=True, slots=True)
class Confirmation:
    """What a person reads before a change, and what their yes sends.

    `facts` are label and value, `lists` heading and lines; `carried` is posted along with the yes;
    `cancel_url` leads away without any change.
    """

    title: str
    question: str
    facts: Mapping[str, str]
    warnings: tuple[str, ...] = ()
    yes: str
    is_dangerous: bool = False
    cancel_url: str
    carried: Mapping[str, str] = field(default_factory=dict)
    lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def confirmation_page(
    request: HttpRequest, admin_site: AdminSite, confirmation: Confirmation
) -> TemplateResponse:
    """Return the page that asks. Its form posts `confirm=yes` to the address it was asked for at."""
    context = {
        **admin_site.each_context(request),
        "title": confirmation.title,
        "confirmation": confirmation,
        "action_url": request.path,
    }
    return TemplateResponse(request, "admin/cachemgmt/confirm.html", context)


def is_confirmed(request: HttpRequest) -> bool:
    """Whether this is the yes of a confirmation page."""
    return request.method == "POST" and request.POST.get("confirm") == "yes"


def chosen_pks(request: HttpRequest, name: str) -> list[int]:
    """Return the primary keys that a page asks about, given one by one or joined by commas; what is none, or
    too long for one, is left out."""
    given = (request.POST if is_confirmed(request) else request.GET).getlist(name)
    return [int(pk) for pk in ",".join(given).split(",") if pk.isascii() and pk.isdigit() and len(pk) < 19]
