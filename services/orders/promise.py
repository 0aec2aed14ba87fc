"""Until when a plan's dates hold, and what they become afterwards."""

from collections.abc import Iterable
from contextlib import suppress
from datetime import date, datetime, time, timedelta

import asyncpg
import msgspec

from inventory.capacity import move_capacity
from routing.plan import Fulfillment, Promise
from routing.problem import Lane
from routing.promise import (
    NeverError,
    collection_promise,
    delivery_promise,
    dispatch_date,
    dispatch_instant,
    local_instant,
    pickup_promise,
    start_date,
    worked_date,
)
from services.orders.answers import AllocationAnswer, FulfillmentAnswer, PromiseAnswer, pickups_of
from services.orders.records import AllocationRow
from services.planning.network import Network

DAY = timedelta(days=1)
LATER_DATES = 10
"""Work dates tried when a late confirm has to find capacity on another day."""


def last_cut_off(
    fulfillment: Fulfillment, network: Network, now: datetime, collected: time | None = None
) -> datetime:
    """Return the last cut-off at which work for the fulfillment's date can still begin.

    `collected` is when its carrier collects, if at a time of its own.
    """
    node = network.nodes[fulfillment.node_id]
    calendar = network.calendars[node.calendar_id]
    start = start_date(node, calendar, now, collected)
    # A node that works on no later date, as a seasonal one at its end, can begin on none.
    with suppress(NeverError):
        following = worked_date(calendar, start + DAY, time_zone=node.time_zone)
        while dispatch_date(node, calendar, following) <= fulfillment.work_on:
            start = following
            following = worked_date(calendar, start + DAY, time_zone=node.time_zone)
    cut_offs = (node.cut_off, collected or node.cut_off)
    return min(local_instant(start, at, node.time_zone) for at in cut_offs)


async def retimed(
    connection: asyncpg.Connection,
    row: AllocationRow,
    body: AllocationAnswer,
    *,
    network: Network,
    now: datetime,
) -> AllocationAnswer:
    """Return an allocation with dates that hold if it is confirmed now, its capacity moved along.

    Work keeps its dates, and its capacity, where nothing else can be promised any more: its node
    has been switched off or has closed for good, or its lane has gone.
    """
    if body.promise_valid_until is None or now <= body.promise_valid_until:
        return body
    late = {
        (each.node, each.work_on): dates
        for each in body.fulfillments
        if (dates := later_dates(each, row.zone_id, network, now)) and dates[0] > each.work_on
    }
    moved = await move_capacity(connection, row.allocation_id, late)
    fulfillments = tuple(
        dated(each, moved[each.node, each.work_on], row.zone_id, network)
        if (each.node, each.work_on) in moved
        else each
        for each in body.fulfillments
    )
    pickups = pickups_of(fulfillments)
    return msgspec.structs.replace(body, fulfillments=fulfillments, pickups=pickups)


def later_dates(
    fulfillment: FulfillmentAnswer, zone_id: str | None, network: Network, now: datetime
) -> tuple[date, ...]:
    """Return work dates for a fulfillment that starts now, the earliest first; none when never."""
    node = network.nodes.get(fulfillment.node)
    lane = lane_of(fulfillment, zone_id, network) if fulfillment.method != "pickup" else None
    if node is None or (fulfillment.method != "pickup" and lane is None):
        return ()
    calendar = network.calendars[node.calendar_id]
    dates: list[date] = []
    with suppress(NeverError):
        collected = lane.cut_off if lane else None
        first = dispatch_date(node, calendar, start_date(node, calendar, now, collected))
        dates.append(max(fulfillment.work_on, first))
        while len(dates) < LATER_DATES:
            dates.append(worked_date(calendar, dates[-1] + DAY, time_zone=node.time_zone))
    return tuple(dates)


def lane_of(fulfillment: FulfillmentAnswer, zone_id: str | None, network: Network) -> Lane | None:
    """Return the lane on which a fulfillment is sent; none when it is not in use any more."""
    store = fulfillment.pickup_node
    return lane_from(network, fulfillment.node, fulfillment.service, zone_id, store)


def dated(
    fulfillment: FulfillmentAnswer, work_on: date, zone_id: str | None, network: Network
) -> FulfillmentAnswer:
    """Return a fulfillment whose work is done on `work_on`."""
    node = network.nodes[fulfillment.node]
    ship_by = dispatch_instant(node, work_on)
    promise = pickup_promise(work_on)
    if fulfillment.method != "pickup":
        lane = lane_of(fulfillment, zone_id, network)
        if lane is None:
            return fulfillment
        ship_by = dispatch_instant(node, work_on, lane.cut_off)
        promise = arrival(network, lane, ship_by, zone_id)
    return msgspec.structs.replace(
        fulfillment,
        work_on=work_on,
        ship_by=ship_by,
        promise=PromiseAnswer(promise.earliest, promise.latest),
    )


def lane_from(
    network: Network, node_id: str, service: str | None, zone_id: str | None, store: str | None
) -> Lane | None:
    """Return the lane by which a node sends to a zone or a store; none when it is gone."""
    lanes: Iterable[Lane] = network.lanes.get(zone_id or "", {}).get(node_id, ())
    if store is not None:
        lanes = (lane for lane in network.lanes_to(None, [store]) if lane.node_id == node_id)
    return next((lane for lane in lanes if lane.service == service), None)


def arrival(network: Network, lane: Lane, ship_by: datetime, zone_id: str | None) -> Promise:
    """Return the dates on which the customer has what leaves by `ship_by` on a lane."""
    if lane.to_node is None:
        zone = network.zones[zone_id or ""]
        return delivery_promise(lane, network.calendars, ship_by, zone.time_zone)
    store = network.nodes[lane.to_node]
    there = delivery_promise(lane, network.calendars, ship_by, store.time_zone)
    return collection_promise(store, network.calendars[store.calendar_id], there)
