"""From an assignment to its price and to the plan it stands for."""

from collections.abc import Mapping
from datetime import date

import msgspec

from routing import cost
from routing.goals import missed
from routing.instance import Assignment, Instance, bundle_emissions_minor
from routing.plan import (
    Broken,
    Cost,
    Fulfillment,
    FulfillmentLine,
    Plan,
    Prices,
    Shortfall,
    Source,
    Status,
)
from routing.problem import Stock
from routing.promise import local_date


def _waiting(instance: Instance, units: Assignment) -> tuple[int, int]:
    """Lateness of the order, and lateness and delay together: a line waits for its last unit."""
    lateness, time = 0, [0] * len(instance.lines)
    latest: dict[int, date] = {}
    for k, taken in units.items():
        promised, times = instance.slots[k].promise.latest, instance.time_minor[k]
        for i in taken:
            time[i] = max(time[i], times[i])
            latest[i] = max(latest.get(i, promised), promised)
    for i, promised in latest.items():
        for line in instance.lines[i].members:
            lateness += cost.lateness_minor(instance.policy, line, promised)
    return lateness, sum(time)


def objective_minor(instance: Instance, units: Assignment) -> int:
    """The objective of an assignment: money and all prices beyond it."""
    policy, lines = instance.policy, instance.lines
    time = [0] * len(lines)
    short = instance.units
    total = cost.split_minor(policy, len(units))
    for k, taken in units.items():
        times, each = instance.time_minor[k], instance.unit_minor[k]
        weight = 0
        for i, quantity in taken.items():
            short -= quantity * lines[i].short
            total += quantity * each[i]
            weight += quantity * lines[i].priced_grams
            time[i] = max(time[i], times[i])
        total += instance.slots[k].steps.price_minor(weight) + instance.opening_minor[k]
    if policy.goals:
        total += sum(goal.price_minor for goal in missed(instance, units))
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
    short = [line.quantity for line in instance.lines]
    for lines in units.values():
        for i, count in lines.items():
            short[i] -= count
    lateness, waiting = _waiting(instance, units)
    total = cost.total_cost(
        {
            "parcels": sum(f.cost.parcels_minor for f in fulfillments),
            "handling": sum(f.cost.handling_minor for f in fulfillments),
            "split": cost.split_minor(policy, len(fulfillments)),
            "lateness": lateness,
        }
    )
    shortfalls = _shortfalls(instance, short)
    missing = sum(each.quantity for each in shortfalls)
    broken = _broken(instance, units)
    prices = _prices(instance, units, waiting - lateness, missing)
    prices = msgspec.structs.replace(prices, soft_minor=sum(each.price_minor for each in broken))
    objective = total.total_minor + prices.total_minor
    return Plan(
        fulfillments=fulfillments,
        shortfalls=shortfalls,
        cost=total,
        prices=prices,
        broken=broken,
        objective_minor=objective,
        bound_minor=min(bound_minor, objective),
        status="optimal" if bound_minor >= objective else unproven,
        found_by=found_by,
    )


def _shortfalls(instance: Instance, short: list[int]) -> tuple[Shortfall, ...]:
    """Units short of each line, given by bundle; of a group all units of all its lines."""
    found = {
        line.line_id: count if bundle.members[0].together is None else line.quantity
        for bundle, count in zip(instance.lines, short, strict=True)
        if count
        for line in bundle.members
    }
    return tuple(Shortfall(line_id=name, quantity=found[name]) for name in sorted(found))


def _broken(instance: Instance, units: Assignment) -> tuple[Broken, ...]:
    """The soft rules that an assignment breaks, slot by slot, and the goals it misses."""
    rules = tuple(
        Broken(soft.rule, instance.slots[k].node.node_id, soft.minor)
        for k in sorted(units)
        for soft in instance.slots[k].broken
    )
    return rules + missed(instance, units) if instance.policy.goals else rules


