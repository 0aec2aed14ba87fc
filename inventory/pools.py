"""Allocation pools: shares of stock kept for channels; allocated, moved and taken back by planners.

A pool names the channels it is for, and has a **quota** at stock records: units of which those
channels are sure. What orders take of it is counted by the guarded step (`reserve.py`), and what
becomes of their reservations settles it. Quotas are read for a decision and written only under the
lock of their stock record, so they need no lock of their own.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

import asyncpg
import msgspec

from inventory import pool_records, records
from inventory.book import transpose
from inventory.locks import Locked, StockKey, lock
from inventory.quotas import Pools, Quota, rights

QuotaKey = tuple[str, str, str]
"""sku, node_id, pool_id"""


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """Units of one stock record for one pool."""

    sku: str
    node_id: str
    pool_id: str
    quantity: int


class Shift(msgspec.Struct, frozen=True, kw_only=True):
    """Units that one pool gives up at a stock record and another gets; none is the common stock."""

    sku: str
    node_id: str
    from_pool_id: str | None
    to_pool_id: str | None
    quantity: int


class QuotaUsedError(ValueError):
    """A pool has fewer units left than should be taken from it; nothing was changed."""

    def __init__(self, key: QuotaKey, quantity: int, quota: Quota) -> None:
        super().__init__(
            f"pool {key[2]} would have {quantity} units of {key[0]} at {key[1]}, and "
            f"{quota.used} are used by orders and {quota.consumed} have left already; "
            f"{quota.left} can be taken from it"
        )
        self.key = key
        self.quota = quota


async def put_quotas(
    connection: asyncpg.Connection, grants: Sequence[Grant]
) -> dict[QuotaKey, Quota]:
    """Set what pools have in all at stock records, used units included; return the quotas.

    The last of a repeated key wins. A stock record that does not exist is made: a right may be
    given before the stock is there. Raises QuotaUsedError below what is used and consumed.
    """
    wanted = {(each.sku, each.node_id, each.pool_id): each.quantity for each in grants}
    return await _change(connection, wanted, {})


async def add_quotas(
    connection: asyncpg.Connection, grants: Sequence[Grant]
) -> dict[QuotaKey, Quota]:
    """Give pools more units at stock records, from the common stock; return the quotas."""
    added: Counter[QuotaKey] = Counter()
    for each in grants:
        added[each.sku, each.node_id, each.pool_id] += each.quantity
    return await _change(connection, {}, added)


async def reallocate(
    connection: asyncpg.Connection, shifts: Sequence[Shift]
) -> dict[QuotaKey, Quota]:
    """Move units between pools, or between a pool and the common stock, all or nothing.

    Only what a pool has left moves: what its orders have stays theirs. Raises QuotaUsedError.
    """
    moved: Counter[QuotaKey] = Counter()
    for each in shifts:
        if each.from_pool_id is not None:
            moved[each.sku, each.node_id, each.from_pool_id] -= each.quantity
        if each.to_pool_id is not None:
            moved[each.sku, each.node_id, each.to_pool_id] += each.quantity
    return await _change(connection, {}, moved)


async def _change(
    connection: asyncpg.Connection, wanted: Mapping[QuotaKey, int], added: Mapping[QuotaKey, int]
) -> dict[QuotaKey, Quota]:
    """Set quotas to what is wanted, change others by what is added; return them."""
    keys = wanted.keys() | added.keys()
    if not keys:
        return {}
    places = {key[:2] for key in keys}
    made = await records.ensure_stock(connection, *transpose(sorted(places)))
    if made:
        await pool_records.note_stock(connection, transpose([(row[0], row[1]) for row in made]))
    await lock(connection, stock=places)
    rows = []
    known = by_key(await find_quotas(connection, places))
    for key in sorted(keys):
        quota = known.get(key, Quota(key[2], 0, 0, 0))
        quantity = wanted.get(key, quota.quantity) + added.get(key, 0)
        if quantity < quota.used + quota.consumed:
            raise QuotaUsedError(key, quantity, quota)
        rows.append((*key, quantity))
    written = await pool_records.put_quotas(connection, transpose(rows))
    return {(row[0], row[1], row[2]): Quota(*row[2:6]) for row in written}


async def find_quotas(
    connection: asyncpg.Connection, keys: Collection[StockKey]
) -> dict[StockKey, list[Quota]]:
    """Return the quotas at stock records; for a decision these are locked."""
    if not keys:
        return {}
    found: dict[StockKey, list[Quota]] = {}
    for sku, node_id, *values in await pool_records.find_quotas(connection, *transpose(list(keys))):
        found.setdefault((sku, node_id), []).append(Quota(*values))
    return found


def by_key(quotas: Mapping[StockKey, Iterable[Quota]]) -> dict[QuotaKey, Quota]:
    """Return quotas by sku, node and pool."""
    return {(*at, each.pool_id): each for at, own in quotas.items() for each in own}


async def change_quotas(
    connection: asyncpg.Connection,
    used: Mapping[QuotaKey, int],
    consumed: Mapping[QuotaKey, int] | None = None,
) -> None:
    """Add to what is used and consumed of quotas; their stock records are locked."""
    gone = consumed or {}
    rows = [(*key, used.get(key, 0), gone.get(key, 0)) for key in sorted(used.keys() | gone.keys())]
    if rows:
        await pool_records.change_quotas(connection, transpose(rows))


class Shares(msgspec.Struct, frozen=True):
    """The rights of pools at locked stock records, and which channels they are for."""

    quotas: Mapping[StockKey, Sequence[Quota]]
    pools: Pools

    def own_key(self, at: StockKey, channel: str) -> QuotaKey | None:
        """Return the quota that a channel takes from at a record; none where it has none."""
        pool_id = self.pools.get(channel)
        own = any(each.pool_id == pool_id for each in self.quotas.get(at, ()))
        return (*at, pool_id) if own and pool_id is not None else None

    def left(self, at: StockKey, channel: str, taken: Counter[QuotaKey]) -> tuple[int, int]:
        """Return what the channel's pool has left at a record, and what all the others have.

        `taken` is what the walk has given to demands so far, by quota.
        """
        own, others = rights(self.quotas.get(at, ()), self.pools.get(channel))
        for each in self.quotas.get(at, ()):
            units = taken[(*at, each.pool_id)]
            if each.pool_id == self.pools.get(channel):
                own -= units
            else:
                others -= units
        return own, others


NO_SHARES = Shares({}, {})
"""Where no pool has a right, as nearly everywhere."""


async def read_shares(
    connection: asyncpg.Connection, locked: Locked, channels: Collection[str]
) -> Shares:
    """Return the rights at locked stock records; nothing is sent where there are none."""
    places = [key for key, row in locked.stock.items() if row.pooled]
    if not places:
        return NO_SHARES
    pools = await pool_records.find_pools(connection, sorted(channels))
    return Shares(await find_quotas(connection, places), pools)


async def spend(connection: asyncpg.Connection, promises: Iterable[asyncpg.Record]) -> None:
    """Use up for good what these reservations had of pools: their goods have left.

    Rows carry sku, node_id, pool_id and pool_units; their stock records are locked.
    """
    spent: Counter[QuotaKey] = Counter()
    for row in promises:
        if row["pool_id"] is not None:
            spent[row["sku"], row["node_id"], row["pool_id"]] += row["pool_units"]
    await change_quotas(connection, {key: -units for key, units in spent.items()}, spent)
