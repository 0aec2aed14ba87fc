"""Units change places: what one node gives up becomes work of others, in one transaction.

The new place is taken before the old one is freed. What no plan covers is given back, and its units
are in the exceptions queue from the same moment.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec

from inventory.give_back import Part, give_back, move
from inventory.reserve import CapacityTake, Demand, Refusal, Take, reserve
from routing.plan import Fulfillment
from services import records as shared_records
from services.database import Database
from services.fulfillment import records
from services.fulfillment.answers import standing
from services.fulfillment.create import created, submitted
from services.fulfillment.events import Units, event, units_of, whole
from services.fulfillment.records import FulfillmentLine, FulfillmentOrder, Work
from services.fulfillment.resource import Found, Need, Want
from services.fulfillment.slot_keeping import keep_slots
from services.fulfillment.states import is_legal
from services.fulfillment.steps import moved
from services.ids import new_id, numbered
from services.orders.answers import cost_answer
from services.orders.translate import DAY_SLOT
from services.planning.network import Network
from services.settings import Settings

Key = tuple[str, str]
"""line_id, sku"""


class Means(msgspec.Struct, frozen=True):
    """What finding another place works with."""

    database: Database
    network: Network
    settings: Settings


class LostRaceError(Exception):
    """What was planned is gone, or the work has changed meanwhile: plan again."""

    def __init__(self, refusal: Refusal | None = None) -> None:
        """Keep what did not fit, where that was it."""
        super().__init__(f"lost: {refusal}")
        self.refusal = refusal


def need_of(work: Work, units: Units) -> Need:
    """Return what the units of some work need, with its node left out."""
    order = work.order
    lines = [line for line in work.lines if units.get(line.part)]
    summed: Counter[Key] = Counter()
    for line in lines:
        summed[line.line_id, line.sku] += units[line.part]
    stays = any(line.dispatched or line.left > units.get(line.part, 0) for line in work.lines)
    store = order.node_id if order.method == "pickup" else order.pickup_node
    return Need(
        order_id=order.order_id,
        allocation_id=order.allocation_id,
        wants=wants_of(summed),
        method="ship" if store is None else "ship_to_store" if order.pickup_node else "pickup",
        pickup_node=store,
        promise_latest=order.promise_latest,
        parcels=0 if stays else 1,
        backorder=any(line.supply_id is not None for line in lines),
        failed=frozenset((order.node_id, line.sku) for line in lines),
        near=store,
    )


def wants_of(units: Counter[Key]) -> tuple[Want, ...]:
    """Return units by line as a need has them, in order."""
    return tuple(
        Want(line_id=line_id, sku=sku, quantity=quantity)
        for (line_id, sku), quantity in sorted(units.items())
        if quantity
    )


async def pass_on(
    connection: asyncpg.Connection,
    work: Work,
    units: Units,
    found: Found | None,
    *,
    means: Means,
    actor: str,
) -> tuple[Work, list[Work]]:
    """Take units from locked work and give them to the nodes of a plan, as far as it goes.

    Returns the work as it is now and the work made. The rest of the units is given back. Raises
    `LostRaceError` with nothing changed that the caller does not roll back.
    """
    order = work.order
    parts = [
        Part(
            line_id=line.line_id,
            sku=line.sku,
            node_id=order.node_id,
            quantity=units[line.part],
            supply_id=line.supply_id,
        )
        for line in work.lines
        if units.get(line.part)
    ]
    spared = [spared_by(work, units)]
    made = await new_work(connection, work, found, means, actor) if found else []
    if found is not None and made:
        demand = demand_of(order.allocation_id, found, means.network.limited, actor)
        refusal = await move(connection, order.allocation_id, parts, demand, spared=spared)
        if refusal is not None:
            raise LostRaceError(refusal)
    else:
        await give_back(connection, order.allocation_id, parts, spared=spared)
    now = await shared_records.database_now(connection)
    (saved,) = await records.save(connection, [after_loss(work, units, now)])
    await write_new(connection, saved, made, found, actor)
    if made:
        await keep_slots(connection, means.network, order.allocation_id, actor)
    return saved, made


def spared_by(work: Work, units: Units) -> CapacityTake:
    """Return the work that a node no longer has to do: the order itself once nothing is left."""
    over = all(not line.dispatched and line.left == units.get(line.part, 0) for line in work.lines)
    return CapacityTake(
        node_id=work.order.node_id,
        work_on=work.order.work_on,
        slot=DAY_SLOT,
        orders=int(over),
        units=sum(units.values()),
    )


def after_loss(work: Work, units: Units, now: datetime) -> Work:
    """Return work without some of its units; it ends when nothing is left of it."""
    lines = tuple(without(line, units.get(line.part, 0)) for line in work.lines)
    if any(line.left for line in lines):
        return Work(work.order, lines)
    how = "reject" if is_legal("reject", standing(work.order)) else "cancel"
    return moved(work, how, lines, now)


def without(line: FulfillmentLine, units: int) -> FulfillmentLine:
    """Return a line with units rejected: those not picked yet first."""
    return msgspec.structs.replace(
        line, rejected=line.rejected + units, picked=line.picked - max(units - line.to_pick, 0)
    )


def demand_of(allocation_id: UUID, found: Found, limited: frozenset[str], actor: str) -> Demand:
    """Return what a plan takes, for the allocation whose units it places."""
    named = new_id()
    lines = [(each, line) for each in found.plan.fulfillments for line in each.lines]
    takes = tuple(
        Take(
            reservation_id=numbered(named, number),
            line_id=found.wants[int(line.line_id)].line_id,
            sku=line.sku,
            node_id=each.node_id,
            quantity=line.quantity,
            buffer=found.buffers.get((line.sku, each.node_id), 0),
            supply_id=line.supply_id,
            promise_on=each.promise.latest,
        )
        for number, (each, line) in enumerate(lines)
    )
    return Demand(
        holder_kind="allocation",
        holder_id=allocation_id,
        actor=actor,
        expires_at=found.now,
        channel=found.channel,
        takes=takes,
        capacity=tuple(
            CapacityTake(
                node_id=each.node_id,
                work_on=each.work_on,
                slot=DAY_SLOT,
                orders=1,
                units=sum(line.quantity for line in each.lines),
            )
            for each in found.plan.fulfillments
            if each.node_id in limited
        ),
    )


async def take_up(
    connection: asyncpg.Connection,
    origin: Work,
    found: Found,
    *,
    means: Means,
    actor: str,
) -> list[Work]:
    """Reserve a plan for units that no node has, and make its work; return that.

    `origin` is the locked work that gave them up. Raises `LostRaceError` when it does not fit.
    """
    made = await new_work(connection, origin, found, means, actor)
    if not made:
        return []
    demand = demand_of(origin.order.allocation_id, found, means.network.limited, actor)
    refusal = (await reserve(connection, [demand], state="confirmed"))[0]
    if refusal is not None:
        raise LostRaceError(refusal)
    await write_new(connection, origin, made, found, actor)
    await keep_slots(connection, means.network, origin.order.allocation_id, actor)
    return made


async def new_work(
    connection: asyncpg.Connection, origin: Work, found: Found, means: Means, actor: str
) -> list[Work]:
    """Return the work of a plan, to be written once its stock is taken.

    It is asked of its nodes at once where `origin` was due, unless a hold keeps the order back.
    """
    now = await shared_records.database_now(connection)
    named = new_id()
    works = [
        work_of(origin, each, found, numbered(named, number), means.settings.currency)
        for number, each in enumerate(found.plan.fulfillments)
    ]
    works = [
        Work(
            msgspec.structs.replace(work.order, actor=actor, created_at=now, changed_at=now),
            work.lines,
        )
        for work in works
    ]
    order = origin.order
    if order.release_at > now or await records.find_held(connection, [order.order_id]):
        return works
    return [submitted(work, now, means.settings.answer_limit_s) for work in works]


def work_of(
    origin: Work, each: Fulfillment, found: Found, fulfillment_order_id: UUID, currency: str
) -> Work:
    """Return the work of one fulfillment of a plan, not yet submitted."""
    order = origin.order
    made = FulfillmentOrder(
        order_id=order.order_id,
        fulfillment_order_id=fulfillment_order_id,
        allocation_id=order.allocation_id,
        node_id=each.node_id,
        method=each.method,
        service=each.service,
        pickup_node=each.pickup_node if each.method == "ship_to_store" else None,
        curbside=order.curbside and each.method != "ship",
        attempt=order.attempt + 1,
        replaces=order.fulfillment_order_id,
        work_on=each.work_on,
        ship_by=each.ship_by,
        promise_earliest=each.promise.earliest,
        promise_latest=each.promise.latest,
        weight_grams=each.weight_grams,
        cost=msgspec.json.encode(cost_answer(each.cost, currency)).decode(),
        release_at=order.release_at,
        actor=order.actor,
        created_at=found.now,
        changed_at=found.now,
    )
    prices = {(line.line_id, line.sku): line.unit_price_minor for line in origin.lines}
    lines = []
    for part, line in enumerate(each.lines):
        line_id = found.wants[int(line.line_id)].line_id
        lines.append(
            FulfillmentLine(
                part=part,
                line_id=line_id,
                sku=line.sku,
                supply_id=line.supply_id,
                quantity=line.quantity,
                unit_price_minor=prices.get((line_id, line.sku)),
            )
        )
    return Work(made, tuple(lines))


async def write_new(
    connection: asyncpg.Connection,
    origin: Work,
    made: Sequence[Work],
    found: Found | None,
    actor: str,
) -> None:
    """Add new work, and the events of where it came from."""
    if not made:
        return
    await records.insert_works(connection, made)
    told = [created(work, actor) for work in made]
    told += [
        event(
            "moved",
            work.order,
            actor,
            replaces=str(origin.order.fulfillment_order_id),
            from_node_id=origin.order.node_id,
            lines=units_of(work.lines, whole(work)),
            promise_latest=work.order.promise_latest.isoformat(),
            worse=list(found.worse) if found else [],
        )
        for work in made
    ]
    told += [
        event("submitted", work.order, actor)
        for work in made
        if work.order.request_state == "submitted"
    ]
    await shared_records.insert_events(connection, told)
