"""The books: what was counted, what each model call cost, and the prices it is reckoned by."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from adminkit.read_only import ReadOnlyAdmin
from adminkit.unfolded import ModelAdmin, display
from cachemgmt.admin import wording
from cachemgmt.books.metrics import ANSWER
from cachemgmt.models import UNTOLD, LlmCall, MetricBucket, ModelPrice

OUTCOME_COLOURS = {
    "hit": "success",
    "stale": "warning",
    "collapsed": "info",
    "miss": "danger",
    "bypass": "warning",
}
CALL_COLOURS = {
    "ok": "success",
    "error": "danger",
    "timeout": "danger",
    "refused": "warning",
    "unreadable": "warning",
}


class ReasonFilter(admin.AllValuesFieldListFilter):
    """The reasons that were counted, in words."""

    def choices(self, changelist: ChangeList) -> Any:
        for choice in super().choices(changelist):
            yield {**choice, "display": wording.reason(str(choice["display"]))}


@admin.register(MetricBucket)
class MetricBucketAdmin(ReadOnlyAdmin):
    """What was counted, minute by minute."""

    list_display = (
        "minute",
        "level_words",
        "outcome_words",
        "reason_words",
        "collection",
        "count",
        "saved",
        "time_saved",
    )
    list_filter = ("level", "outcome", "collection", ("reason", ReasonFilter))
    date_hierarchy = "minute"
    list_before_template = "admin/cachemgmt/metricbucket/about.html"

    @display(description="What", ordering="level")
    def level_words(self, bucket: MetricBucket) -> str:
        return "Questions" if bucket.level == ANSWER else wording.level_name(bucket.level)

    @display(description="Outcome", ordering="outcome", label=OUTCOME_COLOURS)
    def outcome_words(self, bucket: MetricBucket) -> str:
        return bucket.outcome

    @display(description="Reason", ordering="reason")
    def reason_words(self, bucket: MetricBucket) -> str:
        return wording.reason(bucket.reason)

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Show the list, and above it what each outcome means."""
        words = {"outcomes": wording.OUTCOMES}
        page: HttpResponse = super().changelist_view(request, {**(extra_context or {}), **words})
        return page

    @display(description="Saved", ordering="saved_usd")
    def saved(self, bucket: MetricBucket) -> str:
        unknown = f" and {bucket.unknown_savings:,} times an unknown amount" if bucket.unknown_savings else ""
        return f"{wording.usd(bucket.saved_usd)}{unknown}"

    @display(description="Time saved", ordering="saved_s")
    def time_saved(self, bucket: MetricBucket) -> str:
        return wording.time_saved(bucket.saved_s)


class CostKnownFilter(admin.SimpleListFilter):
    """Calls whose cost is known, or why it is not."""

    title = "cost"
    parameter_name = "cost"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("known", "Known"),
            ("unknown", "Unknown"),
            ("unpriced", "Unknown: no price"),
            ("untold", "Unknown: tokens not told"),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[LlmCall]) -> QuerySet[LlmCall]:
        match self.value():
            case "known" | "unknown":
                return queryset.filter(cost_usd__isnull=self.value() == "unknown")
            case "unpriced":
                return queryset.filter(~UNTOLD, cost_usd=None)
            case "untold":
                return queryset.filter(UNTOLD, cost_usd=None)
        return queryset


@admin.register(LlmCall)
class LlmCallAdmin(ReadOnlyAdmin):
    """Every call to a model, as it was booked. It holds no text of anybody's."""

    list_display = (
        "made_at",
        "stage",
        "model",
        "outcome_words",
        "purpose",
        "collection",
        "tokens",
        "cost",
        "took",
    )
    list_filter = (CostKnownFilter, "stage", "model", "outcome", "purpose", "collection")
    search_fields = ("model",)
    date_hierarchy = "made_at"

    @display(description="Outcome", ordering="outcome", label=CALL_COLOURS)
    def outcome_words(self, call: LlmCall) -> str:
        return call.outcome

    @display(description="Tokens in / out")
    def tokens(self, call: LlmCall) -> str:
        counts = (call.prompt_tokens, call.completion_tokens)
        return " / ".join("not told" if count is None else f"{count:,}" for count in counts)

    @display(description="Cost", ordering="cost_usd")
    def cost(self, call: LlmCall) -> str:
        if call.cost_usd is not None:
            return wording.usd(call.cost_usd)
        return "unknown: tokens not told" if call.is_untold else "unknown: no price"

    @display(description="Took", ordering="seconds")
    def took(self, call: LlmCall) -> str:
        return f"{call.seconds:.1f} s"


@admin.register(ModelPrice)
class ModelPriceAdmin(ModelAdmin):
    """Prices by model and date. A call is reckoned by the price of its day, when it is booked."""

    list_display = ("model_pattern", "valid_from", "input_price", "cached_price", "output_price")
    list_display_links = ("model_pattern",)
    search_fields = ("model_pattern",)
    list_filter = ("valid_from",)
    fields = ("model_pattern", "valid_from", "input_usd", "cached_input_usd", "output_usd")

    @display(description="Input, per million tokens", ordering="input_usd")
    def input_price(self, price: ModelPrice) -> str:
        return wording.usd(price.input_usd)

    @display(description="Cached input", ordering="cached_input_usd")
    def cached_price(self, price: ModelPrice) -> str:
        return "as input" if price.cached_input_usd is None else wording.usd(price.cached_input_usd)

    @display(description="Output", ordering="output_usd")
    def output_price(self, price: ModelPrice) -> str:
        return wording.usd(price.output_usd)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **options: Any) -> Any:
        helps = {
            "model_pattern": "The model's name as it is called, * for any ending: gpt-4.1-mini-2*.",
            "valid_from": "Calls from this day on. To change a price, add a new one with its date.",
            "cached_input_usd": "Empty: the same as input.",
        }
        return super().get_form(request, obj, change=change, help_texts=helps, **options)

    def save_model(self, request: HttpRequest, obj: ModelPrice, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        messages.info(
            request, "Calls are reckoned by this from now on. Those already booked stay as they are."
        )
