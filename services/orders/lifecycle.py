"""What can happen to an allocation after it was made, and who may ask for it.

Locks are taken in one order everywhere: the request's key, the allocation, its reservations, stock.
State decides, not clocks: a hold whose time is over can be confirmed until the sweeper has it.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
import msgspec

from inventory import resolve
from inventory.availability import read_cells
from inventory.reserve import CapacityTake, Demand, Refusal, Take
from services import records as shared_records
from services.database import Database
from services.ids import new_id, numbered
from services.keys import Principal
from services.orders import records
from services.orders.answers import AllocationAnswer
from services.orders.idempotency import Answer, answer
from services.orders.promise import retimed
from services.orders.records import AllocationRow
from services.orders.slot_changes import give_up, lock_places, missed, slots_of, takes_of
from services.orders.slots import arrival_told
from services.orders.translate import DAY_SLOT
from services.planning.network import Network
from services.problems import Refused

SWEEP_LIMIT = 100
"""Allocations expired in one transaction: orders for the same goods wait for its end."""

LEGAL: dict[str, tuple[str, ...]] = {
    "held": ("confirm", "extend", "transfer", "release", "cancel"),
    "confirmed": ("confirm", "cancel"),
    "expired": ("confirm", "release"),
    "released": ("release",),
    "cancelled": ("cancel",),
}
"""Calls that an allocation's state allows; one that asks for what is already so changes nothing."""


def told(row: AllocationRow) -> AllocationAnswer:
    """Return an allocation as its row stands now."""
    body = msgspec.json.decode(row.body, type=AllocationAnswer)
    status = body.status if row.state == "held" else row.state
    return msgspec.structs.replace(body, status=status, expires_at=row.expires_at)


async def find(connection: asyncpg.Connection, allocation_id: UUID) -> AllocationRow:
    """Return an allocation; raises `not-found`."""
    row = await records.find_allocation(connection, allocation_id)
    if row is None:
        raise unknown(allocation_id)
    return row


def may_see(principal: Principal, row: AllocationRow) -> bool:
    """Tell whether an allocation as promised concerns a key: a bound one made it or is to work on it."""
    if not principal.is_bound or row.actor == principal.actor:
        return True
    return not {each.node for each in told(row).fulfillments}.isdisjoint(principal.node_ids)


def unknown(allocation_id: UUID) -> Refused:
    """Return the refusal for an allocation that does not exist."""
    return Refused("not-found", f"There is no allocation {allocation_id}.")


async def lock(connection: asyncpg.Connection, allocation_id: UUID, call: str) -> AllocationRow:
    """Return an allocation, locked, whose state allows `call`.

    Raises `not-found`; `illegal-state` with the calls that are allowed.
    """
    row = await records.lock_allocation(connection, allocation_id)
    if row is None:
        raise unknown(allocation_id)
    if call not in LEGAL[row.state]:
        raise Refused(
            "illegal-state",
            f"The allocation is {row.state}; it allows {', '.join(LEGAL[row.state])}.",
            state=row.state,
            allowed=LEGAL[row.state],
        )
    return row


async def confirm(
    connection: asyncpg.Connection, allocation_id: UUID, *, actor: str, network: Network
) -> Answer:
    """Turn a hold into a firm promise, with dates computed anew when they no longer hold.

    After expiry the same stock is taken again, all of it or nothing. Raises `not-found`,
    `illegal-state`, `hold-expired`.
    """
    row = await lock(connection, allocation_id, "confirm")
    if row.state == "confirmed":
        return answer(200, told(row))
    # Reservations are locked before capacity, which dates computed anew may move.
    if row.state == "held" and not await resolve.confirm(connection, [allocation_id]):
        raise RuntimeError(f"allocation {allocation_id} is held but has no held reservation")
    now = await shared_records.database_now(connection)
    body = await dated_anew(connection, row, network=network, now=now, actor=actor)
    if row.state == "expired":
        await retake(connection, row, body, actor=actor, network=network)
        body = msgspec.structs.replace(body, retaken=True)
    body = msgspec.structs.replace(body, status="confirmed", expires_at=None)
    await records.set_body(connection, allocation_id, msgspec.json.encode(body), None)
    await change(connection, [allocation_id], "confirmed", actor)
    return answer(200, body)


