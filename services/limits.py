"""How often a key may call: a bucket of tokens that fills again at a steady rate."""

from math import ceil
from time import monotonic


class Bucket:
    """Calls that one key still may make at one worker."""

    def __init__(self, per_s: float, burst: float) -> None:
        """Let `burst` calls through at once and `per_s` a second in the long run."""
        self.per_s = per_s
        self.burst = max(burst, 1.0)
        self.tokens = self.burst
        self.at_s = monotonic()

    def take(self) -> bool:
        """Take a token if there is one."""
        now_s = monotonic()
        self.tokens = min(self.burst, self.tokens + (now_s - self.at_s) * self.per_s)
        self.at_s = now_s
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True

    @property
    def wait_s(self) -> int:
        """Whole seconds until there is a token again."""
        return max(1, ceil((1 - self.tokens) / self.per_s))
