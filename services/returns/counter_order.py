"""A reservation at a counter becomes an order: shipped to the customer, or taken along at once.

The units never become free in between: the reservation is given up and the allocation taken under
one lock. The plan has no choice of node, so it needs no strategy; it has a price and dates.
"""

import asyncio
import secrets
from datetime import timedelta
from uuid import UUID

import asyncpg
import msgspec

from inventory import resolve
from inventory.availability import Cell
from inventory.items import get_items
from inventory.nodes import read_capacity
from inventory.reserve import CapacityTake, Demand, Take, reserve
from services import records as shared_records
from services.fulfillment import create, departures, resource, steps
from services.fulfillment import records as work_records
from services.fulfillment.answers import AllocationWithWork, brief, with_work
from services.fulfillment.departures import Departure
from services.fulfillment.resource import CAPACITY_DAYS, Facts, Found, Need, Want
from services.fulfillment.steps import Ask
from services.ids import new_id, numbered
from services.orders import counter, handover_records, lifecycle
from services.orders import records as order_records
from services.orders.answers import AllocationAnswer, quote_answer
from services.orders.counter import LINE, ReservationAnswer
from services.orders.handover import verify_free
from services.orders.translate import DAY_SLOT
from services.planning.network import Zone
from services.problems import Refused
from services.records import Event
from services.returns import placing
from services.returns.placing import Means


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What a reservation is to become."""

    order_id: str
    channel: str
    zone: Zone | None
    """Where it is shipped to; none when the customer takes it at the node where it is."""
    unit_price_minor: int | None
    request_hash: bytes
    confirmed: bool
    """Whether it is paid."""
    taken_along: bool
    """Whether the customer takes it now."""
    actor: str


async def plan(means: Means, found: ReservationAnswer, asked: Asked) -> Found:
    """Return the plan for a reservation at its node; raises `illegal-state`.

    That is where it has ended or is on its way, or the node cannot ship it there or hand it over.
    """
    verify_here(found)
    async with means.database.connect() as connection:
        facts = await facts_of(connection, means, found, asked)
    need = Need(
        order_id=asked.order_id,
        allocation_id=found.reservation_id,
        wants=(Want(line_id=LINE, sku=found.sku, quantity=found.quantity),),
        method="ship" if asked.zone else "pickup",
        pickup_node=None if asked.zone else found.at_node_id,
        promise_latest=facts.now.date(),
    )
    best = await asyncio.to_thread(
        resource.best,
        means.network,
        placing.fresh(need, facts.now),
        facts,
        means.settings.resource_ms,
    )
    if best.units < found.quantity:
        does = f"ship to {asked.zone.zone_id}" if asked.zone else "hand goods over"
        raise Refused(
            "illegal-state",
            f"{found.at_node_id} cannot {does} at present; bring the units to another node first.",
            state=found.status,
            allowed=("release", "extend"),
        )
    return best


def verify_here(found: ReservationAnswer) -> None:
    """Raise `illegal-state` unless a reservation is held and its units are in one place."""
    if found.order_id is not None:
        raise Refused(
            "illegal-state",
            f"The reservation has become order {found.order_id} already.",
            state=found.status,
            allowed=(),
        )
    if found.status != "held" or found.in_transit:
        where = f", {found.in_transit} units in transit" if found.in_transit else ""
        raise Refused(
            "illegal-state",
            f"The reservation is {found.status}{where}; only what is held and there becomes an "
            "order.",
            state=found.status,
            allowed=("release", "extend") if found.status == "held" else (),
        )


async def facts_of(
    connection: asyncpg.Connection, means: Means, found: ReservationAnswer, asked: Asked
) -> Facts:
    """Return what planning has to know of a reservation's node."""
    now = await shared_records.database_now(connection)
    limited = sorted({found.at_node_id} & means.network.limited)
    since = (now - timedelta(days=1)).date()
    cell = Cell(
        sku=found.sku,
        node_id=found.at_node_id,
        on_hand=found.quantity,
        reserved=0,
        unavailable=0,
        shortage=0,
        buffer=0,
        buffer_rule=None,
        available=found.quantity,
    )
    return Facts(
        now=now,
        channel=asked.channel,
        zone=asked.zone,
        items={item.sku: item for item in await get_items(connection, [found.sku])},
        cells=[cell],
        capacity=await read_capacity(connection, limited, since, CAPACITY_DAYS) if limited else [],
    )


