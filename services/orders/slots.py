"""Slots that a customer has chosen: checked, planned for, and kept or refused.

An order with a slot is planned by the service that delivers in it, with the slot's date as the date
that every line is wanted by, at a price above all money: if any plan keeps it, the one found does.
"""

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta

import msgspec

from inventory.locks import NO_NODE
from inventory.slots import Slot, places_key
from inventory.view import StockView
from routing.basket import Basket
from routing.plan import Fulfillment, Plan
from routing.problem import Line, Policy
from routing.promise import clocks, local_date, local_instant, works_on
from services.orders.answers import FulfillmentAnswer, Money, SlotAnswer
from services.orders.holding import Work
from services.orders.promise import lane_from
from services.orders.request import AllocationRequest, QuoteRequest, SlotWish
from services.planning.network import Network, Zone
from services.planning.stock_view import StockFollower
from services.problems import Refused

MISSED_DAY_MINOR = 1_000_000
"""Price of a line and day after the slot: more than any parcel."""
SHORT_UNIT_MINOR = 1_000_000_000
"""Price of a unit left out: more than being late by years, so a slot leaves nothing out."""

Request = AllocationRequest | QuoteRequest
Chosen = tuple[Slot, date]


class Arrival(msgspec.Struct, frozen=True, kw_only=True):
    """What of a fulfillment decides whether a slot can be kept."""

    node_id: str
    service: str | None
    pickup_node: str | None
    ship_by: datetime
    latest: date


def chosen(wishes: Iterable[SlotWish], network: Network) -> list[Chosen]:
    """Return the slots that were chosen, and for which date."""
    return [(network.slots[wish.slot_id], wish.on) for wish in wishes]


def verify_slots(request: Request, network: Network, zone: Zone | None, now: datetime) -> None:
    """Check the slots of an order before it is planned.

    Raises, slot by slot: `unknown-slot`, `slot-unsuitable`, `date-in-past`.
    """
    places: set[str] = set()
    for wish in request.slots or ():
        slot = network.slots.get(wish.slot_id)
        if slot is None:
            raise Refused(
                "unknown-slot",
                f"There is no slot {wish.slot_id}; see /v1/promises for those there are.",
            )
        verify_place(slot, request, zone)
        verify_date(slot, wish.on, time_zone_of(slot, network, zone), now)
        if (slot.node_id or NO_NODE) in places:
            where = f"at {slot.node_id}" if slot.node_id else "for what is delivered"
            raise Refused("slot-unsuitable", f"Two slots are chosen {where}; choose one.")
        places.add(slot.node_id or NO_NODE)


def verify_place(slot: Slot, request: Request, zone: Zone | None) -> None:
    """Raise `slot-unsuitable` unless some line may come to where a slot is for."""
    if slot.node_id is not None:
        if all(line.pickup_node != slot.node_id for line in request.lines):
            raise Refused(
                "slot-unsuitable",
                f"Slot {slot.slot_id} is for what is collected at {slot.node_id}, and no line is.",
            )
    elif zone is None or zone.zone_id not in slot.zone_ids:
        where = f"the destination lies in {zone.zone_id}" if zone else "nothing is shipped"
        raise Refused(
            "slot-unsuitable",
            f"Slot {slot.slot_id} delivers to {', '.join(slot.zone_ids)}, and {where}.",
        )


def verify_date(slot: Slot, on: date, time_zone: str, now: datetime) -> None:
    """Raise `date-in-past`, or `slot-unsuitable` on a date that a slot is not offered on."""
    today = local_date(now, time_zone)
    if on < today:
        raise Refused("date-in-past", f"Slot {slot.slot_id} is chosen for {on}; today is {today}.")
    last = today + timedelta(days=slot.days_ahead)
    if on > last:
        raise Refused(
            "slot-unsuitable", f"Slot {slot.slot_id} can be chosen up to {last}, not for {on}."
        )
    if slot.places_on(on) == 0:
        raise Refused("slot-unsuitable", f"Slot {slot.slot_id} is not offered on {on}.")


def time_zone_of(slot: Slot, network: Network, zone: Zone | None) -> str:
    """Return the time zone in which a slot's times are."""
    node = network.nodes.get(slot.node_id or "")
    return node.time_zone if node else zone.time_zone if zone else "UTC"


def planned_for(asked: Basket, request: Request, network: Network) -> Basket:
    """Return a basket that is to be there in the slots of its order; raises `slot-impossible`."""
    slots = chosen(request.slots or (), network)
    return msgspec.structs.replace(
        asked,
        policy=policy_for(asked.policy, [slot for slot, _ in slots]),
        lines=tuple([line_for(line, slots) for line in asked.lines]),
    )


def policy_for(policy: Policy, slots: Sequence[Slot]) -> Policy:
    """Return a policy by which only the services of slots deliver; raises `slot-impossible`."""
    services = tuple(slot.service for slot in slots if slot.service is not None)
    for slot in slots:
        if slot.service and policy.services and slot.service not in policy.services:
            raise Refused(
                "slot-impossible",
                f"Slot {slot.slot_id} is for {slot.service}, which strategy {policy.strategy} does "
                "not use.",
            )
    return msgspec.structs.replace(
        policy,
        services=services or policy.services,
        lateness_minor=MISSED_DAY_MINOR,
        shortage_minor=SHORT_UNIT_MINOR,
    )


