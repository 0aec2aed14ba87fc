"""What every node could do for the order, before any choice: stock, eligibility, first dates."""

import msgspec
import numpy as np
from numpy.typing import NDArray

from routing import filters
from routing.bundles import Bundle, bundles, needs_of
from routing.grid import Ints
from routing.problem import Calendar, Lane, Node, Problem, ProblemError, Stock, Tariff

Bools = NDArray[np.bool_]


class Survey(msgspec.Struct, frozen=True, kw_only=True):
    """Arrays over N nodes with stock (by id), I bundles (by line id) and S skus (by name)."""

    problem: Problem
    lines: tuple[Bundle, ...]
    skus: tuple[str, ...]
    parts: tuple[tuple[tuple[int, int], ...], ...]
    """`[I]`: the skus that a unit takes of, and how many."""
    quantities: Ints
    """`[I]`: units ordered."""
    needs: Ints
    """`[S]`: units of the sku that all bundles take."""
    nodes: tuple[Node, ...]
    on_hand: Ints
    """`[N, S]`: units available now."""
    total: Ints
    """`[N, S]`: the same and, with backorders, all expected supply."""
    beyond_minor: Ints
    """`[N, S]`: worth and risk of a unit."""
    can_ship: Bools
    """`[N, I]`: the node may ship some of the line."""
    can_pickup: Bools
    """`[N, I]`: the line may be collected at the node, which can give some of it."""
    can_send: Bools
    """`[N, I]`: the node may send some of the line to where it is collected."""
    stock: dict[tuple[str, str], Stock]
    lanes: dict[str, tuple[Lane, ...]]
    """Those that may be used."""
    bars: dict[str, filters.Bar]
    """Why some of a node's lanes may not be."""
    calendars: dict[str, Calendar]
    tariffs: dict[str, Tariff]
    no_stock: tuple[str, ...]
    """Nodes that hold nothing of the order."""


def survey(problem: Problem) -> Survey:
    """Read a problem into arrays. Raises `ProblemError` for references to nothing."""
    lines = bundles(problem.lines)
    wanted = needs_of(problem.lines)
    skus = tuple(wanted)
    index = {sku: s for s, sku in enumerate(skus)}
    parts = tuple(tuple((index[sku], count) for sku, count in line.parts) for line in lines)
    quantities = np.array([line.quantity for line in lines], np.int64)
    needs = np.array([*wanted.values()], np.int64)
    stock = _stock(problem, index)
    holding = {node_id for node_id, _ in stock}
    nodes = tuple(sorted((n for n in problem.nodes if n.node_id in holding), key=_node_id))
    on_hand, total = _quantities(problem, nodes, index, stock)
    lanes, bars = _lanes(problem, {node.node_id: node for node in nodes})
    there = [filters.takes_node(problem.policy, node) for node in nodes]
    holds = (whole(total, parts) > 0) & np.array(there, np.bool_)[:, None]
    can_ship, can_pickup = _eligible(nodes, lines, holds)
    can_send = _sending(problem, nodes, lines, holds)
    return Survey(
        problem=problem,
        lines=lines,
        skus=skus,
        parts=parts,
        quantities=quantities,
        needs=needs,
        nodes=nodes,
        on_hand=on_hand,
        total=total,
        beyond_minor=_beyond_minor(nodes, index, stock),
        can_ship=can_ship,
        can_pickup=can_pickup,
        can_send=can_send,
        stock=stock,
        lanes=lanes,
        bars=bars,
        calendars={calendar.calendar_id: calendar for calendar in problem.calendars},
        tariffs={tariff.tariff_id: tariff for tariff in problem.tariffs},
        no_stock=tuple(n.node_id for n in problem.nodes if n.node_id not in holding),
    )


