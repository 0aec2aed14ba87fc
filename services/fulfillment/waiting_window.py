"""Waiting orders as a window of routing has them, each by the strategy that decided it."""

from collections import Counter
from collections.abc import Mapping

import msgspec
import numpy as np

from inventory.availability import Cell
from routing import plan as plans
from routing.destination import destination
from routing.grid import Ints
from routing.leaning import leaned
from routing.plan import Plan, Prices, Promise
from routing.problem import Capacity, Line, Policy
from routing.terrain import Terrain, prepare
from routing.window import Waiting, Window
from services.fulfillment.records import Work
from services.fulfillment.resource import volume_mm3
from services.fulfillment.waiting import Shelf, Waited, feed_rule_of, policy_of, weights_of
from services.fulfillment.waiting_prices import Holding, unit_prices, work_prices
from services.orders.answers import CostAnswer
from services.orders.translate import dimensional_grams
from services.planning.network import Network


class Ground(msgspec.Struct, frozen=True, kw_only=True):
    """What the orders of a shelf have in common."""

    network: Network
    given: Shelf
    terrains: Mapping[str, Terrain]
    """By zone."""
    cells: Mapping[str, tuple[Cell, ...]]
    """By sku, in order of node."""
    divisor: int
    """Of dimensional weight, 0 where weight alone is priced."""
    stale: Mapping[int, Mapping[str, int]]
    """By the age in seconds that a strategy allows: the ages of feeds that are older, by node."""


def window_of(network: Network, given: Shelf, divisor: int) -> Window:
    """Return the window of waiting orders, their lines named by positions of their wants.

    `divisor` is that of dimensional weight, 0 where weight alone is priced.
    """
    numbers = {node_id: n for n, node_id in enumerate(sorted(network.nodes))}
    cells: dict[str, list[Cell]] = {}
    for (sku, _), cell in sorted(given.cells.items()):
        cells.setdefault(sku, []).append(cell)
    ground = Ground(
        network=network,
        given=given,
        terrains={
            zone_id: terrain_of(network, zone_id, numbers, given)
            for zone_id in sorted({each.zone_id for each in given.waited})
        },
        cells={sku: tuple(own) for sku, own in cells.items()},
        divisor=divisor,
        stale={
            rule.age_max_s: older_feeds(given, rule.age_max_s)
            for rule in (feed_rule_of(network, each) for each in given.waited)
            if rule is not None
        },
    )
    room: dict[str, list[Capacity]] = {}
    for each in given.left:
        limit = Capacity(work_on=each.work_on, remaining=each.remaining, unit=each.unit)
        room.setdefault(each.node_id, []).append(limit)
    return Window(
        now=given.now,
        orders=tuple(order_of(ground, each) for each in given.waited),
        left={
            sku: (
                np.array([numbers[cell.node_id] for cell in own], np.int64),
                np.array([cell.available for cell in own], np.int64),
            )
            for sku, own in ground.cells.items()
        },
        room={node_id: tuple(limits) for node_id, limits in room.items()},
        surcharges=given.surcharges,
    )


def terrain_of(network: Network, zone_id: str, numbers: Mapping[str, int], given: Shelf) -> Terrain:
    """Return a zone made ready for orders of the shelf's instant."""
    zone = network.zones[zone_id]
    served = destination(
        network.nodes_seen_from(zone),
        network.lanes_to(zone),
        network.calendars.values(),
        network.tariffs.values(),
        zone.time_zone,
    )
    return prepare(served, numbers, given.now)


def order_of(ground: Ground, each: Waited) -> Waiting:
    """Return a waiting order as routing knows it, by the strategy that decided it."""
    network, given = ground.network, ground.given
    policy = policy_of(network, each.strategy, each.channel, each.zone_id)
    terrain, weights = ground.terrains[each.zone_id], weights_of(network, each)
    prices = surcharges = None
    if weights is not None:
        prices = prices_of(ground, each)
        surcharges = work_prices(network, terrain, given.left, given.learned, weights, given.now)
        policy = under(policy, given)
    rule = feed_rule_of(network, each)
    stale = ground.stale[rule.age_max_s] if rule else {}
    if rule and stale and rule.surcharge_minor is not None:
        minor = Counter(given.surcharges if surcharges is None else surcharges)
        minor.update(dict.fromkeys(stale, rule.surcharge_minor))
        surcharges = minor
    return Waiting(
        order_id=str(each.allocation_id),
        terrain=leaned(terrain, policy),
        lines=tuple(line_of(ground, each, position) for position in range(len(each.wants))),
        policy=policy,
        plan=plan_of(each),
        beside=each.beside,
        barred=each.barred,
        released_at=each.works[0].order.release_at,
        prices=prices,
        surcharges=surcharges,
        capped=frozenset(stale) if rule and rule.surcharge_minor is None else frozenset(),
        stale=stale,
    )


