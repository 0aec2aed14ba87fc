"""What every compiled stage reads: the slots and lines of an order as arrays of integers.

A grid knows prices and units, not nodes, dates or limits that couple slots. All arrays are int64
and C-contiguous; K slots, I lines, T price steps of all slots one after another.
"""

from functools import lru_cache

import msgspec
import numpy as np

from routing.cost import Ints, Steps
from routing.instance import Assignment, Instance, node_numbers

__all__ = ["Grid", "Ints", "assignment", "grid", "taken"]


class Grid(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """An order without what couples its slots."""

    units_max: Ints
    """`[K, I]`: most units of the line the slot could take on its own."""
    quantities: Ints
    """`[I]`: units ordered."""
    weights_grams: Ints
    """`[I]`: grams that one unit counts for in a parcel."""
    time_minor: Ints
    """`[K, I]`: waiting price of the line when its last unit comes from the slot; a line pays the
    highest of the slots that it takes units from, once."""
    slot_minor: Ints
    """`[K]`: price of a fulfillment: handling and the node's surcharge."""
    unit_minor: Ints
    """`[K, I]`: price of a unit: handling, its worth at the node and the risk of a refusal."""
    nodes: Ints
    """`[K]`: slots of one node, which have the same number, draw on the same stock; ascending."""
    step_starts: Ints
    """`[K + 1]`: the price steps of slot k are those from `step_starts[k]` on, at least one."""
    step_grams: Ints
    """`[T]`: the most grams of the step, ascending in a slot; the last holds all it could take."""
    step_minor: Ints
    """`[T]`: the cheapest price of parcels up to that weight, ascending in a slot."""
    split_minor: int
    """Price of every fulfillment beyond the first."""
    shortage_minor: Ints
    """`[I]`: price of a unit that no slot takes."""
    complete: bool
    """Whether all units or none are fulfilled."""
    nodes_max: int = 0
    """The most nodes that may share a line, 0 for any number."""


def grid(instance: Instance) -> Grid:
    """The arrays of an instance, without its limits."""
    lines, slots, policy = instance.lines, instance.slots, instance.policy
    shape = len(slots), len(lines)
    steps = [_arrays(slot.steps) for slot in slots]
    starts = np.zeros(len(slots) + 1, np.int64)
    np.cumsum([len(grams) for grams, _ in steps], out=starts[1:])
    return Grid(
        units_max=np.array(instance.units_max, np.int64).reshape(shape),
        quantities=np.array([line.quantity for line in lines], np.int64),
        weights_grams=np.array([line.priced_grams for line in lines], np.int64),
        time_minor=np.array(instance.time_minor, np.int64).reshape(shape),
        slot_minor=np.array(instance.opening_minor, np.int64),
        unit_minor=np.array(instance.unit_minor, np.int64).reshape(shape),
        nodes=np.array(node_numbers(slots), np.int64),
        step_starts=starts,
        step_grams=np.concatenate([_NONE, *(grams for grams, _ in steps)]),
        step_minor=np.concatenate([_NONE, *(prices for _, prices in steps)]),
        split_minor=policy.split_minor,
        shortage_minor=np.array([policy.shortage_minor * line.short for line in lines], np.int64),
        complete=policy.ship_complete,
        nodes_max=policy.nodes_per_line_max or 0,
    )


_NONE = np.zeros(0, np.int64)


@lru_cache(maxsize=4096)
def _arrays(steps: Steps) -> tuple[Ints, Ints]:
    return np.array(steps.weights_grams, np.int64), np.array(steps.prices_minor, np.int64)


def taken(units: Assignment, slots: int, lines: int) -> Ints:
    """`[K, I]`: the units of an assignment."""
    found = np.zeros((slots, lines), np.int64)
    for k, row in units.items():
        for i, count in row.items():
            found[k, i] = count
    return found


def assignment(units: Ints) -> Assignment:
    """Units `[K, I]` as an assignment: opened slots and positive units only, in order."""
    found: Assignment = {}
    for k, i in zip(*(places.tolist() for places in units.nonzero()), strict=True):
        found.setdefault(k, {})[i] = int(units[k, i])
    return found
