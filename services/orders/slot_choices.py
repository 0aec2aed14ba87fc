"""The slots that a customer can choose for a basket, each of which a plan of this moment keeps."""

from collections.abc import Iterable, Iterator
from datetime import date, datetime, time, timedelta
from typing import Annotated

import msgspec
from msgspec import Meta

from inventory.slots import Slot
from routing.plan import Plan
from routing.promise import local_date
from services.orders.answers import Money
from services.orders.decide import Decider
from services.orders.request import QuoteRequest, SlotWish
from services.orders.slots import arrival, places_left, time_zone_of, why_not
from services.planning.network import Network, Zone
from services.problems import Refused

WAYS_MAX = 4
"""Carrier services and nodes whose slots are looked at for one basket, by name."""
CHOICES_MAX = 200
"""Slots told for one basket, the earliest first."""


class SlotChoice(msgspec.Struct, frozen=True, kw_only=True):
    """A window of a date that the order can come in, or one that is full."""

    slot_id: str
    on: Annotated[date, Meta(description="Local date at the destination or `pickup_node`.")]
    opens: time = msgspec.field(name="from")
    closes: time = msgspec.field(name="until")
    service: Annotated[str | None, Meta(description="Who delivers; none where it is collected.")]
    pickup_node: str | None
    places_left: Annotated[int, Meta(description="0 when it is full.")]
    price: Annotated[Money, Meta(description="What the customer pays for it; not in `extra`.")]
    extra: Annotated[
        Money,
        Meta(description="The plan's cost beyond `recommended` at most; below zero if cheaper."),
    ]


class Way(msgspec.Struct, frozen=True):
    """A service or a node with its slots, and the plans by which things come that way."""

    slots: list[Slot]
    plans: list[Plan]
    """The cheapest first, then the one that is there the soonest."""


async def slot_choices(
    decider: Decider, request: QuoteRequest, plan: Plan, *, place: tuple[Network, Zone | None]
) -> list[tuple[Slot, date, Plan]]:
    """Return the slots that plans keep, by date and time, each with the cheapest plan found for it.

    `plan` is the one that is recommended; ways by which more is left out than by it are no choice.
    """
    network, zone = place
    short = sum(each.quantity for each in plan.shortfalls)
    now = decider.clock.now()
    found: list[tuple[Slot, date, Plan]] = []
    for slots in ways(request, network, zone)[:WAYS_MAX]:
        plans = []
        for on in farthest_and_today(slots[0], network, zone, now):
            other = await plan_for(decider, request, slots[0], on, place=place)
            if other is not None and sum(each.quantity for each in other.shortfalls) <= short:
                plans.append(other)
        found += kept(Way(slots, plans), network, zone, now)
    found.sort(key=lambda each: (each[1], each[0].opens, each[0].slot_id))
    return found[:CHOICES_MAX]


def ways(request: QuoteRequest, network: Network, zone: Zone | None) -> list[list[Slot]]:
    """Return the slots for a basket, by the service that delivers or the node that hands over."""
    nodes = {line.pickup_node for line in request.lines if line.method != "ship"} - {None}
    ships = zone is not None and any(line.method != "pickup" for line in request.lines)
    by_way: dict[tuple[str, str], list[Slot]] = {}
    for slot in network.slots.values():
        if slot.node_id in nodes or (ships and zone and zone.zone_id in slot.zone_ids):
            by_way.setdefault((slot.service or "", slot.node_id or ""), []).append(slot)
    return [by_way[way] for way in sorted(by_way)]


def farthest_and_today(
    slot: Slot, network: Network, zone: Zone | None, now: datetime
) -> tuple[date, date]:
    """Return the last date a slot can be chosen for, when money decides, and today, when time does."""
    today = local_date(now, time_zone_of(slot, network, zone))
    return today + timedelta(days=slot.days_ahead), today


async def plan_for(
    decider: Decider,
    request: QuoteRequest,
    slot: Slot,
    on: date,
    *,
    place: tuple[Network, Zone | None],
) -> Plan | None:
    """Return the plan by which an order would come on a date the way of a slot; none without one."""
    wished = msgspec.structs.replace(request, slots=(SlotWish(slot_id=slot.slot_id, on=on),))
    try:
        found = await decider.quote(wished, *place)
    except Refused as reason:
        if reason.kind != "slot-impossible":
            raise
        return None
    return found.plan if found.plan.fulfillments else None


def kept(
    way: Way, network: Network, zone: Zone | None, now: datetime
) -> Iterator[tuple[Slot, date, Plan]]:
    """Yield each slot and date with the first plan that keeps it."""
    for slot in way.slots:
        last, today = farthest_and_today(slot, network, zone, now)
        for days in range((last - today).days + 1):
            on = today + timedelta(days=days)
            if slot.places_on(on) == 0:
                continue
            for plan in way.plans:
                arrivals = [arrival(each) for each in plan.fulfillments]
                if why_not(slot, on, arrivals, network, zone) is None:
                    yield slot, on, plan
                    break


def told(
    found: Iterable[tuple[Slot, date, Plan]], plan: Plan, decider: Decider, currency: str
) -> tuple[SlotChoice, ...]:
    """Return slots as the API tells them, priced beside the recommended plan."""
    return tuple(
        SlotChoice(
            slot_id=slot.slot_id,
            on=on,
            opens=slot.opens,
            closes=slot.closes,
            service=slot.service,
            pickup_node=slot.node_id,
            places_left=free(slot, on, decider),
            price=Money(slot.price_minor, currency),
            extra=Money(in_time_minor(own) - plan.cost.total_minor, currency),
        )
        for slot, on, own in found
    )


def free(slot: Slot, on: date, decider: Decider) -> int:
    """Return the places nobody has or is about to take."""
    left, pending = places_left(slot, on, decider.view)
    return max(left - pending, 0)


def in_time_minor(plan: Plan) -> int:
    """Return the money of a plan that is in time for its slot."""
    return plan.cost.total_minor - plan.cost.lateness_minor