async def dated_anew(
    connection: asyncpg.Connection,
    row: AllocationRow,
    *,
    network: Network,
    now: datetime,
    actor: str,
) -> AllocationAnswer:
    """Return an allocation with dates that hold if it is confirmed now, and the slots they keep."""
    before = told(row)
    await lock_places(connection, before)
    body = await retimed(connection, row, before, network=network, now=now)
    if body is before or not slots_of(body):
        return body
    arrivals = [arrival_told(each) for each in body.fulfillments]
    lost = missed(slots_of(body), arrivals, network, row.zone_id)
    return await give_up(connection, body, lost, actor)


async def retake(
    connection: asyncpg.Connection,
    row: AllocationRow,
    body: AllocationAnswer,
    *,
    actor: str,
    network: Network,
) -> None:
    """Take an expired allocation's stock again; raises `hold-expired` when some of it is gone.

    Also `order-already-allocated` when the order has been allocated anew since.
    """
    # The order may be allocated anew at this moment; whoever has this lock first decides.
    await shared_records.lock_names(connection, [records.order_lock(row.order_id)])
    live = (await records.find_live(connection, [row.order_id])).get(row.order_id)
    if live is not None:
        raise Refused(
            "order-already-allocated",
            f"The hold expired and order {row.order_id} was allocated again as "
            f"{live.allocation_id}; confirm that one.",
            allocation_id=str(live.allocation_id),
        )
    demand = await same_demand(connection, row, body, actor=actor, network=network)
    refusal: Refusal | None = await resolve.retake(connection, demand)
    if refusal is not None:
        where = refusal.node_id or f"slot {refusal.slot} on {refusal.work_on}"
        raise Refused(
            "hold-expired",
            f"The hold ended at {row.expires_at:%Y-%m-%dT%H:%M:%SZ} and its stock is gone: {where} has "
            f"{refusal.available} of the {refusal.needed} needed. Allocate the order again.",
        )


async def same_demand(
    connection: asyncpg.Connection,
    row: AllocationRow,
    body: AllocationAnswer,
    *,
    actor: str,
    network: Network,
) -> Demand:
    """Return what an allocation took, to be taken again under new reservation ids."""
    skus = sorted({line.sku for each in body.fulfillments for line in each.lines})
    now = await shared_records.database_now(connection)
    cells = await read_cells(connection, skus, channel=row.channel, today=now.date())
    buffers = {(cell.sku, cell.node_id): cell.buffer for cell in cells}
    again = new_id()
    parts = [(each, line) for each in body.fulfillments for line in each.lines]
    takes = [
        Take(
            reservation_id=numbered(again, number),
            line_id=line.line_id,
            sku=line.sku,
            node_id=each.node,
            quantity=line.quantity,
            buffer=buffers.get((line.sku, each.node), 0),
            supply_id=line.supply_id,
            promise_on=each.promise.latest,
        )
        for number, (each, line) in enumerate(parts)
    ]
    return Demand(
        holder_kind="allocation",
        holder_id=row.allocation_id,
        actor=actor,
        expires_at=now,
        channel=row.channel,
        takes=tuple(takes),
        capacity=takes_of(slots_of(body))
        + tuple(
            CapacityTake(
                node_id=each.node,
                work_on=each.work_on,
                slot=DAY_SLOT,
                orders=1,
                units=sum(line.quantity for line in each.lines),
            )
            for each in body.fulfillments
            if each.node in network.limited
        ),
    )


async def extend(
    connection: asyncpg.Connection,
    allocation_id: UUID,
    *,
    hold_s: int,
    total_s: int,
    actor: str,
) -> Answer:
    """Hold for `hold_s` seconds from now on; never shortens a hold.

    Raises `not-found`, `illegal-state`, `hold-too-long` beyond `total_s` seconds in all.
    """
    row = await lock(connection, allocation_id, "extend")
    now = await shared_records.database_now(connection)
    expires_at = now + timedelta(seconds=hold_s)
    latest = row.created_at + timedelta(seconds=total_s)
    if expires_at > latest:
        raise Refused(
            "hold-too-long",
            f"An allocation can be held until {latest:%Y-%m-%dT%H:%M:%SZ} at most, "
            f"{total_s} s after it was made; confirm it.",
        )
    if row.expires_at is not None and expires_at > row.expires_at:
        if not await resolve.extend(connection, allocation_id, expires_at):
            raise RuntimeError(f"allocation {allocation_id} is held but has no held reservation")
        await records.set_body(connection, allocation_id, row.body, expires_at)
        row = msgspec.structs.replace(row, expires_at=expires_at)
        await emit(connection, "allocation.extended", row.order_id, actor, allocation_id)
    return answer(200, told(row))


