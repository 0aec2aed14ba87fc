"""Random networks of thousands of nodes, of few kinds or of many, and orders for them."""

import random
from datetime import UTC, datetime, time

import msgspec
import numpy as np

from routing.basket import Basket, held
from routing.destination import destination
from routing.problem import Bracket, Calendar, Lane, Line, Node, Policy, Problem, Tariff
from routing.terrain import Terrain, prepare

replace = msgspec.structs.replace
NOW = datetime(2026, 5, 12, 9, tzinfo=UTC)
LIMITS_GRAMS = (1_000, 2_000, 5_000, 20_000)


def terrain(seed: int, nodes: int, kinds: int) -> Terrain:
    """So many nodes with one or two services each, whose handling takes so many values."""
    chance = np.random.default_rng(seed)
    order, unit = chance.integers(50, 300, kinds), chance.integers(5, 60, kinds)
    kind = chance.integers(0, kinds, nodes)
    names = [f"node-{n:05}" for n in range(nodes)]
    places = [
        Node(
            node_id=name,
            kind="store",
            time_zone="UTC",
            calendar_id="always",
            cut_off=time(14),
            handling_days=int(kind[n] % 2),
            capabilities=("ship", "pickup"),
            handling_order_minor=int(order[kind[n]]),
            handling_unit_minor=int(unit[kind[n]]),
        )
        for n, name in enumerate(names)
    ]
    lanes = [
        Lane(
            node_id=name,
            service=service,
            tariff_id=f"{service}-{int(zone)}",
            transit_days_min=days,
            transit_days_max=days + int(zone),
        )
        for name, zone, services in zip(
            names, chance.integers(0, 4, nodes), chance.integers(1, 3, nodes), strict=True
        )
        for service, days in (("standard", 3), ("express", 1))[:services]
    ]
    daily = Calendar(calendar_id="always", weekdays=(1, 2, 3, 4, 5, 6, 7))
    served = destination(places, lanes, [daily], tariffs(), "UTC")
    return prepare(served, {name: n for n, name in enumerate(names)}, NOW)


def tariffs() -> list[Tariff]:
    """Parcels cost more by zone, and by express."""
    return [
        Tariff(
            tariff_id=f"{service}-{zone}",
            brackets=tuple(
                Bracket(weight_grams_max=grams, price_minor=base + 90 * zone + grams // 20)
                for grams in LIMITS_GRAMS
            ),
        )
        for service, base in (("standard", 300), ("express", 700))
        for zone in range(4)
    ]


def basket(seed: int, at: Terrain, lines: int, *, priced: bool, policy: Policy) -> Basket:
    """An order for up to three units each, of which one node in four has up to four."""
    chance = np.random.default_rng(seed)
    nodes = len(at.row_of)
    asked = tuple(
        Line(
            line_id=f"line-{i}",
            sku=f"sku-{i}",
            quantity=int(chance.integers(1, 4)),
            weight_grams=int(chance.integers(100, 1_500)),
        )
        for i in range(lines)
    )
    stock, prices = {}, {}
    for line in asked:
        numbers = np.sort(chance.choice(nodes, nodes // 4, replace=False)).astype(np.int32)
        stock[line.sku] = numbers, chance.integers(1, 5, len(numbers))
        worth = chance.integers(0, 4, len(numbers)) * 100
        prices[line.sku] = worth, chance.integers(0, 2, len(numbers)) * 30
    busy = chance.choice(nodes, nodes // 3 if priced else 0, replace=False)
    return Basket(
        now=NOW,
        lines=asked,
        policy=policy,
        held=held(asked, stock, prices if priced else None),
        surcharges={f"node-{n:05}": 40 for n in busy.tolist()},
    )


def crowded(problem: Problem, chance: random.Random, copies: int) -> Problem:
    """The problem in which each node has up to so many likenesses, with stock of their own."""
    nodes, stock, lanes = [*problem.nodes], [*problem.stock], [*problem.lanes]
    for node in problem.nodes:
        for number in range(chance.randint(0, copies)):
            name = f"{node.node_id}-{number}"
            nodes.append(replace(node, node_id=name))
            stock += [
                replace(cell, node_id=name, available=chance.choice((0, 0, 1, 2, 4)), supply=())
                for cell in problem.stock
                if cell.node_id == node.node_id
            ]
            lanes += [
                replace(lane, node_id=name)
                for lane in problem.lanes
                if lane.node_id == node.node_id and lane.to_node != name
            ]
    return replace(
        problem,
        nodes=tuple(sorted(nodes, key=lambda node: node.node_id)),
        stock=tuple(sorted(stock, key=lambda cell: cell.node_id)),
        lanes=tuple(lanes),
    )