def whole(units: Ints, parts: tuple[tuple[tuple[int, int], ...], ...]) -> Ints:
    """`[N, I]`: how many of each bundle units `[N, S]` of skus make up."""
    found = np.empty((len(units), len(parts)), np.int64)
    for i, takes in enumerate(parts):
        first, count = takes[0]
        found[:, i] = units[:, first] // count
        for s, count in takes[1:]:
            found[:, i] = np.minimum(found[:, i], units[:, s] // count)
    return found


def _node_id(node: Node) -> str:
    return node.node_id


def _stock(problem: Problem, index: dict[str, int]) -> dict[tuple[str, str], Stock]:
    """Stock of the order's skus that can be promised, by (node_id, sku)."""
    backorder = problem.policy.backorder
    usable: dict[tuple[str, str], Stock] = {}
    for stock in problem.stock:
        if stock.sku in index and (stock.available > 0 or (backorder and stock.supply)):
            key = (stock.node_id, stock.sku)
            if key in usable:
                raise ProblemError(f"stock of {stock.sku} at {stock.node_id} is given twice")
            usable[key] = stock
    return usable


def _quantities(
    problem: Problem,
    nodes: tuple[Node, ...],
    index: dict[str, int],
    stock: dict[tuple[str, str], Stock],
) -> tuple[Ints, Ints]:
    rows = {node.node_id: n for n, node in enumerate(nodes)}
    on_hand = np.zeros((len(nodes), len(index)), np.int64)
    places = [(rows[node_id], index[sku]) for node_id, sku in stock if node_id in rows]
    if places:
        row, column = zip(*places, strict=True)
        on_hand[row, column] = [max(0, s.available) for s in stock.values() if s.node_id in rows]
    total = on_hand.copy()
    if problem.policy.backorder:
        for (node_id, sku), held in stock.items():
            if held.supply and node_id in rows:
                total[rows[node_id], index[sku]] += sum(s.quantity for s in held.supply)
    return on_hand, total


def _beyond_minor(
    nodes: tuple[Node, ...], index: dict[str, int], stock: dict[tuple[str, str], Stock]
) -> Ints:
    rows = {node.node_id: n for n, node in enumerate(nodes)}
    found = np.zeros((len(nodes), len(index)), np.int64)
    for (node_id, sku), held in stock.items():
        if node_id in rows and (held.worth_minor or held.risk_minor):
            found[rows[node_id], index[sku]] = held.worth_minor + held.risk_minor
    return found


def _lanes(
    problem: Problem, nodes: dict[str, Node]
) -> tuple[dict[str, tuple[Lane, ...]], dict[str, filters.Bar]]:
    """The lanes of these nodes that the policy lets be used, in order, and why not the others."""
    lanes: dict[str, list[Lane]] = {}
    bars: dict[str, filters.Bar] = {}
    for lane in problem.lanes:
        node = nodes.get(lane.node_id)
        bar = filters.bars_lane(problem.policy, node, lane) if node else None
        if bar is not None:
            bars[lane.node_id] = bar
        elif node is not None:
            lanes.setdefault(lane.node_id, []).append(lane)
    return {
        node_id: tuple(sorted(found, key=lambda lane: (lane.to_node or "", lane.service)))
        if len(found) > 1
        else (*found,)
        for node_id, found in lanes.items()
    }, bars


def _eligible(
    nodes: tuple[Node, ...], lines: tuple[Bundle, ...], holds: Bools
) -> tuple[Bools, Bools]:
    """Which lines each node may ship and hand over, by methods, capabilities and stock."""
    by_capabilities: dict[tuple[str, ...], list[bool]] = {}
    rows = []
    for node in nodes:
        row = by_capabilities.get(node.capabilities)
        if row is None:
            able = set(node.capabilities)
            row = ["ship" in able and able.issuperset(line.requires) for line in lines]
            by_capabilities[node.capabilities] = row
        rows.append(row)
    ships = np.array(["ship" in line.methods for line in lines], np.bool_)
    can_ship = holds & np.array(rows, np.bool_).reshape(holds.shape) & ships
    can_pickup = np.zeros_like(can_ship)
    index = {node.node_id: n for n, node in enumerate(nodes)}
    for i, line in enumerate(lines):
        n = index.get(line.pickup_node or "") if "pickup" in line.methods else None
        if n is not None:
            able = set(nodes[n].capabilities)
            can_pickup[n, i] = holds[n, i] and able.issuperset(("pickup", *line.requires))
    return can_ship, can_pickup


def _sending(
    problem: Problem, nodes: tuple[Node, ...], lines: tuple[Bundle, ...], holds: Bools
) -> Bools:
    """Which lines each node may send to where they are collected, for what both can do."""
    can_send = np.zeros_like(holds)
    places = {node.node_id: node for node in problem.nodes}
    for i, line in enumerate(lines):
        place = places.get(line.pickup_node or "") if "ship_to_store" in line.methods else None
        if place is None or not {*place.capabilities}.issuperset(("pickup", *line.requires)):
            continue
        for n, node in enumerate(nodes):
            able = {*node.capabilities}.issuperset(("ship_to_store", *line.requires))
            can_send[n, i] = able and node is not place and holds[n, i]
    return can_send
