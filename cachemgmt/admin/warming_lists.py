"""Warming lists: what is answered before customers ask."""

from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import Error as DatabaseFailure
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html

from adminkit.confirmation import Confirmation, chosen_pks, confirmation_page, is_confirmed
from adminkit.unfolded import ModelAdmin, TabularInline, action, display
from cachemgmt.admin.list_form import WarmingListForm, add_questions
from cachemgmt.admin.runs import last_time, under_way
from cachemgmt.models import Clock, WarmingList, WarmingQuery
from cachemgmt.warming.runs import questions_of, request_run

WARM = "admin:cachemgmt_warminglist_warm_now"
CHANGELIST = "admin:cachemgmt_warminglist_changelist"


class WarmingQueryInline(TabularInline):
    """The list's questions, to be corrected or deleted. New ones are pasted above."""

    model = WarmingQuery
    fields = ("question",)
    extra = 0
    per_page = 50
    hide_title = True
    verbose_name = "question"
    verbose_name_plural = "questions in this list"

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(WarmingList)
class WarmingListAdmin(ModelAdmin):
    """Lists of questions, and the way to have them answered now."""

    form = WarmingListForm
    inlines = (WarmingQueryInline,)
    list_display = ("name", "collection_words", "question_count", "is_active", "last_warmed", "run_count")
    list_filter = ("is_active", "collection")
    search_fields = ("name", "description", "queries__question")
    search_help_text = "Search names and questions"
    actions = ("warm_selected",)
    actions_detail = ("warm_this",)
    fields = ("name", "description", "collection", "is_active", "new_questions")
    warn_unsaved_form = True

    def get_queryset(self, request: HttpRequest) -> QuerySet[WarmingList]:
        lists: QuerySet[WarmingList] = super().get_queryset(request)
        return lists.annotate(n=Count("queries", distinct=True), n_runs=Count("runs", distinct=True))

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        may_add = self.has_change_permission(request, obj) if obj else True
        return self.fields if may_add else self.fields[:-1]

    @display(description="Collection", ordering="collection")
    def collection_words(self, row: WarmingList) -> str:
        return row.collection or "default"

    @display(description="Questions", ordering="n")
    def question_count(self, row: Any) -> str:
        return f"{row.n:,}"

    @display(description="Last warmed")
    def last_warmed(self, row: WarmingList) -> str:
        return last_time([row])

    @display(description="Runs", ordering="n_runs")
    def run_count(self, row: Any) -> str:
        runs = reverse("admin:cachemgmt_warmingrun_changelist")
        return format_html(
            '<a class="text-link" href="{}?lists__id__exact={}">{}</a>', runs, row.pk, f"{row.n_runs:,}"
        )

    def save_model(self, request: HttpRequest, obj: WarmingList, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        asked = form.cleaned_data.get("new_questions") or []
        if asked:
            added, there = add_questions(obj, asked)
            known = f" {there:,} were in the list already." if there else ""
            messages.info(request, f"{added:,} question{'' if added == 1 else 's'} added.{known}")

    # warming ----------------------------------------------------------------------------------------------

    def has_warm_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("cachemgmt.warm_cache")

    @action(description="Warm this list…", permissions=["warm"], icon="local_fire_department")
    def warm_this(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Lead to the page that asks."""
        return HttpResponseRedirect(f"{reverse(WARM)}?list={object_id}")

    @admin.action(description="Warm selected lists…", permissions=["warm"])
    def warm_selected(self, request: HttpRequest, chosen: QuerySet[WarmingList]) -> HttpResponse:
        """Lead to the page that asks."""
        query = QueryDict(mutable=True)
        query.setlist("list", [str(pk) for pk in chosen.values_list("pk", flat=True)])
        return HttpResponseRedirect(f"{reverse(WARM)}?{query.urlencode()}")

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.warm_view)
        return [path("warm/", view, name="cachemgmt_warminglist_warm_now"), *super().get_urls()]

    def warm_view(self, request: HttpRequest) -> HttpResponse:
        """Ask whether the lists shall be warmed, with the number of questions; on the yes, request a run."""
        if not self.has_warm_permission(request):
            raise PermissionDenied
        lists = list(WarmingList.objects.filter(pk__in=chosen_pks(request, "list")))
        if not questions_of(lists):
            messages.warning(request, "There are no questions to warm. Add some to the list first.")
            return HttpResponseRedirect(reverse(CHANGELIST))
        if is_confirmed(request):
            return self._requested(request, lists)
        return confirmation_page(request, self.admin_site, asked(lists))

    def _requested(self, request: HttpRequest, lists: list[WarmingList]) -> HttpResponse:
        try:
            run = under_way(questions_of(lists))
            if run:
                messages.info(request, "These questions are being warmed already: this is that run.")
            else:
                run = request_run(lists, requested_by=request.user.get_username())
                for row in lists:
                    self.log_change(request, row, "Asked for warming.")
                messages.success(request, f"Warming of {len(run.questions):,} questions was asked for.")
        except DatabaseFailure:
            messages.error(request, "The database is busy, so no warming was asked for. Please try again.")
            return HttpResponseRedirect(reverse(CHANGELIST))
        return HttpResponseRedirect(reverse("admin:cachemgmt_warmingrun_change", args=[run.pk]))


OFF = "The cache is off, so nothing would be stored: switch it on first."


def is_cache_used() -> bool:
    """Whether what is made now would be stored."""
    return settings.CACHE_ENABLED and (Clock.objects.filter(pk=1).first() or Clock()).is_cache_on


def asked(lists: list[WarmingList]) -> Confirmation:
    """Return what is asked before these lists are warmed."""
    questions = questions_of(lists)
    names = ", ".join(row.name for row in lists)
    return Confirmation(
        title="Warm the cache",
        question=f"Answer {len(questions):,} question{'' if len(questions) == 1 else 's'} ahead?",
        facts={
            "Lists": names,
            "Collection": ", ".join(dict.fromkeys(collection for collection, _ in questions)),
            "Last time": last_time(lists),
            "Afterwards": "Answers that are stored and fresh stay as they are and cost nothing. The others "
            "are made one after the other, and each is paid for.",
        },
        warnings=() if is_cache_used() else (OFF,),
        yes="Warm now",
        cancel_url=reverse(CHANGELIST),
        carried={"list": ",".join(str(row.pk) for row in lists)},
    )
