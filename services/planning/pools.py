"""Allocation pools as a planner keeps them: whom each is for, what it has, and where that goes."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated

import asyncpg
import msgspec
from msgspec import Meta

from inventory import items, nodes, pool_records, pools
from inventory.pools import Grant, QuotaKey, QuotaUsedError, Shift
from inventory.quotas import Quota
from services.ids import new_id
from services.planning.masterdata import verify_distinct, verify_known
from services.problems import Refused
from services.records import Event, insert_events


class PoolAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A share of stock, and the channels it is kept for."""

    pool_id: str
    name: str
    channels: Annotated[
        list[str], Meta(description="They take from it first; each from one pool at most.")
    ]
    changed_at: datetime


class QuotaAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What a pool has of one sku at one node: `quantity = used + consumed + left`."""

    pool_id: str
    sku: str
    node_id: str
    quantity: Annotated[int, Meta(description="Units given to it in all.")]
    used: Annotated[int, Meta(description="Of them, in orders that are held or confirmed.")]
    consumed: Annotated[int, Meta(description="Of them, gone with goods that left.")]
    left: Annotated[int, Meta(description="Of them, still to be taken; kept from other channels.")]


class QuotaShown(QuotaAnswer, frozen=True, kw_only=True):
    """A quota beside the stock that it is a right to."""

    backed: Annotated[
        int, Meta(description="Of `left`, units for which there is unpromised stock now.")
    ]


class Units(msgspec.Struct, frozen=True, kw_only=True):
    """Units of one sku at one node."""

    sku: str
    node_id: str
    quantity: int


async def put_pool(
    connection: asyncpg.Connection,
    pool_id: str,
    name: str,
    channels: Sequence[str],
    *,
    actor: str,
) -> PoolAnswer:
    """Add a pool or replace its name and channels; return it.

    Raises `duplicate-entry` for a channel named twice, `channel-in-pool` for one of another pool.
    """
    verify_distinct("channel", channels)
    known = await pool_records.find_pools(connection, channels)
    for channel, other in sorted(known.items()):
        if other != pool_id:
            raise Refused(
                "channel-in-pool",
                f"Channel {channel} takes from pool {other}; take it out of that one first.",
            )
    try:
        await pool_records.put_pool(connection, pool_id, name, channels)
    except asyncpg.UniqueViolationError as error:
        # Another planner was quicker between the look and the write.
        raise Refused(
            "channel-in-pool", f"A channel of {', '.join(channels)} takes from another pool now."
        ) from error
    await tell(connection, "pool.changed", pool_id, {"channels": sorted(channels)}, actor)
    return await find(connection, pool_id)


async def find(connection: asyncpg.Connection, pool_id: str) -> PoolAnswer:
    """Return a pool; raises `not-found`."""
    rows = await pool_records.list_pools(connection, [pool_id], "", None)
    if not rows:
        raise Refused("not-found", f"There is no pool {pool_id}.")
    return PoolAnswer(**rows[0])


async def list_pools(connection: asyncpg.Connection, after: str, limit: int) -> list[PoolAnswer]:
    """Return a page of pools by their id."""
    rows = await pool_records.list_pools(connection, None, after, limit)
    return [PoolAnswer(**row) for row in rows]


async def list_quotas(
    connection: asyncpg.Connection,
    pool_id: str,
    after: tuple[str, str],
    limit: int,
    *,
    skus: Sequence[str] | None,
    node_ids: Sequence[str] | None,
) -> list[QuotaShown]:
    """Return a page of a pool's quotas by sku and node; raises `not-found`."""
    await find(connection, pool_id)
    rows = await pool_records.list_quotas(
        connection, pool_id, after, limit, skus=skus, node_ids=node_ids
    )
    return [shown(row) for row in rows]


def shown(row: asyncpg.Record) -> QuotaShown:
    """Return a quota with how much of it there is stock for."""
    left = row["quantity"] - row["used"] - row["consumed"]
    fields = {name: value for name, value in row.items() if name != "free"}
    return QuotaShown(**fields, left=left, backed=max(min(left, row["free"]), 0))


