"""Who may ask: API keys, sessions, limits."""

from django.apps import AppConfig


class AccessConfig(AppConfig):
    name = "access"
    verbose_name = "Access"

    def ready(self) -> None:
        """Have each process know the keys as it knows the cache's rules, and share its counts."""
        from access.caller import CALLERS
        from access.keys import load_callers
        from access.limits import SHARED_EVERY_S, share_counts
        from access.origins import connect
        from access.usage import write_usage
        from cachemgmt.api import register_decisions, register_work

        connect()
        register_decisions(CALLERS, load_callers)
        register_work(SHARED_EVERY_S, share_counts)
        register_work(5.0, write_usage)
