"""A quoted change is made: taken, given up, and written in one transaction, or not at all."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from uuid import UUID

import asyncpg
import msgspec
from msgspec import UNSET

from inventory.capacity import move_capacity
from inventory.give_back import NotHeldError, Part, give_back, move
from inventory.locks import StockKey, SupplyKey, lock
from inventory.reserve import CapacityTake, Demand, Refusal, Take
from services.fulfillment import create
from services.fulfillment import records as work_records
from services.fulfillment.cancel import outcome_of, settle
from services.fulfillment.events import Units, event, sum_minor, units_of
from services.fulfillment.leftovers import any_waits
from services.fulfillment.records import Work
from services.fulfillment.steps import moved
from services.ids import new_id, numbered
from services.orders import lifecycle
from services.orders import records as order_records
from services.orders.answers import AllocationAnswer
from services.orders.translate import DAY_SLOT
from services.problems import Refused
from services.records import Event, database_now, insert_events
from services.returns import amended_slots, records
from services.returns.amend import held, told
from services.returns.amendments import AmendAnswer, Kept
from services.returns.placing import Means

Cell = tuple[str, str, str, str | None]
"""line_id, sku, node_id, supply_id"""
Day = tuple[str, date]
"""node_id, local date of the work"""


async def apply(
    connection: asyncpg.Connection, means: Means, order_id: str, amendment_id: UUID, *, actor: str
) -> AmendAnswer:
    """Make a change as it was quoted. Raises `not-found`, `illegal-state`, `quote-outdated`.

    Locks come in the order of all: the allocation, its work, the quote, then stock. Where the work
    has gone on or the stock has gone since the quote, nothing has changed.
    """
    live = (await order_records.find_live(connection, [order_id])).get(order_id)
    if live is None:
        raise Refused("not-found", f"There is no live order {order_id}.")
    row = await lifecycle.lock(connection, live.allocation_id, "cancel")
    if row.state != "confirmed":
        raise held(row)
    works = await work_records.lock_of_allocation(connection, row.allocation_id)
    kept = await lock_quote(connection, order_id, amendment_id)
    if kept.allocation_id != row.allocation_id:
        raise Refused(
            "quote-outdated",
            f"The quote was for allocation {kept.allocation_id}, and the order has been allocated "
            f"anew as {row.allocation_id}; quote the change again.",
        )
    units = given_up(kept)
    await verify_work(connection, works, units)
    body = msgspec.json.decode(row.body, type=AllocationAnswer)
    if kept.slots is not UNSET:
        # Places of slots come between stock and what nodes can do, as everybody locks them.
        stock, supply = cells_of(balance(kept, works))
        await lock(connection, stock=stock, supply=supply)
        body = await amended_slots.exchange(connection, kept, body)
    await exchange_stock(connection, means, kept, works, actor)
    left = await give_up(connection, works, kept, actor)
    made = await make(connection, means, kept, body, actor)
    body = msgspec.structs.replace(body, fulfillments=(*body.fulfillments, *kept.fulfillments))
    encoded = msgspec.json.encode(body)
    await records.set_plan(connection, row.allocation_id, encoded, kept.zone_id or row.zone_id)
    await records.set_applied(connection, order_id, amendment_id)
    given = msgspec.structs.replace(
        told(kept),
        state="applied",
        fulfillment_orders=tuple(work.order.fulfillment_order_id for work in made),
    )
    await tell(connection, given, left, actor)
    return given


async def lock_quote(connection: asyncpg.Connection, order_id: str, amendment_id: UUID) -> Kept:
    """Return a quote that may be applied, locked; raises `not-found`, `illegal-state`, `quote-outdated`."""
    found = await records.lock_amendment(connection, order_id, amendment_id)
    if found is None:
        raise Refused("not-found", f"There is no amendment {amendment_id} of order {order_id}.")
    if found["applied_at"] is not None:
        raise Refused(
            "illegal-state",
            f"The change was made at {found['applied_at']:%Y-%m-%dT%H:%M:%SZ}; quote another one.",
            state="applied",
            allowed=(),
        )
    if found["valid_until"] < await database_now(connection):
        raise Refused(
            "quote-outdated",
            f"The quote was valid until {found['valid_until']:%Y-%m-%dT%H:%M:%SZ}; quote it again.",
        )
    return msgspec.json.decode(found["quote"], type=Kept)


def given_up(kept: Kept) -> dict[UUID, Units]:
    """Return the units that each fulfillment order gives up, by part."""
    units: dict[UUID, Counter[int]] = {}
    for each in (*kept.gives_up, *kept.moves):
        units.setdefault(each.fulfillment_order_id, Counter())[each.part] += each.quantity
    return {work_id: dict(parts) for work_id, parts in units.items()}


async def verify_work(
    connection: asyncpg.Connection, works: Sequence[Work], units: Mapping[UUID, Units]
) -> None:
    """Raise `quote-outdated` unless the units can still be taken from their nodes at once."""
    kinds = await work_records.find_node_kinds(connection, [each.order.node_id for each in works])
    by_id = {work.order.fulfillment_order_id: work for work in works}
    for work_id, parts in units.items():
        work = by_id[work_id]
        free = outcome_of(work, kinds.get(work.order.node_id)) == "cancelled"
        lines = {line.part: line for line in work.lines}
        if not free or any(lines[part].to_pick < asked for part, asked in parts.items()):
            raise Refused(
                "quote-outdated",
                f"{work.order.node_id} has gone on with its work since ({work.order.state}, "
                f"{work.order.request_state}); nothing has changed. Quote the change again.",
            )


async def exchange_stock(
    connection: asyncpg.Connection,
    means: Means,
    kept: Kept,
    works: Sequence[Work],
    actor: str,
) -> None:
    """Take what the change needs and give up what it frees; raises `quote-outdated`.

    What stays at its node for the same line is neither taken nor freed: its reservation goes on.
    """
    gives, takes = balance(kept, works)
    parts = [
        Part(line_id=key[0], sku=key[1], node_id=key[2], supply_id=key[3], quantity=units)
        for key, units in gives.items()
    ]
    needed, spared = work_changes(kept, works, means.network.limited)
    refusal: Refusal | None = None
    try:
        if takes:
            demand = msgspec.structs.replace(
                demand_of(kept, takes, actor), capacity=tuple(needed.values())
            )
            refusal = await move(
                connection, kept.allocation_id, parts, demand, spared=list(spared.values())
            )
        elif parts:
            await give_back(connection, kept.allocation_id, parts, spared=list(spared.values()))
    except NotHeldError as error:
        raise Refused("quote-outdated", f"{error}; quote the change again.") from error
    if refusal is not None:
        raise Refused(
            "quote-outdated",
            f"{refusal.node_id} has {refusal.available} of the {refusal.needed} units that were "
            "quoted; nothing has changed. Quote the change again.",
        )
    if not takes:
        # The same nodes do the same units, on other dates.
        moves = {
            at: [on for node_id, on in needed if node_id == at[0]]
            for at in spared
            if any(node_id == at[0] for node_id, _ in needed)
        }
        await move_capacity(connection, kept.allocation_id, moves)


def work_changes(
    kept: Kept, works: Sequence[Work], limited: frozenset[str]
) -> tuple[dict[Day, CapacityTake], dict[Day, CapacityTake]]:
    """Return the work that nodes get by a change, and that they are spared, by node and date.

    Where both are the same, the node's capacity is left as it is: a node that is full can keep what
    it has. A node that gives up units for good alone is not asked anything.
    """
    needed = {
        (each.node, each.work_on): CapacityTake(
            node_id=each.node,
            work_on=each.work_on,
            slot=DAY_SLOT,
            orders=1,
            units=sum(line.quantity for line in each.lines),
        )
        for each in kept.fulfillments
        if each.node in limited
    }
    units = given_up(kept)
    spared = {
        (work.order.node_id, work.order.work_on): CapacityTake(
            node_id=work.order.node_id,
            work_on=work.order.work_on,
            slot=DAY_SLOT,
            orders=int(all(line.left == less.get(line.part, 0) for line in work.lines)),
            units=sum(less.values()),
        )
        for work in works
        if (less := units.get(work.order.fulfillment_order_id))
    }
    same = {at for at, take in needed.items() if spared.get(at) == take}
    return (
        {at: take for at, take in needed.items() if at not in same},
        {at: take for at, take in spared.items() if at not in same},
    )


def balance(kept: Kept, works: Sequence[Work]) -> tuple[Counter[Cell], Counter[Cell]]:
    """Return what is given up and what is taken, each without what they have in common."""
    supplies = {
        (work.order.fulfillment_order_id, line.part): line.supply_id
        for work in works
        for line in work.lines
    }
    gives: Counter[Cell] = Counter()
    takes: Counter[Cell] = Counter()
    for cut in (*kept.gives_up, *kept.moves):
        supply_id = supplies[cut.fulfillment_order_id, cut.part]
        gives[cut.line_id, cut.sku, cut.node_id, supply_id] += cut.quantity
    for each in kept.fulfillments:
        for line in each.lines:
            takes[line.line_id, line.sku, each.node, line.supply_id] += line.quantity
    return gives - takes, takes - gives


def cells_of(balanced: Sequence[Counter[Cell]]) -> tuple[set[StockKey], set[SupplyKey]]:
    """Return the stock and the supply that a change takes from or gives back to."""
    cells = {cell for each in balanced for cell in each}
    return (
        {(sku, node_id) for _, sku, node_id, supply_id in cells if supply_id is None},
        {(sku, supply_id) for _, sku, _, supply_id in cells if supply_id is not None},
    )


def demand_of(kept: Kept, takes: Counter[Cell], actor: str) -> Demand:
    """Return what a change takes of the stock."""
    named = new_id()
    buffers = {(each.sku, each.node_id): each.quantity for each in kept.buffers}
    promised = {
        (line.line_id, line.sku, each.node, line.supply_id): each.promise.latest
        for each in kept.fulfillments
        for line in each.lines
    }
    return Demand(
        holder_kind="allocation",
        holder_id=kept.allocation_id,
        actor=actor,
        expires_at=kept.valid_until,
        channel=kept.channel,
        takes=tuple(
            Take(
                reservation_id=numbered(named, number),
                line_id=key[0],
                sku=key[1],
                node_id=key[2],
                quantity=units,
                buffer=buffers.get((key[1], key[2]), 0),
                supply_id=key[3],
                promise_on=promised[key],
            )
            for number, (key, units) in enumerate(sorted(takes.items(), key=str))
        ),
    )


async def give_up(
    connection: asyncpg.Connection, works: Sequence[Work], kept: Kept, actor: str
) -> list[Work]:
    """Count units as cancelled in their work, which ends where nothing is left; return that work."""
    now = await database_now(connection)
    units = given_up(kept)
    before = [work for work in works if work.order.fulfillment_order_id in units]
    if not before:
        return []
    saved = await work_records.save(
        connection, [without(work, units[work.order.fulfillment_order_id], now) for work in before]
    )
    await insert_events(
        connection,
        [given_up_event(old, new, kept, actor) for old, new in zip(before, saved, strict=True)],
    )
    return saved


def given_up_event(before: Work, after: Work, kept: Kept, actor: str) -> Event:
    """Return the event of work that has become less; what goes elsewhere is not voided."""
    work_id = after.order.fulfillment_order_id
    gone = {
        each.part: each.quantity for each in kept.gives_up if each.fulfillment_order_id == work_id
    }
    return event(
        "amended" if after.order.state == before.order.state else "cancelled",
        after.order,
        actor,
        amendment_id=str(kept.amendment_id),
        lines=units_of(before.lines, given_up(kept)[work_id]),
        amounts_minor={"void": sum_minor(before.lines, gone)},
    )


def without(work: Work, units: Units, now: datetime) -> Work:
    """Return locked work without some units that nobody has picked; it ends when nothing is left."""
    lines = tuple(
        msgspec.structs.replace(line, cancelled=line.cancelled + units.get(line.part, 0))
        for line in work.lines
    )
    if any(line.left for line in lines):
        return Work(work.order, lines)
    return moved(work, "cancel", lines, now)


async def make(
    connection: asyncpg.Connection, means: Means, kept: Kept, body: AllocationAnswer, actor: str
) -> list[Work]:
    """Make the new work of a change; where none is left and nothing waits, the allocation ends."""
    if not kept.fulfillments:
        if not await any_waits(connection, kept.allocation_id):
            await settle(connection, kept.allocation_id, actor)
        return []
    supplement = msgspec.structs.replace(body, fulfillments=kept.fulfillments)
    return await create.make(connection, supplement, actor=actor, settings=means.settings)


async def tell(
    connection: asyncpg.Connection, given: AmendAnswer, left: Sequence[Work], actor: str
) -> None:
    """Append the event of a change as the whole order sees it."""
    payload: dict[str, object] = {
        "amendment_id": str(given.amendment_id),
        "allocation_id": str(given.allocation_id),
        "changes": [msgspec.structs.asdict(each) for each in given.changes],
        "zone_id": given.zone_id,
        "fulfillment_order_ids": [str(each) for each in given.fulfillment_orders],
        "given_up_by": [str(each.order.fulfillment_order_id) for each in left],
        "amounts_minor": {"add": given.add_minor, "void": given.void_minor},
    }
    await insert_events(
        connection, [Event(new_id(), "order.amended", given.order_id, actor, payload)]
    )