async def release(connection: asyncpg.Connection, allocation_id: UUID, *, actor: str) -> Answer:
    """Give a hold back, for a basket that was left; raises `not-found`, `illegal-state`."""
    return await end(connection, allocation_id, "release", "released", actor)


async def cancel(connection: asyncpg.Connection, allocation_id: UUID, *, actor: str) -> Answer:
    """Give back what is held or confirmed; raises `not-found`, `illegal-state`."""
    return await end(connection, allocation_id, "cancel", "cancelled", actor)


async def end(
    connection: asyncpg.Connection, allocation_id: UUID, call: str, state: str, actor: str
) -> Answer:
    """Return all stock of an allocation and end it in `state`; ended ones stay as they are."""
    row = await lock(connection, allocation_id, call)
    if row.state in ("held", "confirmed"):
        await give_back(connection, [allocation_id], state, actor)
        row = msgspec.structs.replace(row, state=state)
    return answer(200, told(row))


async def expire_due(database: Database) -> int:
    """Return the stock of all holds whose time is over; say how many there were."""

    async def work(connection: asyncpg.Connection) -> int:
        due = await records.lock_expired(connection, SWEEP_LIMIT)
        if due:
            await give_back(connection, due, "expired", "system:expiry", {"reason": "time"})
        return len(due)

    ended = count = await database.run(work)
    while count == SWEEP_LIMIT:
        count = await database.run(work)
        ended += count
    return ended


async def give_back(
    connection: asyncpg.Connection,
    allocation_ids: list[UUID],
    state: str,
    actor: str,
    facts: Mapping[str, str] | None = None,
) -> None:
    """End locked allocations in `state`, return what they hold, and write the event of it.

    Their own rows are written first: from when the stock is locked, orders for it wait.
    """
    changed = await records.set_state(connection, allocation_ids, state)
    await resolve.release(
        connection, allocation_ids, state="expired" if state == "expired" else "released"
    )
    await tell(connection, changed, state, actor, facts)


async def change(
    connection: asyncpg.Connection,
    allocation_ids: list[UUID],
    state: str,
    actor: str,
    facts: Mapping[str, str] | None = None,
) -> None:
    """Set the state of locked allocations and write the event of it, with more facts if given."""
    changed = await records.set_state(connection, allocation_ids, state)
    await tell(connection, changed, state, actor, facts)


async def tell(
    connection: asyncpg.Connection,
    changed: list[tuple[UUID, str]],
    state: str,
    actor: str,
    facts: Mapping[str, str] | None,
) -> None:
    """Write that allocations, given with their orders, are in `state` now."""
    await shared_records.insert_events(
        connection,
        [
            event(f"allocation.{state}", order_id, actor, allocation_id, facts)
            for allocation_id, order_id in changed
        ],
    )


async def end_short(
    connection: asyncpg.Connection, allocation_id: UUID, actor: str, facts: Mapping[str, str]
) -> bool:
    """End a hold before its time, whose goods are not there; False when it is no hold any more.

    From now on is when it has ended: a checkout that asks must not read of a time to come.
    """
    row = await records.lock_allocation(connection, allocation_id)
    if row is None or row.state != "held":
        return False
    now = await shared_records.database_now(connection)
    await records.set_body(connection, allocation_id, row.body, now)
    facts = {"reason": "shortage", **facts}
    await give_back(connection, [allocation_id], "expired", actor, facts)
    return True


async def emit(
    connection: asyncpg.Connection, kind: str, order_id: str, actor: str, allocation_id: UUID
) -> None:
    """Write one event of an allocation."""
    await shared_records.insert_events(connection, [event(kind, order_id, actor, allocation_id)])


def event(
    kind: str,
    order_id: str,
    actor: str,
    allocation_id: UUID,
    facts: Mapping[str, str] | None = None,
) -> shared_records.Event:
    """Return an event of an allocation."""
    told: dict[str, object] = {"allocation_id": str(allocation_id), **(facts or {})}
    return shared_records.Event(new_id(), kind, order_id, actor, told)
