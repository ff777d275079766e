"""When each key was last used. Noted in memory, written every few seconds: a hit costs no query."""

from datetime import datetime

from django.db.models import Q
from django.utils import timezone

from access.models import ApiKey

_used: dict[str, datetime] = {}


def note_use(key_id: str) -> None:
    """Note that the key is used now."""
    _used[key_id] = timezone.now()


def write_usage() -> None:
    """Write down what was noted since the last time. What the database refuses is noted again by the next
    use."""
    while _used:
        key_id, used_at = _used.popitem()
        newer = Q(last_used_at=None) | Q(last_used_at__lt=used_at)
        ApiKey.objects.filter(newer, key_id=key_id).update(last_used_at=used_at)
