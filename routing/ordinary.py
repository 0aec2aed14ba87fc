"""The ordinary order in one step: from stock by node to a proven plan as figures, in machine code.

What is asked crosses over as a few arrays and the answer comes back as two, since each crossing
costs as much as the work it leads to. `billed.py` makes a plan of the figures.
"""

from typing import NamedTuple

import numpy as np

from routing.basket import Bytes, Held, noted, rows_and_table
from routing.beyond import NOTHING, Beyond, beyond_of, packed_beyond
from routing.billed import OBJECTIVE, bill
from routing.compiled import compiled
from routing.gather import columns, offered
from routing.grid import Ints
from routing.holding import GRAMS, QUANTITY, SKU, WIDTH, Cells
from routing.partition import PROVEN, SUMS_MAX, UNPAYABLE, parting
from routing.problem import Line, Policy
from routing.terrain import Terrain, rows_of, stairs_of
from routing.untangle import Money

__all__ = ["Settled", "settled"]

DELAY, LATENESS, ORDERED_ON, NODES_MAX, SPLIT, SHORTAGE, COMPLETE, COUNT, HEAD = range(9)
"""What stands before the lines of an order, and where they begin; dates are ordinals. Behind the
lines come prices beyond money, where there are any."""


class Settled(NamedTuple):
    """A cheapest plan as figures."""

    figures: list[int]
    """See `billed`."""
    stock: bytes
    """The stock seen, see `basket.noted`."""


def settled(
    terrain: Terrain, held: Held, lines: tuple[Line, ...], policy: Policy, beyond: Beyond
) -> Settled | None:
    """A plan that is proven to be cheapest, none for an order whose cheapest parts are no plan.

    None for a long order either.

    `lines` are in order of their ids, each sku is on one of them, and there is no supply; `beyond`
    are the prices of the cells held. Capacities and the most shipments are not looked at.
    """
    order = [
        policy.delay_minor,
        policy.lateness_minor,
        terrain.ordered_on.toordinal(),
        policy.nodes_per_line_max or 0,
        policy.split_minor,
        policy.shortage_minor,
        policy.ship_complete,
        len(lines),
    ]
    weight, sums = 0, 1
    for line in lines:
        sums *= (line.quantity + 1) * (line.quantity + 2) // 2
        order += columns(terrain, line, held.skus.index(line.sku))
        weight += line.quantity * line.priced_grams
    if sums > SUMS_MAX:
        # Unless most of it is nowhere to be found, which is told later as well.
        return None
    proven, figures, stock = _settled(
        terrain.packed,
        terrain.staircases(weight),
        _with(order, beyond),
        held.counts,
        held.numbers,
        held.units,
    )
    return Settled(figures.tolist(), stock.tobytes()) if proven else None


def _with(order: list[int], beyond: Beyond) -> Ints:
    asked = np.array(order, np.int64)
    return asked if beyond is NOTHING else np.concatenate([asked, packed_beyond(beyond)])


@compiled
def _settled(
    packed: Ints, stairs: Ints, order: Ints, counts: Ints, numbers: Ints, units: Ints
) -> tuple[bool, Ints, Bytes]:
    """Whether the cheapest plan was found, its bill, and the stock seen."""
    known = rows_of(packed)
    count = order[COUNT]
    end = HEAD + count * WIDTH
    lines = order[HEAD:end].reshape((count, WIDTH))
    needs = np.zeros(count, np.int64)
    for i in range(count):
        needs[lines[i, SKU]] = lines[i, QUANTITY]
    nodes = len(known.abilities)
    rows, table = rows_and_table(known.row_of, (counts, numbers, units), needs, nodes)
    waits = order[DELAY : NODES_MAX + 1]
    shortage = np.full(count, order[SHORTAGE])
    cells = Cells(rows, units, counts, lines, waits, beyond_of(order[end:]), table)
    slots = offered(known, cells, stairs_of(stairs), 1)
    money = Money(
        slots.time_minor,
        slots.slot_minor + order[SPLIT],
        slots.unit_minor,
        slots.step_starts,
        slots.step_grams,
        slots.step_minor,
        lines[:, GRAMS].copy(),
        order[SPLIT],
        np.full(count, UNPAYABLE) if order[COMPLETE] else shortage,
    )
    quantities = lines[:, QUANTITY].copy()
    outcome, chosen, minor, _, _ = parting(
        money, slots.units_max, quantities, (slots.nodes, order[NODES_MAX]), shortage
    )
    if outcome != PROVEN:
        return False, order[:0], np.zeros(0, np.uint8)
    figures = bill(known, cells, slots, chosen, (order[SPLIT], shortage))
    stock = noted(table, needs)
    return figures[OBJECTIVE] == minor, figures, stock
