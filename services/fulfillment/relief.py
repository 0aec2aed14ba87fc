"""Promises without goods behind them are given to other nodes, the weakest promise first.

A count or a feed found less than was promised, or a supply brings less, or later. Holds that nobody
has confirmed end; confirmed units move where they can; the rest is for a person.
"""

from datetime import date, timedelta

import asyncpg
import msgspec

from inventory.capacity import move_capacity
from routing.problem import Lane
from routing.promise import (
    dispatch_date,
    dispatch_instant,
    pickup_promise,
    start_date,
    worked_date,
)
from services import records as shared_records
from services.fulfillment import exceptions, exceptions_records, records
from services.fulfillment.events import Units, event
from services.fulfillment.exceptions import Unit
from services.fulfillment.exceptions_records import Promise, Short, Slip
from services.fulfillment.giving_up import Proposal
from services.fulfillment.leftovers import about, unit_of
from services.fulfillment.moves import Means
from services.fulfillment.records import Work
from services.fulfillment.slot_keeping import keep_slots
from services.fulfillment.steps import lock
from services.fulfillment.tables import LIVE_STATES
from services.fulfillment.withdrawal import keeps_promise, places_all, said, withdraw
from services.orders import counter, lifecycle
from services.orders.promise import arrival, lane_from
from services.planning.network import Network

ACTOR = "system:relief"
PROMISES_MAX = 500
"""Promises looked at for one place that is short, in one look."""
DAY = timedelta(days=1)
LATER_DATES = 10
"""Work dates tried for work whose goods come later."""


async def relieve(means: Means, place: Short) -> int:
    """Resolve what is promised beyond what a place has; say how many promises were dealt with."""
    async with means.database.connect() as connection:
        promises = await exceptions_records.find_promises(connection, place, PROMISES_MAX)
        left = await exceptions_records.shortage_at(connection, place)
    done = 0
    for promise in promises:
        if left <= 0:
            break
        if promise.state == "held":
            done += await end_hold(means, place, promise)
            async with means.database.connect() as connection:
                left = await exceptions_records.shortage_at(connection, place)
        elif promise.holder_kind == "allocation":
            units, helped = await relieve_order(means, place, promise, left)
            left -= units
            done += helped
    return done


async def end_hold(means: Means, place: Short, promise: Promise) -> int:
    """End a hold that nobody has confirmed, and say why; 0 when somebody has, meanwhile."""

    async def work(connection: asyncpg.Connection) -> int:
        holder = promise.holder_id
        if promise.holder_kind == "allocation":
            lacking = {"sku": place.sku, "node_id": place.node_id}
            return int(await lifecycle.end_short(connection, holder, ACTOR, lacking))
        if promise.holder_kind != "staff":
            return 0
        return int(await counter.end_short(connection, holder, ACTOR))

    return await means.database.run(work)


async def relieve_order(
    means: Means, place: Short, promise: Promise, short: int
) -> tuple[int, int]:
    """Move confirmed units of one order away from a place that is `short` of so many.

    Returns how many units of the shortage this accounts for, and whether anything was done now:
    what is in the exceptions queue already waits for its turn there.
    """
    async with means.database.connect() as connection:
        works = await records.find_of_allocation(connection, promise.holder_id)
        known = [
            await exceptions_records.is_known(
                connection, "short", str(work.order.fulfillment_order_id)
            )
            for work in works
        ]
    accounted, helped = 0, 0
    for work, is_queued in zip(works, known, strict=True):
        units = waiting_units(work, place, promise, short - accounted)
        if not units:
            continue
        accounted += sum(units.values())
        if is_queued:
            continue
        why = said(units, "short", ACTOR)
        unfit = await withdraw(means, work, units, why, places_all)
        if unfit is not None and unfit.found is not None and unfit.found.units:
            fewer = fewer_units(units, unfit.found.units)
            unfit = await withdraw(means, work, fewer, said(fewer, "short", ACTOR), places_all)
        helped += 1
        if unfit is not None:
            await queue_short(means, work, place, unfit)
    return accounted, helped


def waiting_units(work: Work, place: Short, promise: Promise, most: int) -> Units:
    """Return the units of some work that stand on a promise and that nobody has picked."""
    order = work.order
    if order.node_id != place.node_id or order.state not in LIVE_STATES:
        return {}
    left = min(most, promise.quantity)
    units = {}
    for line in work.lines:
        if (line.line_id, line.sku) == (promise.line_id, place.sku) and line.to_pick:
            taken = min(left, line.to_pick)
            left -= taken
            if taken > 0:
                units[line.part] = taken
    return units


def fewer_units(units: Units, count: int) -> dict[int, int]:
    """Return `count` of some units."""
    fewer = {}
    for part, quantity in units.items():
        taken = min(quantity, count)
        count -= taken
        if taken:
            fewer[part] = taken
    return fewer


