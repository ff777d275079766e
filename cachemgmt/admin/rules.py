"""TTL rules: how long stored results are reused."""

from typing import Any

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import Case, When
from django.forms import ModelForm
from django.http import HttpRequest

from adminkit.unfolded import ModelAdmin, display
from cachemgmt.admin import wording
from cachemgmt.admin.rule_form import TtlRuleForm
from cachemgmt.decisions.database import learn_from_database
from cachemgmt.models import TtlRule


@admin.register(TtlRule)
class TtlRuleAdmin(ModelAdmin):
    """A rule acts on what is already stored, from the next question on. The levels' own rules stay.

    Nothing is deleted in bulk: that would take the levels' own rules along.
    """

    form = TtlRuleForm
    list_display = ("what_and_holds", "intent_words", "time_words", "window_words", "is_reused")
    list_display_links = ("what_and_holds",)
    list_filter = ("level", "is_enabled")
    search_fields = ("intent",)
    list_before_template = "admin/cachemgmt/ttlrule/about.html"
    actions = None

    def get_ordering(self, request: HttpRequest) -> Any:
        """The levels in the order in which a question meets them, each with its intents below it."""
        places = [When(level=level, then=place) for place, level in enumerate(wording.LEVELS)]
        return [Case(*places, default=len(places)), "intent"]

    @display(description="What is stored", ordering="level", header=True)
    def what_and_holds(self, rule: TtlRule) -> list[str]:
        return [wording.level_name(rule.level), wording.LEVELS[rule.level].holds]

    @display(description="What is stored")
    def what(self, rule: TtlRule) -> str:
        return wording.level_name(rule.level)

    @display(description="For", ordering="intent")
    def intent_words(self, rule: TtlRule) -> str:
        return f"Intent {rule.intent}" if rule.intent else "All intents"

    @display(description="Reused for", ordering="ttl_s")
    def time_words(self, rule: TtlRule) -> str:
        return wording.duration(rule.ttl_s)

    @display(description="After that")
    def window_words(self, rule: TtlRule) -> str:
        return wording.windows(rule)

    @display(description="Reuse", ordering="is_enabled", label={"On": "success", "Off: made anew": "warning"})
    def is_reused(self, rule: TtlRule) -> str:
        return "On" if rule.is_enabled else "Off: made anew"

    def get_fieldsets(self, request: HttpRequest, obj: TtlRule | None = None) -> Any:
        """What a rule is about is chosen once; a level's own rule could be lost otherwise."""
        about = ["what", "intent_words"] if obj else ["level", "intent"]
        windows = {
            "fields": ["stale_while_revalidate_s", "stale_if_error_s"],
            "description": "Never with what was flushed, nor with what policies no longer say.",
        }
        return [
            (None, {"fields": about}),
            ("How long", {"fields": ["ttl_s", "is_enabled"]}),
            ("After its time is over", windows),
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: TtlRule | None = None) -> tuple[str, ...]:
        return ("what", "intent_words") if obj else ()

    def has_delete_permission(self, request: HttpRequest, obj: TtlRule | None = None) -> bool:
        is_level_rule = obj is not None and not obj.intent
        return not is_level_rule and bool(super().has_delete_permission(request, obj))

    def save_model(
        self, request: HttpRequest, obj: TtlRule, form: "ModelForm[TtlRule]", change: bool
    ) -> None:
        super().save_model(request, obj, form, change)
        transaction.on_commit(learn_from_database)
        messages.info(
            request, "The rule acts from the next question on, also on results that are stored already."
        )
        partner = differing_partner(obj)
        if partner:
            messages.warning(
                request,
                f"{wording.level_name(partner.level)} have another rule: {wording.rule(partner)}. "
                "Replies are reused no longer than complete answers: mostly the two should be the same.",
            )

    def delete_model(self, request: HttpRequest, obj: TtlRule) -> None:
        super().delete_model(request, obj)
        transaction.on_commit(learn_from_database)
        messages.info(request, "From the next question on, the rule of the whole level holds again.")


PARTNERS = {"response": "reply", "reply": "response"}
"""A complete answer is made of a reply: their rules belong together."""


def differing_partner(rule: TtlRule) -> TtlRule | None:
    """Return the rule that holds for the other of complete answers and replies, where it says otherwise."""
    other = (
        TtlRule.objects.filter(level=PARTNERS.get(rule.level, ""), intent__in={rule.intent, ""})
        .order_by("-intent")
        .first()
    )
    return None if other is None or other.as_rule() == rule.as_rule() else other
