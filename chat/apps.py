"""The conversation: from an HTTP question to a checked answer."""

from django.apps import AppConfig


class ChatConfig(AppConfig):
    name = "chat"
    verbose_name = "Knowledge"

    def ready(self) -> None:
        """Tell the cache where published revisions are found, which errors are the provider's, and how a
        question is answered ahead."""
        from access.origins import ORIGINS
        from cachemgmt.api import (
            register_decisions,
            register_failures,
            register_revisions,
            register_warmer,
        )
        from chat.levels.failures import ProviderFailures
        from chat.models import Collection, allowed_origins
        from chat.warming import warm

        register_decisions(ORIGINS, allowed_origins)
        register_revisions(lambda: dict(Collection.objects.values_list("slug", "revision")))
        register_failures(ProviderFailures())
        register_warmer(warm)
