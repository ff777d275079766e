"""What every process must learn at once: rows that decide, and the clock that each change of them raises."""

from collections.abc import Iterable
from typing import Any, ClassVar, Self, TypeVar

from django.db import models, transaction
from django.db.models import F
from django.db.models.signals import post_delete, post_save, pre_save
from django.dispatch import Signal
from django.utils import timezone

Row = TypeVar("Row", bound=models.Model)

clock_advanced = Signal()
"""Sent after the commit of a change that raised the clock, with its `number`."""


class ClockManager(models.Manager["Clock"]):
    """Raises the clock."""

    def advance(self) -> int:
        """Raise the clock by one and return it. Call it inside the transaction that makes the change, at its
        end: the row stays locked until the commit.

        Other processes learn of it after the commit: over the shared store at their next look-up, without it
        within a second. Raises RuntimeError outside a transaction.
        """
        require_transaction()
        changes = {"number": F("number") + 1, "changed_at": timezone.now()}
        if not self.filter(pk=1).update(**changes):
            self.get_or_create(pk=1)
            self.filter(pk=1).update(**changes)
        number = self.values_list("number", flat=True).get(pk=1)
        transaction.on_commit(lambda: clock_advanced.send(Clock, number=number))
        return number


class Clock(models.Model):
    """The invalidation clock, one row: raised by every change that decides what may be reused.

    The row's lock makes commit order and clock order one. `is_cache_on` is the switch of the whole cache.
    Flushes up to `floor` are no longer on record: what is older than that is not reused.
    """

    number = models.PositiveBigIntegerField(default=0)
    floor = models.PositiveBigIntegerField(default=0)
    is_cache_on = models.BooleanField("cache is on", default=True)
    changed_at = models.DateTimeField(auto_now=True)

    objects: ClassVar[ClockManager] = ClockManager()

    class Meta:
        app_label = "cachemgmt"
        verbose_name = "clock"
        verbose_name_plural = "clock"
        constraints: ClassVar = [models.CheckConstraint(condition=models.Q(pk=1), name="clock_is_one_row")]

    def __str__(self) -> str:
        return f"clock at {self.number}"


class DecisionQuerySet(models.QuerySet[Row]):
    """Many decisions at once. What changes a row raises the clock in the same transaction; `delete()` does so
    too, once for each row, as Django sends a signal for it."""

    def update(self, **values: Any) -> int:
        """Update, and raise the clock where a row was there."""
        with transaction.atomic():
            n_updated = super().update(**values)
            if n_updated:
                Clock.objects.advance()
        return n_updated

    def bulk_create(self, objs: Iterable[Row], *args: Any, **kwargs: Any) -> list[Row]:
        """Create or, where conflicts are updated, change the rows; raise the clock where there are any."""
        with transaction.atomic():
            created = super().bulk_create(objs, *args, **kwargs)
            if created:
                Clock.objects.advance()
        return created

    def _raw_delete(self, using: str | None) -> int:
        """Django's way to delete without signals."""
        with transaction.atomic():
            n_deleted: int = super()._raw_delete(using)
            if n_deleted:
                Clock.objects.advance()
        return n_deleted


class DecisionManager(models.Manager[Row]):
    """Decisions, whose changes raise the clock."""

    def get_queryset(self) -> DecisionQuerySet[Row]:
        return DecisionQuerySet(self.model, using=self._db)

    def unannounced(self) -> models.QuerySet[Row]:
        """Return a queryset that leaves the clock alone, to update what decides nothing: when a row was last
        used."""
        return super().get_queryset()


class Decision(models.Model):
    """A row that every process knows of at its next question: whatever changes it raises the clock, in the
    same transaction.

    `save()`, `delete()`, cascades and `loaddata` do so by Django's signals, as some of these call no method
    of the row; a queryset and related managers do so by `DecisionQuerySet`. Left are raw SQL and a
    migration's own models: they must call `Clock.objects.advance()`. A decision has no many-to-many fields,
    whose rows nobody would hear of.
    """

    objects: ClassVar[DecisionManager[Self]] = DecisionManager()

    class Meta:
        abstract = True
        base_manager_name = "objects"  # related managers update through this one

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        pre_save.connect(require_transaction, sender=cls)
        for changed in (post_save, post_delete):
            changed.connect(_advance_clock, sender=cls)

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save, and raise the clock in the same transaction."""
        with transaction.atomic():
            super().save(*args, **kwargs)


def require_transaction(**_signal: Any) -> None:
    """Raise RuntimeError outside a transaction: the clock and the change would not be committed together."""
    if not transaction.get_connection().in_atomic_block:
        raise RuntimeError("The clock is raised inside the transaction of the change: transaction.atomic()")


def _advance_clock(**_signal: Any) -> None:
    Clock.objects.advance()