def _prices(instance: Instance, units: Assignment, delay_minor: int, short: int) -> Prices:
    """What an assignment costs beyond money but for rules and goals; delay and units short given."""
    worth = risk = 0
    for k, taken in units.items():
        node_id = instance.slots[k].node.node_id
        for i, quantity in taken.items():
            for sku, count in instance.lines[i].parts:
                stock = instance.stock[node_id, sku]
                worth += quantity * count * stock.worth_minor
                risk += quantity * count * stock.risk_minor
    return Prices(
        delay_minor=delay_minor,
        shortage_minor=cost.shortage_minor(instance.policy, short),
        worth_minor=worth,
        risk_minor=risk,
        surcharge_minor=sum(instance.slots[k].node.surcharge_minor for k in units),
        emissions_minor=sum(_emissions(instance, k, units[k]) for k in units),
    )


def _emissions(instance: Instance, k: int, taken: Mapping[int, int]) -> int:
    """The price of what sending these units from a slot emits."""
    slot = instance.slots[k]
    return slot.emissions_minor + sum(
        quantity * bundle_emissions_minor(slot, instance.lines[i]) for i, quantity in taken.items()
    )


def _fulfillment(
    instance: Instance,
    k: int,
    taken: Mapping[int, int],
    sources: Mapping[tuple[int, int], list[FulfillmentLine]],
) -> Fulfillment:
    slot = instance.slots[k]
    weight = sum(instance.lines[i].weight_grams * units for i, units in taken.items())
    priced = sum(instance.lines[i].priced_grams * units for i, units in taken.items())
    pieces = sum(instance.lines[i].pieces * units for i, units in taken.items())
    money: Cost = cost.fulfillment_cost(slot.handlers, slot.steps, pieces, priced)
    return Fulfillment(
        node_id=slot.node.node_id,
        method=slot.method,
        service=slot.service,
        pickup_node=slot.pickup_node,
        work_on=slot.work_on,
        ship_by=slot.ship_by,
        promise=slot.promise,
        lines=tuple(part for i in sorted(taken) for part in sources[k, i]),
        weight_grams=weight,
        cost=money,
    )


def _sources(instance: Instance, units: Assignment) -> dict[tuple[int, int], list[FulfillmentLine]]:
    """Which stock or supply each (slot, line) draws, earliest slots first."""
    left: dict[tuple[str, str], list[_Heap]] = {}
    today: dict[str, date] = {}
    drawn: dict[tuple[int, int], list[FulfillmentLine]] = {}
    order = (
        units if len(units) < 2 else sorted(units, key=lambda k: (instance.slots[k].start_on, k))
    )
    for k in order:
        node = instance.slots[k].node
        if node.time_zone not in today:
            today[node.time_zone] = local_date(instance.now, node.time_zone)
        for i in sorted(units[k]):
            bundle = instance.lines[i]
            drawn[k, i] = []
            for sku, _ in bundle.parts:
                key = node.node_id, sku
                if key not in left:
                    left[key] = _stocked(instance.stock[key], today[node.time_zone])
            for line, parts in zip(bundle.members, bundle.drawn, strict=True):
                for sku, count in parts:
                    wanted = count * units[k][i]
                    drawn[k, i] += _draw(left[node.node_id, sku], line.line_id, sku, wanted)
    return drawn


class _Heap(msgspec.Struct):
    """Units of one source that are still there."""

    quantity: int
    source: Source
    supply_id: str | None
    available_on: date


def _stocked(stock: Stock, today: date) -> list[_Heap]:
    """What a node has of a sku in the order it is drawn: on hand, then supply by date and id."""
    heaps = [_Heap(max(0, stock.available), "on_hand", None, today)]
    if stock.supply:
        expected = sorted(stock.supply, key=lambda each: (each.available_on, each.supply_id))
        heaps += [_Heap(s.quantity, "supply", s.supply_id, s.available_on) for s in expected]
    return heaps


def _draw(left: list[_Heap], line_id: str, sku: str, wanted: int) -> list[FulfillmentLine]:
    """Take `wanted` units from the front of `left`, leaving the rest there.

    Raises `ValueError` when there are too few, which the stock limits of the instance exclude.
    """
    drawn = []
    for heap in left:
        units = min(wanted, heap.quantity)
        if units > 0:
            drawn.append(
                FulfillmentLine(
                    line_id=line_id,
                    sku=sku,
                    quantity=units,
                    source=heap.source,
                    supply_id=heap.supply_id,
                    available_on=heap.available_on,
                )
            )
            heap.quantity -= units
            wanted -= units
    if wanted:
        raise ValueError(f"line {line_id} draws {wanted} units more than there are")
    return drawn
