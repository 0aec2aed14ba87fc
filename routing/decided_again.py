"""A recorded order decided again, on other stock and at other prices than when it came."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from routing.basket import Basket, Held
from routing.grid import Ints
from routing.plan import Plan
from routing.plan_basket import plan_basket
from routing.record import Asked
from routing.terrain import Terrain

__all__ = ["Again", "Cell", "cells_of", "decided", "ready", "taken_of"]

Cell = tuple[str, str]
"""node id, sku"""


class Again(NamedTuple):
    """An order with the cells it may take from; P places, sku after sku."""

    terrain: Terrain
    """Of its destination, at its own instant."""
    asked: Asked
    skus: tuple[str, ...]
    counts: Ints
    """`[S]`: places of each sku."""
    numbers: Ints
    """`[P]`: nodes by the terrain's numbers."""
    cells: Ints
    """`[P]`: where stock and prices of the place stand in arrays of all cells."""


def cells_of(
    index: Mapping[Cell, int], numbers: Mapping[str, int]
) -> dict[str, list[tuple[int, int]]]:
    """By sku the number of each node that has a cell, rising, and the place of that cell."""
    found: dict[str, list[tuple[int, int]]] = {}
    for (node_id, sku), place in index.items():
        if node_id in numbers:
            found.setdefault(sku, []).append((numbers[node_id], place))
    for places in found.values():
        places.sort()
    return found


def ready(terrain: Terrain, asked: Asked, by_sku: Mapping[str, Sequence[tuple[int, int]]]) -> Again:
    """An order made ready to be decided often; `by_sku` is what `cells_of` returns."""
    skus = tuple(sorted({line.sku for line in asked.lines}))
    own = [by_sku.get(sku, ()) for sku in skus]
    flat = [place for places in own for place in places]
    return Again(
        terrain,
        asked,
        skus,
        np.array([len(places) for places in own], np.int64),
        np.array([number for number, _ in flat], np.int64),
        np.array([cell for _, cell in flat], np.int64),
    )


def decided(
    again: Again,
    units: Ints,
    worth: Ints,
    time_limit_ms: int,
    surcharges: Mapping[str, int] | None = None,
) -> Plan:
    """The best plan of an order where its P places have these units at these prices of one.

    `surcharges` are prices of one more fulfillment by node.
    """
    asked = again.asked
    nothing = np.zeros(len(again.cells), np.int64)
    basket = Basket(
        now=asked.now,
        lines=asked.lines,
        policy=asked.policy,
        held=Held(again.skus, again.counts, again.numbers, units, worth, nothing),
        supply=asked.supply if asked.policy.backorder else {},
        surcharges=surcharges or {},
    )
    return plan_basket(again.terrain, basket, time_limit_ms).plan


def taken_of(plan: Plan, asked: Asked, index: Mapping[Cell, int]) -> dict[int, int]:
    """Units on hand that a plan takes, by the place of their cell."""
    skus = {line.line_id: line.sku for line in asked.lines}
    taken: dict[int, int] = {}
    for part in plan.fulfillments:
        for line in part.lines:
            if line.source == "on_hand":
                cell = index[part.node_id, skus[line.line_id]]
                taken[cell] = taken.get(cell, 0) + line.quantity
    return taken
