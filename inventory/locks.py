"""The locking step: rows locked in one order, and the values they have under the lock.

Everything that changes a counter goes through `lock`. The order, everywhere: reservations, stock,
supply, capacity, then inserts; within each table the order of its primary key, by the database's
own collation. Two transactions that lock in one order can wait for each other but never deadlock.

A decision may use the values returned here and nothing else: a table read in the same transaction
shows what it held before the wait, and deciding from that oversells.
"""

from collections.abc import Collection
from datetime import date, datetime
from typing import Any

import asyncpg
import msgspec

from inventory import records

StockKey = tuple[str, str]
"""sku, node_id"""
SupplyKey = tuple[str, str]
"""sku, supply_id"""
CapacityKey = tuple[str, date, str]
"""node_id, work_on, slot"""
NO_NODE = ""
"""Stands for the node in rows of capacity that count the places of a slot, named in `slot`."""


class StockRow(msgspec.Struct, frozen=True):
    """A stock record's counters under the lock."""

    on_hand: int
    reserved: int
    unavailable: int
    shortage: int
    as_of: datetime | None
    pooled: bool = False
    """Whether pools have rights here."""

    @property
    def free(self) -> int:
        """Units neither promised nor unavailable; below zero where there is a shortage."""
        return self.on_hand - self.unavailable - self.reserved


class SupplyRow(msgspec.Struct, frozen=True):
    """A supply row under the lock."""

    node_id: str
    expected_on: date
    quantity: int
    trust_percent: int
    received: int
    promised: int
    shortage: int
    days_late: int

    @property
    def promisable(self) -> int:
        """Units of what is still to come that may be promised in all."""
        return max(self.quantity - self.received, 0) * self.trust_percent // 100

    @property
    def free(self) -> int:
        """Units that may still be promised; below zero where there is a shortage."""
        return self.promisable - self.promised


class CapacityRow(msgspec.Struct, frozen=True):
    """A node's capacity for one local date and slot under the lock."""

    unit: str
    maximum: int
    used: int


class Locked(msgspec.Struct, frozen=True):
    """What was locked; a key that does not exist is absent."""

    stock: dict[StockKey, StockRow]
    supply: dict[SupplyKey, SupplyRow]
    capacity: dict[CapacityKey, CapacityRow]


async def lock(
    connection: asyncpg.Connection,
    *,
    stock: Collection[StockKey] = (),
    supply: Collection[SupplyKey] = (),
    capacity: Collection[CapacityKey] = (),
) -> Locked:
    """Lock the rows of these distinct keys and return their values under the lock.

    Statements that touch no row are not sent. Where tables are distributed and a `FOR UPDATE` over
    several shards is refused, this function alone changes to its `UPDATE … RETURNING` form.
    """
    stock_rows = await records.lock_stock(connection, *_columns(stock, 2)) if stock else []
    supply_rows = await records.lock_supply(connection, *_columns(supply, 2)) if supply else []
    capacity_rows = (
        await records.lock_capacity(connection, *_columns(capacity, 3)) if capacity else []
    )
    return Locked(
        stock={(row[0], row[1]): StockRow(*row[2:]) for row in stock_rows},
        supply={(row[0], row[1]): SupplyRow(*row[2:]) for row in supply_rows},
        capacity={(row[0], row[1], row[2]): CapacityRow(*row[3:]) for row in capacity_rows},
    )


def _columns(keys: Collection[tuple[object, ...]], width: int) -> list[list[Any]]:
    """Turn keys into arrays, one for each part."""
    return [[key[part] for key in keys] for part in range(width)]
