"""Time that a test moves."""


class FakeClock:
    """Unix seconds that stand still until a test moves them."""

    def __init__(self, start: float = 1_800_000_000.0) -> None:
        self.time = start

    def __call__(self) -> float:
        return self.time

    def advance(self, seconds: float) -> None:
        """Let so much time pass."""
        self.time += seconds
