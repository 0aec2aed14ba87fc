"""How hard an import works: as hard as it can while it is alone, less the more others do."""

EVENTS_PER_S = 400
"""Events a second of others beside which an import rests as long as it works."""
RESTS_MAX = 3.0
"""The most it rests, in times of what it has worked."""


class Pace:
    """How much of its time an import leaves to checkouts, judged by the events that come meanwhile.

    How long a part takes tells too little: by chance alone a third more than another, and hardly
    more than that beside a service at half of what it can do, whose callers wait ten times as long.
    """

    def __init__(self) -> None:
        """Know nothing yet."""
        self.seen: tuple[int, float] | None = None
        """The last event when it was looked last, and when that was, in seconds of any clock that only grows."""

    def rest_s(self, worked_s: float, last_event: int, now_s: float) -> float:
        """Return how long to rest after a part that took `worked_s`; 0 after the first one."""
        seen, self.seen = self.seen, (last_event, now_s)
        if seen is None:
            return 0.0
        per_s = (last_event - seen[0]) / max(now_s - seen[1], 1e-3)
        return worked_s * min(per_s / EVENTS_PER_S, RESTS_MAX)
