"""Stock as other systems report and read it: feeds, movements, receipts, supply.

Writes run inside a transaction of the caller and refuse what names an unknown item or node. A
shortage they uncover is an event in the same transaction.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

import asyncpg
import msgspec
from msgspec import Meta

from inventory import items, ledger, nodes
from inventory import supply as inventory_supply
from inventory.buffers import buffer_at, read_rules
from inventory.ledger import DeltaRecord, FeedResult, Movement, Recorded, SnapshotRecord
from inventory.pool_records import find_pools
from inventory.pools import find_quotas
from inventory.quotas import Quota, protected
from inventory.supply import Receipt, Supply, SupplyShortage
from inventory.transfers import PREFIX as TRANSFERS
from services.planning import records
from services.planning.masterdata import verify_distinct, verify_known
from services.problems import Refused
from services.shortages import tell_shortages, tell_supply_shortages


class StockRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One sku at one node."""

    sku: str
    node_id: str
    on_hand: Annotated[int, Meta(description="Sum of its movements.")]
    reserved: Annotated[int, Meta(description="Sum of its live reservations.")]
    unavailable: Annotated[int, Meta(description="Damaged or in inspection.")]
    shortage: Annotated[int, Meta(description="Promised beyond what is there.")]
    buffer: Annotated[int, Meta(description="Kept back from the channel asked for.")]
    protected: Annotated[int, Meta(description="Kept for pools of other channels.")]
    available: Annotated[
        int,
        Meta(
            description="on_hand - reserved - unavailable - buffer - protected, never below zero."
        ),
    ]
    as_of: Annotated[datetime | None, Meta(description="Instant of its last snapshot.")]


class MovementAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One immutable change of a stock record."""

    movement_id: UUID
    sku: str
    node_id: str
    kind: str
    quantity: int
    happened_at: datetime
    recorded_at: datetime
    reference: str | None
    reason: str | None
    source: Annotated[str | None, Meta(description="The feed that reported it.")]
    actor: str


class SupplyPut(msgspec.Struct, frozen=True, kw_only=True):
    """What announcing supply led to."""

    count: int
    shortages: Annotated[
        list[SupplyShortage], Meta(description="Supplies promised beyond what they still bring.")
    ]


async def read_stock(
    connection: asyncpg.Connection,
    after: tuple[str, str],
    limit: int,
    *,
    skus: Sequence[str] | None,
    node_ids: Sequence[str] | None,
    channel: str,
) -> list[StockRecord]:
    """Return a page of stock records by sku and node, as `channel` may see them."""
    rows = await records.list_stock(connection, after, limit, skus=skus, node_ids=node_ids)
    rules = await read_rules(connection, sorted({row["sku"] for row in rows}), channel)
    pooled = [(row["sku"], row["node_id"]) for row in rows if row["pooled"]]
    quotas = await find_quotas(connection, pooled)
    pools = await find_pools(connection, [channel]) if pooled else {}
    return [
        stock_record(
            row,
            buffer_at(rules, row["sku"], row["node_id"], channel)[0],
            quotas.get((row["sku"], row["node_id"]), ()),
            pools.get(channel),
        )
        for row in rows
    ]


def stock_record(
    row: asyncpg.Record, buffer: int, quotas: Sequence[Quota], pool_id: str | None
) -> StockRecord:
    """Return the stock record in a row, less a buffer and what pools but `pool_id` have."""
    counters = {name: value for name, value in row.items() if name != "pooled"}
    free = row["on_hand"] - row["reserved"] - row["unavailable"] - buffer
    kept = protected(free, quotas, pool_id)
    return StockRecord(**counters, buffer=buffer, protected=kept, available=max(free - kept, 0))


async def read_movements(
    connection: asyncpg.Connection,
    sku: str,
    node_id: str | None,
    before: tuple[datetime, UUID] | None,
    limit: int,
) -> list[MovementAnswer]:
    """Return a page of a sku's movements, newest first."""
    rows = await records.list_movements(connection, sku, node_id, before, limit)
    return [MovementAnswer(**row) for row in rows]


