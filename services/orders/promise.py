"""Until when a plan's dates hold, and what they become afterwards."""

from datetime import date, datetime, timedelta

import asyncpg
import msgspec

from inventory.capacity import move_capacity
from routing.plan import Fulfillment, Plan
from routing.promise import (
    delivery_promise,
    dispatch_date,
    dispatch_instant,
    local_instant,
    pickup_promise,
    start_date,
    worked_date,
)
from services.orders.answers import AllocationAnswer, FulfillmentAnswer, PromiseAnswer
from services.orders.records import AllocationRow
from services.planning.network import Network

DAY = timedelta(days=1)
LATER_DATES = 10
"""Work dates tried when a late confirm has to find capacity on another day."""


def valid_until(plan: Plan, network: Network, now: datetime) -> datetime | None:
    """Return the instant up to which confirming `plan` leaves its dates as they are.

    That is the earliest of its fulfillments' last cut-offs; none for an empty plan.
    """
    return min((last_cut_off(each, network, now) for each in plan.fulfillments), default=None)


def last_cut_off(fulfillment: Fulfillment, network: Network, now: datetime) -> datetime:
    """Return the last cut-off at which work for the fulfillment's date can still begin."""
    node = network.nodes[fulfillment.node_id]
    calendar = network.calendars[node.calendar_id]
    start = start_date(node, calendar, now)
    following = worked_date(calendar, start + DAY)
    while dispatch_date(node, calendar, following) <= fulfillment.work_on:
        start = following
        following = worked_date(calendar, start + DAY)
    return local_instant(start, node.cut_off, node.time_zone)


async def retimed(
    connection: asyncpg.Connection,
    row: AllocationRow,
    body: AllocationAnswer,
    *,
    network: Network,
    now: datetime,
) -> AllocationAnswer:
    """Return an allocation with dates that hold if it is confirmed now, its capacity moved along.

    A node that has been switched off since, or a lane that has gone, keeps its dates: the work was
    promised and stays there.
    """
    if body.promise_valid_until is None or now <= body.promise_valid_until:
        return body
    late = {
        (each.node, each.work_on): later_dates(each, network, now)
        for each in body.fulfillments
        if each.node in network.nodes
    }
    late = {at: dates for at, dates in late.items() if dates[0] > at[1]}
    moved = await move_capacity(connection, row.allocation_id, late)
    fulfillments = tuple(
        dated(each, moved[each.node, each.work_on], row.zone_id, network)
        if (each.node, each.work_on) in moved
        else each
        for each in body.fulfillments
    )
    return msgspec.structs.replace(body, fulfillments=fulfillments)


def later_dates(
    fulfillment: FulfillmentAnswer, network: Network, now: datetime
) -> tuple[date, ...]:
    """Return work dates for a fulfillment that starts now, the earliest first."""
    node = network.nodes[fulfillment.node]
    calendar = network.calendars[node.calendar_id]
    work_on = max(
        fulfillment.work_on, dispatch_date(node, calendar, start_date(node, calendar, now))
    )
    dates = [work_on]
    while len(dates) < LATER_DATES:
        dates.append(worked_date(calendar, dates[-1] + DAY))
    return tuple(dates)


def dated(
    fulfillment: FulfillmentAnswer, work_on: date, zone_id: str | None, network: Network
) -> FulfillmentAnswer:
    """Return a fulfillment whose work is done on `work_on`."""
    node = network.nodes[fulfillment.node]
    ship_by = dispatch_instant(node, work_on)
    promise = pickup_promise(work_on)
    if fulfillment.method == "ship":
        lanes = network.lanes.get(zone_id or "", {}).get(fulfillment.node, ())
        lane = next((lane for lane in lanes if lane.service == fulfillment.service), None)
        if lane is None:
            return fulfillment
        zone = network.zones[zone_id or ""]
        promise = delivery_promise(lane, network.calendars, ship_by, zone.time_zone)
    return msgspec.structs.replace(
        fulfillment,
        work_on=work_on,
        ship_by=ship_by,
        promise=PromiseAnswer(promise.earliest, promise.latest),
    )