def line_for(line: Line, slots: Sequence[Chosen]) -> Line:
    """Return a line that is wanted in the slot it can come in.

    One that may be shipped or collected comes the way for which a slot was chosen.
    """
    ships = [on for slot, on in slots if slot.service and "ship" in line.methods]
    collects = [on for slot, on in slots if slot.node_id and slot.node_id == line.pickup_node]
    methods = line.methods
    if ships and not collects:
        methods = ("ship",)
    elif collects and not ships:
        methods = tuple(each for each in methods if each != "ship")
    wanted = min([*ships, *collects], default=line.requested_by)
    return msgspec.structs.replace(line, methods=methods, requested_by=wanted)


def arrival(fulfillment: Fulfillment) -> Arrival:
    """Return what decides of a fulfillment of a plan."""
    return Arrival(
        node_id=fulfillment.node_id,
        service=fulfillment.service,
        pickup_node=fulfillment.pickup_node,
        ship_by=fulfillment.ship_by,
        latest=fulfillment.promise.latest,
    )


def arrival_told(fulfillment: FulfillmentAnswer) -> Arrival:
    """Return the same of a fulfillment as it was told."""
    return Arrival(
        node_id=fulfillment.node,
        service=fulfillment.service,
        pickup_node=fulfillment.pickup_node,
        ship_by=fulfillment.ship_by,
        latest=fulfillment.promise.latest,
    )


def is_for(slot: Slot, each: Arrival) -> bool:
    """Tell whether what arrives so would come in a slot: delivered, or collected at its node."""
    return each.pickup_node == slot.node_id


def is_kept(slot: Slot, on: date, each: Arrival, network: Network, zone: Zone | None) -> bool:
    """Tell whether a slot of a date can be kept for certain by what arrives so.

    The last date of its promise is no later, the carrier or node works on the slot's date, and the
    slot opens its lead after the goods have left, or are ready to be collected.
    """
    if each.latest > on:
        return False
    time_zone = time_zone_of(slot, network, zone)
    opens_at = datetime.combine(on, slot.opens, clocks(time_zone))
    if slot.node_id is not None:
        node = network.nodes.get(slot.node_id)
        if node is None or not works_on(network.calendars[node.calendar_id], on):
            return False
        since = local_instant(each.latest, node.cut_off, time_zone)
    else:
        lane = lane_from(network, each.node_id, each.service, zone.zone_id if zone else "", None)
        if each.service != slot.service or lane is None or zone is None:
            return False
        if zone.zone_id not in slot.zone_ids:
            return False
        if not works_on(network.calendars[lane.calendar_id] if lane.calendar_id else None, on):
            return False
        since = each.ship_by
    return opens_at >= since + timedelta(minutes=slot.lead_minutes)


def why_not(
    slot: Slot, on: date, arrivals: Sequence[Arrival], network: Network, zone: Zone | None
) -> str | None:
    """Return in words why a slot of a date cannot be kept; none when it can."""
    own = [each for each in arrivals if is_for(slot, each)]
    if not own:
        return "nothing of the order comes in it"
    for each in own:
        if not is_kept(slot, on, each, network, zone):
            how = f"delivers by {each.service}" if slot.service else "has it ready"
            return (
                f"{each.node_id} {how}, leaving or ready by {each.ship_by:%Y-%m-%dT%H:%M:%SZ} and "
                f"there by {each.latest} at the latest"
            )
    return None


def verify_kept(request: Request, plan: Plan, network: Network, zone: Zone | None) -> None:
    """Raise `slot-impossible` unless a plan keeps every slot of its order.

    A plan without anything in it says that there is no stock, and is left to be told so.
    """
    if not plan.fulfillments:
        return
    arrivals = [arrival(each) for each in plan.fulfillments]
    for slot, on in chosen(request.slots or (), network):
        reason = why_not(slot, on, arrivals, network, zone)
        if reason is not None:
            raise Refused(
                "slot-impossible", f"Slot {slot.slot_id} on {on} cannot be kept: {reason}."
            )


def places_left(slot: Slot, on: date, view: StockView) -> tuple[int, int]:
    """Return the places a slot has left on a date, and how many plans under way take of them."""
    left, pending = view.capacities.orders_left(places_key(slot.slot_id, on), slot.places_on(on))
    return max(left, 0), pending


async def have_places(
    request: Request, network: Network, stock: StockFollower, arrived_at: float
) -> bool:
    """Tell whether the slots of an order have a place; false while others are about to take it.

    Nobody is told that a slot is full before all that has changed since was looked at. Raises
    `slot-full`.
    """
    slots = chosen(request.slots or (), network)
    if any(places_left(*each, stock.view)[0] == 0 for each in slots) and (
        (stock.view.seen_at or 0.0) < arrived_at
    ):
        await stock.poll()
    for slot, on in slots:
        left, pending = places_left(slot, on, stock.view)
        if left == 0:
            raise full(slot, on)
        if left <= pending:
            return False
    return True


def full(slot: Slot, on: date) -> Refused:
    """Return the refusal of an order whose slot has no place left."""
    return Refused(
        "slot-full",
        f"Slot {slot.slot_id} has no place left on {on}; choose another one that /v1/promises "
        "offers.",
        slot_id=slot.slot_id,
        on=on.isoformat(),
    )


def works_of(wishes: Iterable[SlotWish]) -> list[Work]:
    """Return what an order takes of its slots: a place in each, however many parcels come in it."""
    return [(*places_key(wish.slot_id, wish.on), 1, 0) for wish in wishes]


def told(slots: Iterable[Chosen], currency: str) -> tuple[SlotAnswer, ...]:
    """Return slots as the API tells them."""
    return tuple(
        SlotAnswer(
            slot_id=slot.slot_id,
            on=on,
            opens=slot.opens,
            closes=slot.closes,
            price=Money(slot.price_minor, currency),
        )
        for slot, on in slots
    )
