"""API keys, as the database keeps them."""

from typing import ClassVar, Literal

from django.db import models
from django.utils import timezone

from access.caller import RIGHTS, Right
from cachemgmt.api import Decision


class ApiKey(Decision):
    """Who may ask, and what he may do. What identifies him is kept as a digest alone.

    A change is in effect in every process at its next question.
    """

    key_id = models.CharField(max_length=12, unique=True, editable=False)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    name = models.CharField(
        max_length=100, help_text="Who uses it, such as “help desk” or “shop's website”. Only for people."
    )
    collections = models.JSONField(
        default=list,
        blank=True,
        help_text="The collections it may ask. None chosen: all of them, also those to come.",
    )
    may_ask = models.BooleanField("may ask questions", default=True)
    may_trusted = models.BooleanField(
        "is trusted with customers",
        default=False,
        help_text="A server of yours: the customer_id it sends is believed. Never for a key that leaves it.",
    )
    may_skip_cache = models.BooleanField(
        "may have answers made anew",
        default=False,
        help_text="Its Cache-Control counts: no-cache, no-store, max-age. Each costs as a new answer does.",
    )
    may_metrics = models.BooleanField("may read metrics", default=False)
    asks_per_minute = models.PositiveIntegerField(
        "questions per minute",
        null=True,
        blank=True,
        help_text="Empty: the service's own limit. 0: no limit.",
    )
    calls_per_hour = models.PositiveIntegerField(
        "calls to the language model per hour",
        null=True,
        blank=True,
        help_text="What it may have made anew; stored answers do not count. Empty: the service's limit. "
        "0: no limit.",
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    created_by = models.CharField(max_length=150, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True, help_text="Empty: never.")
    revoked_at = models.DateTimeField(null=True, editable=False)
    last_used_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering: ClassVar = ["-created_at"]
        verbose_name = "API key"

    def __str__(self) -> str:
        return f"{self.name} ({self.key_id})"

    @property
    def rights(self) -> list[Right]:
        """What it may do."""
        return [right for right in RIGHTS if getattr(self, f"may_{right}")]

    @property
    def state(self) -> Literal["in force", "expired", "revoked"]:
        """Whether it counts now."""
        if self.revoked_at:
            return "revoked"
        return "expired" if self.expires_at and self.expires_at <= timezone.now() else "in force"

    def revoke(self) -> None:
        """Take it out of force, for good. The row stays, so that one can see whose it was."""
        if self.revoked_at is None:
            self.revoked_at = timezone.now()
            self.save(update_fields=["revoked_at"])