def older_feeds(given: Shelf, age_max_s: int) -> dict[str, int]:
    """Return the ages in seconds of the feeds older than so many, by node."""
    ages = {
        node_id: int((given.now - seen_at).total_seconds())
        for node_id, seen_at in sorted(given.feeds.items())
    }
    return {node_id: age_s for node_id, age_s in ages.items() if age_s > age_max_s}


def under(policy: Policy, given: Shelf) -> Policy:
    """Return a policy that names the version of the learned prices it is followed with."""
    if given.learned is None:
        return policy
    return msgspec.structs.replace(policy, prices=given.learned.version.version)


def prices_of(ground: Ground, each: Waited) -> dict[str, tuple[Ints, Ints]]:
    """Return worth and risk of a unit by sku, in each of its cells."""
    network, given = ground.network, ground.given
    weights = weights_of(network, each)
    if weights is None or given.learned is None:
        return {}
    held: dict[str, Counter[str]] = {}
    paid: Counter[str] = Counter()
    for work in each.works:
        for line in work.lines:
            own = held.setdefault(line.sku, Counter())
            own[work.order.node_id] += line.quantity if line.supply_id is None else 0
            paid[line.sku] = max(paid[line.sku], line.unit_price_minor or 0)
    wanted = Counter({sku: sum(own.values()) for sku, own in held.items()})
    return {
        sku: unit_prices(
            network,
            given.learned,
            ground.cells.get(sku, ()),
            Holding(sku=sku, wanted=max(1, wanted[sku]), unit_price_minor=paid[sku], own=held[sku]),
            weights,
            given.now,
        )
        for sku in sorted(held)
        if sku in ground.cells
    }


def line_of(ground: Ground, each: Waited, position: int) -> Line:
    """Return a line of a waiting order, named by its position; as it was decided, if it is a kit."""
    want = each.wants[position]
    asked, item = each.asked.get(want.line_id), ground.given.items[want.sku]
    return Line(
        line_id=str(position),
        sku=want.sku,
        quantity=want.quantity,
        weight_grams=asked.weight_grams if asked else item.weight_grams,
        requires=asked.requires if asked else item.requires,
        dimensional_grams=asked.dimensional_grams
        if asked
        else dimensional_grams(volume_mm3(item), ground.divisor),
        requested_by=asked.requested_by if asked else None,
        components=asked.components if asked else (),
        together=asked.together if asked else None,
    )


def plan_of(each: Waited) -> Plan:
    """Return what was promised for an order, as a plan."""
    position = {want.line_id: str(n) for n, want in enumerate(each.wants)}
    return Plan(
        fulfillments=tuple(fulfillment_of(work, position) for work in each.works),
        shortfalls=(),
        cost=plans.Cost(),
        prices=Prices(),
        objective_minor=0,
        bound_minor=0,
        status="feasible",
        found_by="records",
    )


def fulfillment_of(work: Work, position: Mapping[str, str]) -> plans.Fulfillment:
    """Return some work as a part of a plan."""
    order = work.order
    cost = msgspec.json.decode(order.cost, type=CostAnswer)
    return plans.Fulfillment(
        node_id=order.node_id,
        method="ship",
        service=order.service,
        work_on=order.work_on,
        ship_by=order.ship_by,
        promise=Promise(earliest=order.promise_earliest, latest=order.promise_latest),
        lines=tuple(
            plans.FulfillmentLine(
                line_id=position[line.line_id],
                sku=line.sku,
                quantity=line.quantity,
                source="on_hand" if line.supply_id is None else "supply",
                supply_id=line.supply_id,
                available_on=order.work_on,
            )
            for line in work.lines
        ),
        weight_grams=order.weight_grams,
        cost=plans.Cost(
            parcels_minor=cost.parcels.amount_minor,
            handling_minor=cost.handling.amount_minor,
            total_minor=cost.parcels.amount_minor + cost.handling.amount_minor,
        ),
    )
