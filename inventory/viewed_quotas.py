"""Pools and quotas as a process knows them, and what they keep from a channel."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from inventory.quotas import limit
from inventory.slices import Ints


class ViewedQuota(msgspec.Struct, frozen=True):
    """A quota as it was last seen."""

    quantity: int
    used: int
    consumed: int
    version: int

    @property
    def left(self) -> int:
        """Units that the pool's channels may still take."""
        return self.quantity - self.used - self.consumed


class ViewedQuotas:
    """Which channel takes from which pool, and what pools have by stock record."""

    def __init__(self) -> None:
        """Start without a pool."""
        self.pools: dict[str, str] = {}
        self.by_sku: dict[str, dict[str, dict[str, ViewedQuota]]] = {}
        """By sku, node and pool."""

    def put_channels(self, pool_ids: Iterable[str], rows: Iterable[Any]) -> None:
        """Have of these pools exactly the channels in `rows` (channel, pool_id)."""
        changed = set(pool_ids)
        self.pools = {
            channel: pool_id for channel, pool_id in self.pools.items() if pool_id not in changed
        }
        self.pools.update((channel, pool_id) for channel, pool_id in rows)

    def put(self, rows: Iterable[Any]) -> set[str]:
        """Put rows (sku, node_id, pool_id, then the fields of `ViewedQuota`) in, unless older.

        Return the skus they are of.
        """
        skus = set()
        for sku, node_id, pool_id, *values in rows:
            row = ViewedQuota(*values)
            own = self.by_sku.setdefault(sku, {}).setdefault(node_id, {})
            known = own.get(pool_id)
            if known is None or row.version >= known.version:
                own[pool_id] = row
                skus.add(sku)
        return skus

    def protected(self, sku: str, node_id: str, channel: str, free: int) -> int:
        """Return the units of `free` that are kept from a channel at a record."""
        rows = self.by_sku.get(sku, {}).get(node_id)
        if not rows:
            return 0
        own, others = self.rights(rows, channel)
        return free - limit(free, own, others)

    def rights(self, rows: Mapping[str, ViewedQuota], channel: str) -> tuple[int, int]:
        """Return the units that a channel's pool has left, and those that all the others have."""
        pool_id = self.pools.get(channel)
        own = rows[pool_id].left if pool_id is not None and pool_id in rows else 0
        return own, sum(row.left for row in rows.values()) - own

    def withhold(
        self,
        sku: str,
        channel: str,
        kept: Ints,
        node_ids: Sequence[str],
        cells: Sequence[Sequence[int]],
    ) -> Ints:
        """Return `kept` with what other channels have a right to added, for each of a sku's cells.

        `kept` has one figure for all cells or one for each. The answer follows from the counters,
        which are different every time; so it is never remembered.
        """
        rows = self.by_sku.get(sku)
        if not rows or not cells:
            return kept
        found = kept.copy() if kept.size == len(cells) else np.full(len(cells), kept[0])
        for place, (number, on_hand, reserved, unavailable, pending) in enumerate(cells):
            if node_ids[number] in rows:
                free = on_hand - reserved - unavailable - pending - int(found[place])
                found[place] += self.protected(sku, node_ids[number], channel, free)
        return found
