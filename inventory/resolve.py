"""What becomes of a reservation: confirmed, extended, released, expired, retaken.

The holder's reservations are locked first, in key order, so whoever gets there first decides and
the other finds nothing left to do. Their states decide, not clocks: a held reservation can be
confirmed until it has been swept.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

import asyncpg

from inventory import records
from inventory.locks import CapacityKey, StockKey, SupplyKey, lock
from inventory.pools import QuotaKey, change_quotas
from inventory.reserve import Demand, Refusal, changes, reserve

FROM_STATES = {"released": ("held", "confirmed"), "expired": ("held",)}
"""From which states each final state can be reached here."""


async def confirm(connection: asyncpg.Connection, holders: Iterable[UUID]) -> list[UUID]:
    """Confirm what the holders hold; return those that were held, in the order given."""
    chosen = list(dict.fromkeys(holders))
    await records.lock_reservations(connection, chosen, ("held",))
    confirmed = {row[0] for row in await records.confirm_reservations(connection, chosen)}
    return [holder for holder in chosen if holder in confirmed]


async def extend(connection: asyncpg.Connection, holder: UUID, expires_at: datetime) -> bool:
    """Let what the holder holds expire at `expires_at` instead; false when nothing is held."""
    await records.lock_reservations(connection, [holder], ("held",))
    return await records.extend_reservations(connection, holder, expires_at) != "UPDATE 0"


async def release(
    connection: asyncpg.Connection,
    holders: Iterable[UUID],
    *,
    state: Literal["released", "expired"] = "released",
) -> list[UUID]:
    """Give back all that the holders still have; return those that had something, in order.

    `released` ends held and confirmed reservations, `expired` held ones alone. Stock, what came
    from a pool to that pool, supply and capacity go back once, however often this is called. Capacity stays used at a node that has
    already dispatched part of the holder's goods: that work was done.
    """
    states = FROM_STATES[state]
    chosen = list(dict.fromkeys(holders))
    await records.lock_reservations(connection, chosen, states)
    ended = await records.end_reservations(connection, chosen, states, state)
    stock: Counter[StockKey] = Counter()
    supply: Counter[SupplyKey] = Counter()
    quotas: Counter[QuotaKey] = Counter()
    for _, sku, node_id, quantity, supply_id, pool_id, pool_units in ended:
        if supply_id is None:
            stock[sku, node_id] -= quantity
            if pool_id is not None:
                quotas[sku, node_id, pool_id] -= pool_units
        else:
            supply[sku, supply_id] -= quantity
    resolved = {row[0] for row in ended}
    if resolved:
        capacity = await _end_capacity_holds(connection, list(resolved))
        await lock(connection, stock=stock, supply=supply, capacity=capacity)
        await records.change_promises(connection, changes(stock), changes(supply))
        await change_quotas(connection, quotas)
        if capacity:
            used = [(*slot, units) for slot, units in capacity.items()]
            await records.give_back_capacity(connection, list(zip(*used, strict=True)))
    return [holder for holder in chosen if holder in resolved]


async def expire_due(
    connection: asyncpg.Connection,
    *,
    holder_kind: Literal["allocation", "staff"],
    limit: int,
    now: datetime | None = None,
) -> list[UUID]:
    """Expire what is held by at most `limit` holders and due by the database's clock, or `now`.

    Holders that someone is confirming, extending or releasing at this moment are passed over, whole
    and without waiting. Where holders have rows of their own that are locked first, as allocations
    have, lock those instead and call `release(…, state="expired")`.
    """
    locked = Counter(row[0] for row in await records.lock_due(connection, holder_kind, limit, now))
    # Someone may have locked one of a holder's rows and be about to wait for those we have locked.
    # Ending ours would leave the holder half confirmed, so only holders locked whole are ended.
    live = await records.count_live(connection, list(locked))
    due = [holder for holder, count in live if locked[holder] == count]
    return await release(connection, due, state="expired") if due else []


async def retake(
    connection: asyncpg.Connection,
    demand: Demand,
    *,
    state: Literal["held", "confirmed"] = "confirmed",
) -> Refusal | None:
    """Take the same plan again for a holder whose reservations have expired; None when taken.

    The caller names new reservations and holds a lock on the holder's own record. Raises ValueError
    when the holder still has live reservations: taking twice would promise the goods twice.
    """
    if await records.count_live(connection, [demand.holder_id]):
        raise ValueError(
            f"holder {demand.holder_id} still has live reservations; confirm or release them"
        )
    return (await reserve(connection, [demand], state=state))[0]


async def _end_capacity_holds(
    connection: asyncpg.Connection, holders: Sequence[UUID]
) -> Counter[CapacityKey]:
    """End the holders' capacity holds and sum what they give back by capacity row."""
    capacity: Counter[CapacityKey] = Counter()
    for node_id, work_on, slot, quantity in await records.end_capacity_holds(connection, holders):
        capacity[node_id, work_on, slot] += quantity
    return capacity
