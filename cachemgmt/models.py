"""What the cache must remember outside itself: decisions, warming, and what was spent and saved."""

from decimal import Decimal
from fnmatch import fnmatchcase
from typing import ClassVar, cast
from uuid import uuid4

from django.core.validators import MinValueValidator
from django.db import models
from django.utils import timezone

from cachemgmt.decision import Clock, Decision
from cachemgmt.engine.reuse.knowledge import DEFAULT_TTL_S, STALE_IF_ERROR_S, Flush, FlushKind, Rule

__all__ = [
    "Clock",
    "FlushRecord",
    "LlmCall",
    "MetricBucket",
    "ModelPrice",
    "TtlRule",
    "WarmingList",
    "WarmingQuery",
    "WarmingRun",
]

LEVELS = [(level, level) for level in ("response", "intent", "policy", "reply")]


class TtlRule(Decision):
    """How long a level's results, or those of one intent in it, stay fresh. Acts on stored ones, too."""

    level = models.CharField(max_length=16, choices=LEVELS)
    intent = models.CharField(max_length=64, blank=True, help_text="Empty: the whole level.")
    ttl_s = models.PositiveIntegerField(
        "time to live (seconds)", validators=[MinValueValidator(1)], help_text="1800 is half an hour."
    )
    is_enabled = models.BooleanField(
        "reuse results", default=True, help_text="Off: results are made anew every time, and not kept."
    )
    stale_while_revalidate_s = models.PositiveIntegerField(
        "reuse while made anew (seconds)",
        default=0,
        help_text="For so long past its time a result is still given, while a new one is made behind it. "
        "0: whoever asks then waits for the new one.",
    )
    stale_if_error_s = models.PositiveIntegerField(
        "reuse while the model fails (seconds)",
        default=STALE_IF_ERROR_S,
        help_text="For so long past its time a result is given when no new one can be made. 86400 is a day.",
    )

    class Meta:
        verbose_name = "TTL rule"
        ordering: ClassVar = ["level", "intent"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["level", "intent"], name="one_rule_per_level_and_intent"),
            models.CheckConstraint(condition=models.Q(ttl_s__gte=1), name="ttl_is_at_least_a_second"),
            models.CheckConstraint(
                condition=~models.Q(level="policy") | models.Q(intent=""),
                name="passages_have_no_intent",
                violation_error_message="The level policy knows no intents: leave the intent empty.",
            ),
            models.CheckConstraint(
                condition=models.Q(level__in=list(DEFAULT_TTL_S)), name="ttl_level_is_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.level}{f' / {self.intent}' if self.intent else ''}: {self.ttl_s} s"

    def as_rule(self) -> Rule:
        """Return it as the engine's rule."""
        return Rule(
            ttl_s=self.ttl_s,
            is_enabled=self.is_enabled,
            stale_while_revalidate_s=self.stale_while_revalidate_s,
            stale_if_error_s=self.stale_if_error_s,
        )


class FlushRecord(models.Model):
    """One flush: who removed what, when and why. Written in the transaction that raises the clock."""

    KINDS: ClassVar = [
        ("all", "everything"),
        ("tag", "a tag"),
        ("age", "made before"),
        ("pattern", "a pattern over readable names"),
    ]

    clock = models.PositiveBigIntegerField(unique=True)
    kind = models.CharField(max_length=8, choices=KINDS)
    match = models.CharField(max_length=300, blank=True)
    reason = models.CharField("why", max_length=300, blank=True)
    actor = models.CharField("who", max_length=150)
    made_at = models.DateTimeField("when", default=timezone.now)
    matched_count = models.PositiveIntegerField(
        "entries", null=True, help_text="How many entries matched beforehand; unknown where empty."
    )
    removed_at = models.DateTimeField(null=True, help_text="When their removal from the store began.")
    removed_count = models.PositiveIntegerField(
        "removed", null=True, help_text="How many entries were removed from the store afterwards."
    )

    class Meta:
        verbose_name = "flush"
        verbose_name_plural = "flushes"
        ordering: ClassVar = ["-clock"]
        permissions: ClassVar = [("flush_cache", "Can flush the cache")]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(kind="all", match="") | (~models.Q(kind="all") & ~models.Q(match="")),
                name="flush_matches_something",
            )
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.match}".strip()

    def as_flush(self) -> Flush:
        """Return it as the engine's statement about entries."""
        return Flush(clock=self.clock, kind=cast("FlushKind", self.kind), match=self.match)


class WarmingList(models.Model):
    """Questions whose answers are made ahead."""

    name = models.CharField(max_length=80, unique=True)
    description = models.TextField(blank=True)
    collection = models.CharField(max_length=50, blank=True, help_text="Empty: the default collection.")
    is_active = models.BooleanField(default=True, help_text="Active lists are warmed by warm_cache --all.")

    class Meta:
        ordering: ClassVar = ["name"]
        permissions: ClassVar = [("warm_cache", "Can warm the cache")]

    def __str__(self) -> str:
        return self.name