async def snapshot(
    connection: asyncpg.Connection,
    source: str,
    sequence: int,
    given: Sequence[SnapshotRecord],
    actor: str,
) -> FeedResult:
    """Set records to what a source has counted.

    Raises `unknown-sku`, `unknown-node`, and `invalid-field` for figures that cannot be.
    """
    await verify_places(connection, {(each.sku, each.node_id) for each in given})
    try:
        result = await ledger.apply_snapshot(connection, source, sequence, given, actor)
    except ValueError as error:
        raise Refused("invalid-field", f"{error}.") from error
    await tell_shortages(connection, result.shortages, actor)
    return result


async def deltas(
    connection: asyncpg.Connection,
    source: str,
    sequence: int,
    given: Sequence[DeltaRecord],
    actor: str,
) -> FeedResult:
    """Add what a source says came in or went out; raises `unknown-sku` and `unknown-node`."""
    await verify_places(connection, {(each.sku, each.node_id) for each in given})
    result = await ledger.apply_deltas(connection, source, sequence, given, actor)
    await tell_shortages(connection, result.shortages, actor)
    return result


async def move(connection: asyncpg.Connection, movements: Sequence[Movement]) -> Recorded:
    """Record movements, all of them or none.

    Raises `duplicate-entry`, `unknown-sku`, `unknown-node`, `negative-stock` where a record cannot
    bear a movement, and `illegal-state` for the id of another movement.
    """
    verify_distinct("movement_id", (each.movement_id for each in movements))
    await verify_places(connection, {(each.sku, each.node_id) for each in movements})
    try:
        result = await ledger.record(connection, movements)
    except ledger.MovementRefused as error:
        raise Refused("negative-stock", f"{error}.", available=error.available) from error
    except ValueError as error:
        raise Refused("illegal-state", f"{error}.") from error
    await tell_shortages(connection, result.shortages, movements[0].actor)
    return result


async def announce(
    connection: asyncpg.Connection, given: Sequence[Supply], actor: str
) -> SupplyPut:
    """Add or replace expected supply.

    Raises `duplicate-entry`, `unknown-sku`, `unknown-node`, and `illegal-state` when a supply with
    promises would move to another node.
    """
    verify_distinct("supply", ((each.sku, each.supply_id) for each in given))
    verify_not_transfers(each.supply_id for each in given)
    await verify_places(connection, {(each.sku, each.node_id) for each in given})
    try:
        short = await inventory_supply.put_supply(connection, given)
    except ValueError as error:
        raise Refused("illegal-state", f"{error}.") from error
    await tell_supply_shortages(connection, short, actor)
    return SupplyPut(count=len(given), shortages=short)


async def receive(
    connection: asyncpg.Connection, receipts: Sequence[Receipt], node_ids: Collection[str] | None
) -> Recorded:
    """Record supply that came in, at `node_ids` only where given.

    Raises `duplicate-entry`; `unknown-reference` for a supply that does not exist, or not there;
    `illegal-state` for the id of another movement.
    """
    verify_distinct("movement_id", (each.movement_id for each in receipts))
    verify_not_transfers(each.supply_id for each in receipts)
    skus = sorted({each.sku for each in receipts})
    known = {
        (each.sku, each.supply_id)
        for each in await inventory_supply.get_supply(connection, skus)
        if node_ids is None or each.node_id in node_ids
    }
    missing = {(each.sku, each.supply_id) for each in receipts} - known
    verify_known(
        "unknown-reference", "supply", (f"{supply_id} of {sku}" for sku, supply_id in missing)
    )
    try:
        result = await inventory_supply.receive_supply(connection, receipts)
    except ValueError as error:
        raise Refused("illegal-state", f"{error}.") from error
    await tell_shortages(connection, result.shortages, receipts[0].actor)
    return result


def verify_not_transfers(supply_ids: Iterable[str]) -> None:
    """Raise `illegal-state` where supply is a transfer under way, which has calls of its own."""
    for supply_id in supply_ids:
        if supply_id.startswith(TRANSFERS):
            raise Refused(
                "illegal-state",
                f"{supply_id} is a transfer under way; ship or receive it at /v1/transfers.",
            )


async def verify_places(
    connection: asyncpg.Connection, places: Collection[tuple[str, str]]
) -> None:
    """Raise `unknown-sku` or `unknown-node` when a (sku, node) names what does not exist."""
    skus, node_ids = ({place[at] for place in places} for at in (0, 1))
    verify_known("unknown-sku", "item", await items.missing_items(connection, skus))
    verify_known("unknown-node", "node", await nodes.missing_nodes(connection, node_ids))