async def order(
    connection: asyncpg.Connection,
    means: Means,
    reservation: ReservationAnswer,
    found: Found,
    asked: Asked,
) -> AllocationWithWork:
    """Turn a reservation into an order by a plan, held, confirmed or handed over at once.

    Raises `order-already-allocated`, `illegal-state` where it has changed since it was planned,
    `insufficient-stock` where a count has found less, and what the steps of the work raise.
    """
    await shared_records.lock_names(connection, [order_records.order_lock(asked.order_id)])
    await verify_free(connection, asked.order_id)
    holder = reservation.reservation_id
    await counter.call_off(connection, reservation, actor=asked.actor)
    if not await resolve.release(connection, [holder]):
        verify_here(await counter.find(connection, holder))
    verify_same(reservation, await counter.find(connection, holder))
    allocation_id = new_id()
    body = body_of(means, reservation, found, asked, allocation_id)
    await take(connection, means, body, asked, reservation)
    await handover_records.insert_allocation(
        connection,
        (
            asked.order_id,
            allocation_id,
            asked.channel,
            asked.zone.zone_id if asked.zone else None,
            asked.request_hash,
            msgspec.json.encode(body),
            asked.actor,
            reservation.expires_at,
        ),
    )
    await handover_records.set_counter_order(connection, holder, asked.order_id, allocation_id)
    await tell(connection, reservation, asked, allocation_id)
    if asked.confirmed or asked.taken_along:
        await create.confirm(
            connection,
            allocation_id,
            actor=asked.actor,
            network=means.network,
            settings=means.settings,
        )
    if asked.taken_along:
        await hand_over(connection, allocation_id, asked.actor)
    told = lifecycle.told(await lifecycle.find(connection, allocation_id))
    works = await work_records.find_of_allocation(connection, allocation_id)
    return with_work(told, [brief(work.order) for work in works])


def verify_same(before: ReservationAnswer, now: ReservationAnswer) -> None:
    """Raise `illegal-state` where a reservation has moved or been split since it was planned."""
    if (before.at_node_id, before.quantity) != (now.at_node_id, now.quantity):
        raise Refused(
            "illegal-state",
            f"The reservation has changed meanwhile: {now.quantity} units at {now.at_node_id}. "
            "Send the call again.",
            state=now.status,
            allowed=(),
        )


def body_of(
    means: Means, reservation: ReservationAnswer, found: Found, asked: Asked, allocation_id: UUID
) -> AllocationAnswer:
    """Return the allocation as it is told."""
    prices = {}
    if asked.unit_price_minor is not None:
        prices[LINE, reservation.sku] = asked.unit_price_minor
    told = quote_answer(found.plan, 0, means.settings.resource_ms, means.settings.currency)
    return AllocationAnswer(
        allocation_id=allocation_id,
        order_id=asked.order_id,
        status="held",
        expires_at=reservation.expires_at,
        promise_valid_until=found.now,
        fulfillments=placing.fulfillments(found, prices, means.settings.currency),
        shortfalls=(),
        cost=told.cost,
        solver=told.solver,
        decision=f"/v1/allocations/{allocation_id}/decision",
    )


async def take(
    connection: asyncpg.Connection,
    means: Means,
    body: AllocationAnswer,
    asked: Asked,
    reservation: ReservationAnswer,
) -> None:
    """Take the units that the reservation has just given up, and the node's capacity.

    Raises `insufficient-stock`.
    """
    (each,) = body.fulfillments
    demand = Demand(
        holder_kind="allocation",
        holder_id=body.allocation_id,
        actor=asked.actor,
        expires_at=reservation.expires_at,
        channel=counter.CHANNEL,
        promised=True,
        takes=tuple(
            Take(
                reservation_id=numbered(body.allocation_id, number),
                line_id=line.line_id,
                sku=line.sku,
                node_id=each.node,
                quantity=line.quantity,
                promise_on=each.promise.latest,
            )
            for number, line in enumerate(each.lines)
        ),
        capacity=(
            CapacityTake(
                node_id=each.node,
                work_on=each.work_on,
                slot=DAY_SLOT,
                orders=1,
                units=reservation.quantity,
            ),
        )
        if each.node in means.network.limited
        else (),
    )
    refusal = (await reserve(connection, [demand]))[0]
    if refusal is not None:
        raise Refused(
            "insufficient-stock",
            f"{refusal.node_id} has {refusal.available} of the {refusal.needed} needed "
            f"({refusal.what}); the reservation stays as it was.",
            available=refusal.available,
        )


async def hand_over(connection: asyncpg.Connection, allocation_id: UUID, actor: str) -> None:
    """Let the customer take an order along: all the steps of its node at once."""
    (work,) = await work_records.lock_of_allocation(connection, allocation_id)
    ask, work_id = Ask(actor=actor), work.order.fulfillment_order_id
    if work.order.request_state == "unsubmitted":
        await create.submit(connection, [work], answer_limit_s=0, actor=actor)
    await steps.pick(connection, work_id, ask)
    code = secrets.token_hex(3).upper()
    await departures.ready(connection, work_id, ask, code=code, collect_days=1)
    gone = await departures.hand_over(
        connection, work_id, ask, Departure(departure_id=new_id(), code=code), tries_max=1
    )
    if isinstance(gone, Refused):
        raise gone


async def tell(
    connection: asyncpg.Connection,
    reservation: ReservationAnswer,
    asked: Asked,
    allocation_id: UUID,
) -> None:
    """Append the events: of the reservation that has become an order, and of the allocation."""
    link: dict[str, object] = {
        "reservation_id": str(reservation.reservation_id),
        "node_id": reservation.at_node_id,
        "order_id": asked.order_id,
        "allocation_id": str(allocation_id),
    }
    held: dict[str, object] = {
        "allocation_id": str(allocation_id),
        "complete": True,
        "reservation_id": str(reservation.reservation_id),
    }
    subject = str(reservation.reservation_id)
    await shared_records.insert_events(
        connection,
        [
            Event(new_id(), "reservation.ordered", subject, asked.actor, link),
            Event(new_id(), "allocation.held", asked.order_id, asked.actor, held),
        ],
    )
