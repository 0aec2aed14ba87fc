"""What a channel may have of a stock record that pools share: rights and their limits, pure.

A quota is a right, not stock. What a pool has left is kept from every other channel as far as stock
is there to keep; its own channels may take it, and the common stock beside it.
"""

from collections.abc import Iterable, Mapping

import msgspec

Pools = Mapping[str, str]
"""The pool that a channel takes from; a channel without one is not in it."""


class Quota(msgspec.Struct, frozen=True):
    """Units of one stock record that are kept for one pool."""

    pool_id: str
    quantity: int
    """All that was ever given to the pool here, less what was taken away again."""
    used: int
    """Of them, units of live reservations."""
    consumed: int
    """Of them, units that have left with goods."""

    @property
    def left(self) -> int:
        """Units that the pool's channels may still take."""
        return self.quantity - self.used - self.consumed


def limit(free: int, own: int, others: int) -> int:
    """Return how many units a channel may take of a record.

    `free` are the units that are neither promised nor kept back, `own` what the channel's pool has
    left here and `others` what all the others have. Below zero where nothing is left to take.

    What others have a right to is not touched, unless stock is too little for all rights together:
    then whoever comes first may use its own, so that units are sold to someone.
    """
    return max(free - others, min(free, own))


def rights(quotas: Iterable[Quota], pool_id: str | None) -> tuple[int, int]:
    """Return the units that a pool has left at a record, and those that all the others have."""
    own = others = 0
    for quota in quotas:
        if quota.pool_id == pool_id:
            own += quota.left
        else:
            others += quota.left
    return own, others


def protected(free: int, quotas: Iterable[Quota], pool_id: str | None) -> int:
    """Return the units of `free` that are kept from a channel, which takes from `pool_id`."""
    own, others = rights(quotas, pool_id)
    return free - limit(free, own, others)