async def allocate(
    connection: asyncpg.Connection,
    pool_id: str,
    units: Sequence[Units],
    *,
    adds: bool,
    actor: str,
) -> list[QuotaAnswer]:
    """Give a pool these units in all, or these units more with `adds`; return its quotas there.

    Raises `not-found`, `duplicate-entry`, `unknown-sku`, `unknown-node`, and `quota-used` below
    what its orders have.
    """
    await verify(connection, pool_id, units)
    grants = [
        Grant(sku=each.sku, node_id=each.node_id, pool_id=pool_id, quantity=each.quantity)
        for each in units
    ]
    give = pools.add_quotas if adds else pools.put_quotas
    try:
        quotas = await give(connection, grants)
    except QuotaUsedError as error:
        raise used(error) from error
    await tell(connection, "pool.allocated", pool_id, {"lines": lines_of(quotas)}, actor)
    return answers(quotas)


async def reallocate(
    connection: asyncpg.Connection,
    pool_id: str,
    to_pool_id: str | None,
    units: Sequence[Units],
    *,
    actor: str,
) -> list[QuotaAnswer]:
    """Move units that a pool has left to another, or to the common stock; return both's quotas.

    Raises as `allocate` does, and `quota-used` where fewer are left.
    """
    await verify(connection, pool_id, units)
    if to_pool_id is not None:
        await find(connection, to_pool_id)
    shifts = [
        Shift(
            sku=each.sku,
            node_id=each.node_id,
            from_pool_id=pool_id,
            to_pool_id=to_pool_id,
            quantity=each.quantity,
        )
        for each in units
    ]
    try:
        quotas = await pools.reallocate(connection, shifts)
    except QuotaUsedError as error:
        raise used(error) from error
    facts: dict[str, object] = {"to_pool_id": to_pool_id, "lines": lines_of(quotas)}
    await tell(connection, "pool.reallocated", pool_id, facts, actor)
    return answers(quotas)


async def verify(connection: asyncpg.Connection, pool_id: str, units: Sequence[Units]) -> None:
    """Raise `not-found`, `duplicate-entry`, `unknown-sku` and `unknown-node`."""
    await find(connection, pool_id)
    verify_distinct("quota", [(each.sku, each.node_id) for each in units])
    skus, node_ids = {each.sku for each in units}, {each.node_id for each in units}
    verify_known("unknown-sku", "item", await items.missing_items(connection, skus))
    verify_known("unknown-node", "node", await nodes.missing_nodes(connection, node_ids))


def used(error: QuotaUsedError) -> Refused:
    """Return the refusal of a change that would take what orders have."""
    sku, node_id, pool_id = error.key
    quota = error.quota
    return Refused(
        "quota-used",
        f"Pool {pool_id} has {quota.quantity} of {sku} at {node_id}: {quota.used} are in orders, "
        f"{quota.consumed} have left, and {quota.left} can be taken from it. Nothing has changed.",
        left=quota.left,
    )


def answers(quotas: Mapping[QuotaKey, Quota]) -> list[QuotaAnswer]:
    """Return quotas by sku, node and pool."""
    return [
        QuotaAnswer(
            pool_id=pool_id,
            sku=sku,
            node_id=node_id,
            quantity=quota.quantity,
            used=quota.used,
            consumed=quota.consumed,
            left=quota.left,
        )
        for (sku, node_id, pool_id), quota in sorted(quotas.items())
    ]


def lines_of(quotas: Mapping[QuotaKey, Quota]) -> list[dict[str, object]]:
    """Return quotas as events tell of them."""
    return [
        {
            "pool_id": pool_id,
            "sku": sku,
            "node_id": node_id,
            "quantity": quota.quantity,
            "left": quota.left,
        }
        for (sku, node_id, pool_id), quota in sorted(quotas.items())
    ]


async def tell(
    connection: asyncpg.Connection, kind: str, pool_id: str, facts: dict[str, object], actor: str
) -> None:
    """Append an event about a pool."""
    payload = {"pool_id": pool_id, **facts}
    await insert_events(connection, [Event(new_id(), kind, pool_id, actor, payload)])
