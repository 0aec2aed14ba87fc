"""What a replay came to, as numbers: everything the report says, computed in one place."""

from collections import Counter
from collections.abc import Iterable, Sequence
from math import ceil

import msgspec

from routing.plan import Cost
from services.demo.compare import Choice, Compared
from services.demo.network import DemoNetwork, Facts
from services.demo.replay import Replay, Replayed
from services.orders.answers import AllocationAnswer, FulfillmentAnswer

LENGTHS = ((1, 3), (4, 6), (7, 10), (11, 20), (21, 40), (41, 200))
"""Classes of baskets by their number of lines."""

Shipment = tuple[Replayed, FulfillmentAnswer]


class Latency(msgspec.Struct, frozen=True):
    """Percentiles over calls, in milliseconds; zeros when there are none."""

    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float


class Orders(msgspec.Struct, frozen=True, kw_only=True):
    """What was sent and what became of it."""

    sent: int
    kinds: dict[str, int]
    complete: int
    """Orders of which every unit was allocated."""
    partial: int
    refused: dict[str, int]
    """Orders without a plan, by the problem's type."""
    confirmed: int
    released: int
    repeated: int
    """Requests sent again after 429, 503 or a lost connection."""
    lines: int
    lines_filled: int
    units: int
    units_filled: int
    pickup_units: int
    """Units to be picked up; the others are to be shipped."""
    pickup_units_filled: int


class Shipping(msgspec.Struct, frozen=True, kw_only=True):
    """How the orders leave."""

    orders: int
    """Orders with at least one parcel."""
    split: int
    """Orders with two parcels or more."""
    parcels: int
    from_warehouses: int
    """Parcels that leave a warehouse; the others leave a store."""
    pickups: int


class LengthClass(msgspec.Struct, frozen=True, kw_only=True):
    """The orders whose baskets have `lines_min` to `lines_max` lines."""

    lines_min: int
    lines_max: int
    orders: int
    planned: int
    proven: int
    gap_mean: float
    """Mean of (objective - bound) / objective over the plans not proven optimal."""
    latency: Latency
    compared: int
    cost_minor: int
    greedy_cost_minor: int


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """How well the plans are proven."""

    planned: int
    proven: int
    found_by: dict[str, int]


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Sums over orders that were planned both ways for the same number of units."""

    drawn: int
    """Orders drawn for the comparison; those not compared were refused or filled unequally."""
    compared: int
    cost: Cost
    greedy_cost: Cost
    shipments: int
    greedy_shipments: int
    greedy_cheaper: int
    """Orders whose greedy plan costs less money."""
    greedy_cheaper_proven: int
    """Of these, orders whose own plan is proven optimal: in objective, or on the stock it saw."""
    choices: int
    """Orders asked whether they have a real choice."""
    real_choices: int


class Flow(msgspec.Struct, frozen=True):
    """Parcels from one node to one zone."""

    node_id: str
    zone_id: str
    parcels: int


class Audited(msgspec.Struct, frozen=True):
    """What the independent checks found after the replay."""

    oversold_units: int
    """From movements and reservations alone."""
    differences: list[str]
    """What the audit found; empty when everything agrees."""


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """How the replay was made."""

    seed: int
    concurrency: int
    elapsed_s: float


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the report says."""

    run: Run
    facts: Facts
    orders: Orders
    shipping: Shipping
    proof: Proof
    latency: Latency
    """Of allocations."""
    end_latency: Latency
    """Of confirmations and releases."""
    lengths: list[LengthClass]
    comparison: Comparison
    flows: list[Flow]
    pickups_by_store: dict[str, int]
    audited: Audited


def summarize(
    network: DemoNetwork,
    replay: Replay,
    compared: Sequence[Compared | None],
    choices: Sequence[Choice],
    audited: Audited,
    *,
    concurrency: int,
) -> Summary:
    """Return what a replay came to."""
    shipments = [part for part in parts(replay) if part[1].method == "ship"]
    pickups = [part for part in parts(replay) if part[1].method == "pickup"]
    fair = [each for each in compared if each and each.units == each.greedy_units]
    ended = [each.end_latency_ms for each in replay.orders if each.end_latency_ms is not None]
    return Summary(
        run=Run(seed=network.seed, concurrency=concurrency, elapsed_s=replay.elapsed_s),
        facts=network.facts,
        orders=count_orders(replay),
        shipping=shipping(shipments, pickups),
        proof=proof(replay),
        latency=latency([each.latency_ms for each in replay.orders]),
        end_latency=latency(ended),
        lengths=[length_class(replay, fair, low, high) for low, high in LENGTHS],
        comparison=comparison(len(compared), fair, choices),
        flows=flows(network, shipments),
        pickups_by_store=dict(Counter(part.node for _, part in pickups)),
        audited=audited,
    )


def parts(replay: Replay) -> list[Shipment]:
    """Return every fulfillment with the order it belongs to."""
    return [
        (each, part)
        for each in replay.orders
        if each.answer is not None
        for part in each.answer.fulfillments
    ]


def answers(orders: Iterable[Replayed]) -> list[AllocationAnswer]:
    """Return the plans that were held."""
    return [each.answer for each in orders if each.answer is not None]


