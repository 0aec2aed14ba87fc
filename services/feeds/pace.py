"""How hard an import works: as hard as it can while it is alone, half as hard beside others."""

FORGETTING = 1.02
"""By how much the best time of a row is taken to grow with every part: tables grow, caches fill."""


class Pace:
    """How fast rows can be worked on here, and so how much of its time a part spent waiting.

    What a part takes beyond the best that was seen it has shared with others: checkouts, mostly. They
    are left as much time again, and none is lost where nobody else is at work.
    """

    def __init__(self) -> None:
        """Know nothing yet."""
        self.best_s = float("inf")
        """Seconds of a row."""

    def pause_s(self, rows: int, seconds: float) -> float:
        """Return how long to pause after a part of so many rows, less than it took itself."""
        self.best_s = min(self.best_s * FORGETTING, seconds / rows)
        return seconds - rows * self.best_s
