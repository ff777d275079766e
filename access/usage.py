"""When each key was last used. Noted in memory, written every few seconds: a hit costs no query."""

from datetime import datetime
from threading import Lock

from django.db.models import Q
from django.utils import timezone

from access.models import ApiKey

_used: dict[str, datetime] = {}
_lock = Lock()


def note_use(key_id: str) -> None:
    """Note that the key is used now."""
    with _lock:
        _used[key_id] = timezone.now()


def write_usage() -> None:
    """Write down what was noted until now, one statement a key; what is noted meanwhile is for the next time.

    What could not be written is noted still. Raises DatabaseError. Several threads and processes may write at
    once: the latest use stays.
    """
    global _used
    with _lock:
        taken, _used = _used, {}
    try:
        for key_id, used_at in list(taken.items()):
            earlier = Q(last_used_at=None) | Q(last_used_at__lt=used_at)
            ApiKey.objects.unannounced().filter(earlier, key_id=key_id).update(last_used_at=used_at)
            del taken[key_id]
    finally:
        with _lock:
            for key_id, used_at in taken.items():
                _used.setdefault(key_id, used_at)
