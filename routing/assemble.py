"""From an assignment to its price and to the plan it stands for."""

from collections.abc import Mapping
from datetime import date

import msgspec

from routing import cost
from routing.instance import Assignment, Instance, Slot
from routing.plan import Cost, Fulfillment, FulfillmentLine, Plan, Shortfall, Source, Status
from routing.promise import local_date


def _lateness(instance: Instance, units: Assignment) -> int:
    """Lateness of the order: each line is as late as its last unit."""
    total = 0
    for i, line in enumerate(instance.lines):
        promised = [instance.slots[k].promise.latest for k, taken in units.items() if i in taken]
        if promised:
            total += cost.lateness_minor(instance.policy, line, max(promised))
    return total


def _time(instance: Instance, units: Assignment) -> int:
    """Lateness and delay of the order together."""
    return sum(
        max((instance.time_minor[k][i] for k, taken in units.items() if i in taken), default=0)
        for i in range(len(instance.lines))
    )


def objective_minor(instance: Instance, units: Assignment) -> int:
    """The objective of an assignment: money, delay and shortage."""
    policy, lines = instance.policy, instance.lines
    time = [0] * len(lines)
    short = instance.units
    total = cost.split_minor(policy, len(units))
    for k, taken in units.items():
        slot, times = instance.slots[k], instance.time_minor[k]
        count = weight = 0
        for i, quantity in taken.items():
            count += quantity
            weight += quantity * lines[i].weight_grams
            time[i] = max(time[i], times[i])
        short -= count
        total += slot.steps.price_minor(weight) + cost.handling_minor(slot.node, count)
    return total + sum(time) + cost.shortage_minor(policy, short)


def assemble(
    instance: Instance,
    units: Assignment,
    *,
    bound_minor: int,
    found_by: str,
    unproven: Status = "greedy",
) -> Plan:
    """The plan of an assignment, fulfillments in slot order.

    Its status is `optimal` when the bound meets the objective, else `unproven`.

    On-hand units go to the earliest slots, then supply by date, so the surest units leave first.
    """
    policy = instance.policy
    sources = _sources(instance, units)
    fulfillments = tuple(_fulfillment(instance, k, units[k], sources) for k in sorted(units))
    taken = [sum(lines.get(i, 0) for lines in units.values()) for i in range(len(instance.lines))]
    lateness = _lateness(instance, units)
    delay = _time(instance, units) - lateness
    total = cost.total_cost(
        {
            "parcels": sum(f.cost.parcels_minor for f in fulfillments),
            "handling": sum(f.cost.handling_minor for f in fulfillments),
            "split": cost.split_minor(policy, len(fulfillments)),
            "lateness": lateness,
        }
    )
    short = cost.shortage_minor(policy, instance.units - sum(taken))
    objective = total.total_minor + delay + short
    return Plan(
        fulfillments=fulfillments,
        shortfalls=tuple(
            Shortfall(line_id=line.line_id, quantity=line.quantity - filled)
            for line, filled in zip(instance.lines, taken, strict=True)
            if filled < line.quantity
        ),
        cost=total,
        objective_minor=objective,
        bound_minor=min(bound_minor, objective),
        status="optimal" if bound_minor >= objective else unproven,
        found_by=found_by,
    )


def _fulfillment(
    instance: Instance,
    k: int,
    taken: Mapping[int, int],
    sources: Mapping[tuple[int, int], list[FulfillmentLine]],
) -> Fulfillment:
    slot = instance.slots[k]
    weight = sum(instance.lines[i].weight_grams * units for i, units in taken.items())
    money: Cost = cost.fulfillment_cost(slot.node, slot.steps, sum(taken.values()), weight)
    return Fulfillment(
        node_id=slot.node.node_id,
        method=slot.method,
        service=slot.service,
        work_on=slot.work_on,
        ship_by=slot.ship_by,
        promise=slot.promise,
        lines=tuple(part for i in sorted(taken) for part in sources[k, i]),
        weight_grams=weight,
        cost=money,
    )


def _sources(instance: Instance, units: Assignment) -> dict[tuple[int, int], list[FulfillmentLine]]:
    """Which stock or supply each (slot, line) draws, earliest slots first."""
    left: dict[tuple[str, str], list[FulfillmentLine]] = {}
    drawn: dict[tuple[int, int], list[FulfillmentLine]] = {}
    for k in sorted(units, key=lambda slot: (instance.slots[slot].start_on, slot)):
        slot = instance.slots[k]
        for i in sorted(units[k]):
            line = instance.lines[i]
            key = slot.node.node_id, line.sku
            if key not in left:
                left[key] = _stocked(instance, slot, line.sku)
            drawn[k, i] = _draw(left[key], line.line_id, units[k][i])
    return drawn


def _stocked(instance: Instance, slot: Slot, sku: str) -> list[FulfillmentLine]:
    """What a node has of a sku in the order it is drawn: on hand, then supply by date and id."""
    stock = instance.stock[slot.node.node_id, sku]
    today = local_date(instance.now, slot.node.time_zone)
    expected = sorted(stock.supply, key=lambda supply: (supply.available_on, supply.supply_id))
    on_hand: list[tuple[Source, str | None, date, int]] = [
        ("on_hand", None, today, max(0, stock.available))
    ]
    rows = on_hand + [("supply", s.supply_id, s.available_on, s.quantity) for s in expected]
    return [
        FulfillmentLine(
            line_id="",
            sku=sku,
            quantity=quantity,
            source=source,
            supply_id=supply_id,
            available_on=available_on,
        )
        for source, supply_id, available_on, quantity in rows
    ]


def _draw(left: list[FulfillmentLine], line_id: str, wanted: int) -> list[FulfillmentLine]:
    """Take `wanted` units from the front of `left`, leaving the rest there.

    Raises `ValueError` when there are too few, which the stock limits of the instance exclude.
    """
    drawn = []
    for place, part in enumerate(left):
        units = min(wanted, part.quantity)
        if units > 0:
            drawn.append(msgspec.structs.replace(part, line_id=line_id, quantity=units))
            left[place] = msgspec.structs.replace(part, quantity=part.quantity - units)
            wanted -= units
    if wanted:
        raise ValueError(f"line {line_id} draws {wanted} units more than there are")
    return drawn