def count_orders(replay: Replay) -> Orders:
    """Return what was sent and what became of it."""
    held = answers(replay.orders)
    lines = [line for each in replay.orders for line in each.order.request.lines]
    filled = [(part.method, line.quantity) for _, part in parts(replay) for line in part.lines]
    refused = [each for each in replay.orders if each.answer is None]
    short = [shortfall for answer in held for shortfall in answer.shortfalls]
    lines_refused = sum(len(each.order.request.lines) for each in refused)
    return Orders(
        sent=len(replay.orders),
        kinds=dict(Counter(each.order.kind for each in replay.orders)),
        complete=sum(not answer.shortfalls for answer in held),
        partial=sum(bool(answer.shortfalls) for answer in held),
        refused=dict(Counter(each.refused or "unknown" for each in refused)),
        confirmed=sum(each.ended == "confirmed" for each in replay.orders),
        released=sum(each.ended == "released" for each in replay.orders),
        repeated=sum(each.attempts - 1 for each in replay.orders),
        lines=len(lines),
        lines_filled=len(lines) - len(short) - lines_refused,
        units=sum(line.quantity for line in lines),
        units_filled=sum(units for _, units in filled),
        pickup_units=sum(line.quantity for line in lines if line.method == "pickup"),
        pickup_units_filled=sum(units for method, units in filled if method == "pickup"),
    )


def shipping(shipments: Sequence[Shipment], pickups: Sequence[Shipment]) -> Shipping:
    """Return how the orders leave."""
    parcels_by_order = Counter(each.order.number for each, _ in shipments)
    return Shipping(
        orders=len(parcels_by_order),
        split=sum(parcels > 1 for parcels in parcels_by_order.values()),
        parcels=len(shipments),
        from_warehouses=sum(part.node.startswith("warehouse-") for _, part in shipments),
        pickups=len(pickups),
    )


def proof(replay: Replay) -> Proof:
    """Return how well the plans are proven."""
    held = answers(replay.orders)
    return Proof(
        planned=len(held),
        proven=sum(answer.solver.status == "optimal" for answer in held),
        found_by=dict(Counter(answer.solver.found_by for answer in held).most_common()),
    )


def length_class(
    replay: Replay, fair: Sequence[Compared], lines_min: int, lines_max: int
) -> LengthClass:
    """Return how the orders of one class of lengths fared."""
    orders = [
        each for each in replay.orders if lines_min <= len(each.order.request.lines) <= lines_max
    ]
    held = answers(orders)
    gaps = [answer.solver.gap for answer in held if answer.solver.status != "optimal"]
    both = [each for each in fair if lines_min <= each.lines <= lines_max]
    return LengthClass(
        lines_min=lines_min,
        lines_max=lines_max,
        orders=len(orders),
        planned=len(held),
        proven=len(held) - len(gaps),
        gap_mean=sum(gaps) / len(gaps) if gaps else 0.0,
        latency=latency([each.latency_ms for each in orders]),
        compared=len(both),
        cost_minor=sum(each.cost.total_minor for each in both),
        greedy_cost_minor=sum(each.greedy_cost.total_minor for each in both),
    )


def comparison(drawn: int, fair: Sequence[Compared], choices: Sequence[Choice]) -> Comparison:
    """Return the sums over the orders that both ways fill alike."""
    cheaper = [each for each in fair if each.greedy_cost.total_minor < each.cost.total_minor]
    return Comparison(
        drawn=drawn,
        compared=len(fair),
        cost=total([each.cost for each in fair]),
        greedy_cost=total([each.greedy_cost for each in fair]),
        shipments=sum(each.shipments for each in fair),
        greedy_shipments=sum(each.greedy_shipments for each in fair),
        greedy_cheaper=len(cheaper),
        greedy_cheaper_proven=sum(each.proven for each in cheaper),
        choices=len(choices),
        real_choices=sum(each.is_real for each in choices),
    )


def total(costs: Sequence[Cost]) -> Cost:
    """Return the sum of costs, component by component."""
    names = [field.name for field in msgspec.structs.fields(Cost)]
    return Cost(**{name: sum(getattr(cost, name) for cost in costs) for name in names})


def flows(network: DemoNetwork, shipments: Sequence[Shipment]) -> list[Flow]:
    """Return how many parcels go from each node to each zone, the largest flows first."""
    zones = {zone.postal_prefixes[0]: zone.zone_id for zone in network.zones}
    counts: Counter[tuple[str, str]] = Counter()
    for each, part in shipments:
        destination = each.order.request.destination
        if destination is None:
            raise ValueError(f"order {each.order.request.order_id} is shipped to nowhere")
        prefix = next(p for p in zones if destination.postal_code.startswith(p))
        counts[part.node, zones[prefix]] += 1
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [Flow(node_id, zone_id, parcels) for (node_id, zone_id), parcels in ranked]


def latency(measured_ms: Sequence[float]) -> Latency:
    """Return percentiles by nearest rank: the smallest value that so many per cent do not pass."""
    if not measured_ms:
        return Latency(0.0, 0.0, 0.0, 0.0)
    ranked = sorted(measured_ms)
    return Latency(*(ranked[ceil(len(ranked) * share) - 1] for share in (0.5, 0.9, 0.99, 1.0)))