class WarmingQuery(models.Model):
    """One question of a warming list."""

    warming_list = models.ForeignKey(WarmingList, on_delete=models.CASCADE, related_name="queries")
    question = models.CharField(max_length=4000)
    position = models.PositiveIntegerField(default=0)

    class Meta:
        verbose_name_plural = "warming queries"
        ordering: ClassVar = ["position", "pk"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["warming_list", "question"], name="a_question_once_per_list")
        ]

    def __str__(self) -> str:
        return self.question


class WarmingRun(models.Model):
    """One filling ahead: asked for by somebody, worked off by a process that reaches the cache."""

    STATES: ClassVar = [(state, state) for state in ("waiting", "running", "done", "failed")]

    requested_at = models.DateTimeField(default=timezone.now)
    requested_by = models.CharField(max_length=150)
    label = models.CharField("what", max_length=200, help_text="In the lists' names of then.")
    lists = models.ManyToManyField(WarmingList, related_name="runs", editable=False)
    questions = models.JSONField(help_text="[collection, question] pairs.")
    state = models.CharField(max_length=8, choices=STATES, default="waiting")
    started_at = models.DateTimeField(null=True)
    progressed_at = models.DateTimeField(auto_now=True)
    ended_at = models.DateTimeField(null=True)
    filled = models.PositiveIntegerField("made", default=0)
    reused = models.PositiveIntegerField("already there", default=0)
    not_stored = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
    spent_usd = models.DecimalField(max_digits=14, decimal_places=8, null=True)
    problems = models.JSONField(default=list, help_text="One line for each question that was not stored.")

    class Meta:
        ordering: ClassVar = ["-requested_at"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(state__in=["waiting", "running", "done", "failed"]), name="warming_state"
            )
        ]

    def __str__(self) -> str:
        return f"{self.label}: {self.state}"


class MetricBucket(models.Model):
    """How often, how long and for how much: one minute, level, outcome, reason and collection.

    The level "answer" counts whole questions; the others count look-ups inside them.
    """

    minute = models.DateTimeField()
    level = models.CharField(max_length=16)
    outcome = models.CharField(max_length=16)
    reason = models.CharField(max_length=40, blank=True)
    collection = models.CharField(max_length=50)
    count = models.PositiveBigIntegerField(default=0)
    seconds = models.FloatField(default=0.0)
    saved_usd = models.DecimalField(max_digits=16, decimal_places=8, default=Decimal(0))
    saved_s = models.FloatField(default=0.0)
    unknown_savings = models.PositiveBigIntegerField(
        default=0,
        help_text="How often an unknown amount was saved; saved_usd leaves it out.",
    )

    class Meta:
        ordering: ClassVar = ["-minute", "level"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["minute", "level", "outcome", "reason", "collection"], name="one_bucket_each"
            )
        ]

    def __str__(self) -> str:
        return f"{self.minute:%F %H:%M} {self.level} {self.outcome}: {self.count}"


class ModelPrice(models.Model):
    """What a model's tokens cost from a date on, in USD per million tokens."""

    model_pattern = models.CharField(max_length=100, help_text="A shell-style pattern, such as gpt-4.1-mini*")
    valid_from = models.DateField()
    input_usd = models.DecimalField("input, USD per million tokens", max_digits=12, decimal_places=6)
    cached_input_usd = models.DecimalField(
        "cached input", max_digits=12, decimal_places=6, null=True, blank=True
    )
    output_usd = models.DecimalField("output", max_digits=12, decimal_places=6)

    class Meta:
        ordering: ClassVar = ["model_pattern", "-valid_from"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["model_pattern", "valid_from"], name="one_price_per_model_and_date"
            )
        ]

    def __str__(self) -> str:
        return f"{self.model_pattern} from {self.valid_from}"

    def fits(self, model: str) -> bool:
        """Whether this price is for that model."""
        return fnmatchcase(model, self.model_pattern)


UNTOLD = models.Q(prompt_tokens=None) | models.Q(completion_tokens=None)
"""Of a call: the endpoint did not tell all its tokens."""


class LlmCall(models.Model):
    """One call to a model, booked when it returned; once, however often that is tried, by its `call_id`."""

    call_id = models.UUIDField(null=True, unique=True, default=uuid4, editable=False)
    made_at = models.DateTimeField(default=timezone.now, db_index=True)
    stage = models.CharField(max_length=16)
    model = models.CharField(max_length=100)
    outcome = models.CharField(max_length=16)
    purpose = models.CharField(max_length=16)
    collection = models.CharField(max_length=50)
    prompt_tokens = models.PositiveIntegerField(default=0, null=True, help_text="Empty: not told.")
    cached_tokens = models.PositiveIntegerField(default=0)
    completion_tokens = models.PositiveIntegerField(default=0, null=True, help_text="Empty: not told.")
    cost_usd = models.DecimalField(
        max_digits=14,
        decimal_places=8,
        null=True,
        help_text="Empty: not known (no price, or tokens not told).",
    )
    seconds = models.FloatField()

    class Meta:
        verbose_name = "LLM call"
        ordering: ClassVar = ["-made_at"]

    def __str__(self) -> str:
        return f"{self.made_at:%F %T} {self.stage} {self.model}"

    @property
    def is_untold(self) -> bool:
        """Whether the endpoint did not tell all its tokens."""
        return self.prompt_tokens is None or self.completion_tokens is None
