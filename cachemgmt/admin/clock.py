"""The cache's switch, and the clock behind every decision."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import Error as DatabaseFailure
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse

from adminkit.confirmation import Confirmation, confirmation_page, is_confirmed
from adminkit.read_only import ReadOnlyAdmin
from adminkit.unfolded import action, display
from cachemgmt.admin import wording
from cachemgmt.admin.dashboard import asked
from cachemgmt.books.metrics import metrics
from cachemgmt.flushing.flush import switch_cache
from cachemgmt.models import Clock

SWITCH = "admin:cachemgmt_clock_switch"


@admin.register(Clock)
class ClockAdmin(ReadOnlyAdmin):
    """One row, to look at. The switch has a page of its own, with a confirmation."""

    actions_detail = ("switch",)
    fields = ("state", "decisions", "changed_at")
    readonly_fields = ("state", "decisions")

    @display(description="Cache", label={"On": "success", "Off": "danger"})
    def state(self, clock: Clock) -> str:
        return "On" if clock.is_cache_on else "Off"

    @display(description="Decisions so far")
    def decisions(self, clock: Clock) -> str:
        return f"{clock.number:,} (flushes, edited rules, published policies, switching)"

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """There is one row: show it."""
        return HttpResponseRedirect(reverse("admin:cachemgmt_clock_change", args=[1]))

    def has_switch_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whoever may change the clock's row may flip its switch; nothing else of it can be changed."""
        return request.user.has_perm("cachemgmt.change_clock")

    @action(description="Switch the cache off or on…", permissions=["switch"], icon="power_settings_new")
    def switch(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Lead to the page that asks."""
        return HttpResponseRedirect(reverse(SWITCH))

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.switch_view)
        return [path("switch/", view, name="cachemgmt_clock_switch"), *super().get_urls()]

    def switch_view(self, request: HttpRequest) -> HttpResponse:
        """Ask whether the cache shall be switched, and do it on the yes."""
        if not self.has_switch_permission(request):
            raise PermissionDenied
        if is_confirmed(request):
            return self._switched(request, is_on=request.POST.get("is_on") == "yes")
        clock = Clock.objects.filter(pk=1).first() or Clock()
        question = switching_off() if clock.is_cache_on else switching_on()
        return confirmation_page(request, self.admin_site, question)

    def _switched(self, request: HttpRequest, *, is_on: bool) -> HttpResponse:
        word = "on" if is_on else "off"
        try:
            changed = switch_cache(is_on=is_on)
            if changed:
                self.log_change(request, Clock.objects.get(pk=1), f"Switched the cache {word}.")
        except DatabaseFailure:
            messages.error(request, "The database is busy, so nothing was switched. Please try again.")
            return HttpResponseRedirect(reverse(SWITCH))
        if changed:
            messages.success(request, f"The cache is {word} now, in all server processes within a second.")
        else:
            messages.info(request, f"The cache was {word} already. Nothing was changed.")
        return HttpResponseRedirect(reverse("admin:index"))


def switching_on() -> Confirmation:
    """Return what is asked before the cache is switched on."""
    return Confirmation(
        title="Switch the cache on",
        question="Switch the cache on?",
        facts={
            "Now": "Off: every question is answered anew.",
            "Afterwards": "Stored answers are reused again, as far as they are still fresh. What was "
            "flushed meanwhile stays flushed.",
        },
        yes="Switch on",
        cancel_url=reverse("admin:index"),
        carried={"is_on": "yes"},
    )


def switching_off() -> Confirmation:
    """Return what is asked before the cache is switched off: with what it saved lately."""
    day = metrics(hours=24)
    answered = day["total"]["hits"]
    return Confirmation(
        title="Switch the cache off",
        question="Switch the cache off?",
        facts={
            "Now": f"On: {answered:,} of {asked(day['total']):,} questions of the last 24 hours were "
            f"answered from the cache, which saved {wording.usd(day['total']['saved_usd'])}, and "
            f"{wording.time_saved(day['total']['saved_s'])} of waiting.",
            "Afterwards": "Every question is answered anew: slower, and each is paid for. Stored answers are "
            "kept, and are reused again when the cache is switched on.",
        },
        warnings=("To get rid of wrong answers, flush them instead: that costs far less.",),
        yes="Switch off",
        is_dangerous=True,
        cancel_url=reverse("admin:index"),
        carried={"is_on": "no"},
    )
