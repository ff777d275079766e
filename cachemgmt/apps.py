"""The cache: engine, ledger, warming, flushing."""

from django.apps import AppConfig


class CachemgmtConfig(AppConfig):
    name = "cachemgmt"
    verbose_name = "Cache"

    def ready(self) -> None:
        """Have the store told of each raise of the clock."""
        from cachemgmt.announcing import announce_clock
        from cachemgmt.decision import clock_advanced

        clock_advanced.connect(announce_clock)