async def queue_short(means: Means, work: Work, place: Short, unfit: Proposal) -> None:
    """Put units into the queue whose goods are not there and that nobody else can give."""
    lines = tuple(
        unit_of(line, unfit.units[line.part]) for line in work.lines if line.part in unfit.units
    )

    async def write(connection: asyncpg.Connection) -> None:
        now = await lock(connection, work.order.fulfillment_order_id)
        if now.order.state in LIVE_STATES and await exceptions_records.shortage_at(
            connection, place
        ):
            details: dict[str, object] = {"supply_id": place.supply_id}
            if unfit.choices:
                details["choices"] = list(unfit.choices)
            cause = str(work.order.fulfillment_order_id)
            await exceptions.open_exception(
                connection, "short", cause, about(now, lines, **details), actor=ACTOR
            )

    await means.database.run(write)


async def put_off(means: Means, slip: Slip) -> int:
    """Deal with work whose supply comes later than it was to be worked off; 1 when it was.

    It moves where the promise can be kept. Else it gets the dates that are true now, and is in the
    queue as late if that is after what was promised.
    """
    undated = f"{slip.fulfillment_order_id} {slip.expected_on}"
    async with means.database.connect() as connection:
        work = await records.find(connection, slip.fulfillment_order_id)
        is_queued = await exceptions_records.is_known(connection, "late", undated)
    if work is None or work.order.state not in LIVE_STATES or is_queued:
        return 0
    units = {
        line.part: line.to_pick
        for line in work.lines
        if line.supply_id is not None and line.to_pick
    }
    why = said(units, "late", ACTOR)
    if units and await withdraw(means, work, units, why, keeps_promise) is None:
        return 1

    async def write(connection: asyncpg.Connection) -> int:
        now = await lock(connection, slip.fulfillment_order_id)
        if now.order.version != work.order.version:
            return 0
        if not await redate(connection, means.network, now, slip.expected_on):
            # Its node is switched off or its lane gone: no date can be told.
            given = about(now, left_lines(now), supply_on=slip.expected_on.isoformat())
            await exceptions.open_exception(connection, "late", undated, given, actor=ACTOR)
        return 1

    return await means.database.run(write)


async def redate(
    connection: asyncpg.Connection, network: Network, work: Work, there_on: date
) -> bool:
    """Give locked work the dates that follow from its goods being there on `there_on`.

    False, with nothing changed, where its node or its lane is not in use any more.
    """
    order = work.order
    node = network.nodes.get(order.node_id)
    sent = None if order.method == "pickup" else await lane_for(connection, network, work)
    if node is None or (order.method != "pickup" and sent is None):
        return False
    collected = sent[0].cut_off if sent else None
    calendar = network.calendars[node.calendar_id]
    # Goods that come today, told of after the cut-off, are not worked off today.
    now = await shared_records.database_now(connection)
    first = start_date(node, calendar, now, collected)
    start_on = worked_date(calendar, max(first, there_on), time_zone=node.time_zone)
    dates = [dispatch_date(node, calendar, start_on)]
    while len(dates) < LATER_DATES:
        dates.append(worked_date(calendar, dates[-1] + DAY, time_zone=node.time_zone))
    at = (order.node_id, order.work_on)
    work_on = (await move_capacity(connection, order.allocation_id, {at: dates}))[at]
    ship_by = dispatch_instant(node, work_on, collected)
    promise = arrival(network, sent[0], ship_by, sent[1]) if sent else pickup_promise(work_on)
    await exceptions_records.set_dates(
        connection, order.fulfillment_order_id, work_on, ship_by, (promise.earliest, promise.latest)
    )
    await keep_slots(connection, network, order.allocation_id, ACTOR)
    changed = msgspec.structs.replace(
        order, work_on=work_on, promise_latest=promise.latest, version=order.version + 1
    )
    told = {
        "promised_on": order.promise_latest.isoformat(),
        "expected_on": promise.latest.isoformat(),
    }
    await shared_records.insert_events(
        connection, [event("delayed", changed, ACTOR, work_on=work_on.isoformat(), **told)]
    )
    if promise.latest > order.promise_latest:
        given = about(Work(changed, work.lines), left_lines(work), **told)
        cause = str(order.fulfillment_order_id)
        await exceptions.open_exception(connection, "late", cause, given, actor=ACTOR)
    return True


def left_lines(work: Work) -> tuple[Unit, ...]:
    """Return what work still has to dispatch, as the exceptions queue has it."""
    return tuple(unit_of(line, line.left) for line in work.lines if line.left)


async def lane_for(
    connection: asyncpg.Connection, network: Network, work: Work
) -> tuple[Lane, str | None] | None:
    """Return the lane on which work is sent and the zone; none when it is not there any more."""
    row = await lifecycle.find(connection, work.order.allocation_id)
    order = work.order
    lane = lane_from(network, order.node_id, order.service, row.zone_id, order.pickup_node)
    return None if lane is None else (lane, row.zone_id)
