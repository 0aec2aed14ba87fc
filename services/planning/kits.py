"""How many kits there are: a kit is not stocked itself, but made up of what is.

All of one kit comes from one node, so a node has as many kits as the scarcest of their components
allows there, and nothing of one node makes up for what another lacks.
"""

from collections.abc import Mapping, Sequence
from datetime import date

from inventory.availability import Cell, SupplyCell

Parts = Sequence[tuple[str, int]]
"""The components of a kit: sku, and units of it in one kit."""


def kit_cells(kit: str, parts: Parts, cells: Mapping[str, Sequence[Cell]]) -> list[Cell]:
    """Return the kits at each node that has a record of every component; `cells` are by sku.

    What is on hand, and what of that may be had, is counted in kits. What is expected is told from
    the date on which the last component of the kit is there.
    """
    by_part = [({cell.node_id: cell for cell in cells.get(sku, ())}, units) for sku, units in parts]
    if not by_part:
        return []
    shared = set.intersection(*({*own} for own, _ in by_part))
    return [
        kit_cell(kit, [(own[node_id], units) for own, units in by_part])
        for node_id in sorted(shared)
    ]


def kit_cell(kit: str, parts: Sequence[tuple[Cell, int]]) -> Cell:
    """Return the kits at one node, of its components there and how many of each a kit has."""
    scarcest, units = min(parts, key=lambda part: part[0].available // part[1])
    return Cell(
        sku=kit,
        node_id=scarcest.node_id,
        on_hand=min(cell.on_hand // each for cell, each in parts),
        reserved=0,
        unavailable=0,
        shortage=0,
        buffer=0,
        buffer_rule=None,
        available=scarcest.available // units,
        supply=kit_supply(parts),
    )


def kit_supply(parts: Sequence[tuple[Cell, int]]) -> tuple[SupplyCell, ...]:
    """Return the kits that can be made up beyond those of today, by the date of the last part."""
    dates = sorted({each.expected_on for cell, _ in parts for each in cell.supply})
    known = min(cell.available // units for cell, units in parts)
    found = []
    for on in dates:
        kits = min(by_date(cell, on) // units for cell, units in parts)
        if kits > known:
            found.append(SupplyCell("", on, kits - known))
            known = kits
    return tuple(found)


def by_date(cell: Cell, on: date) -> int:
    """Return the units of a record that can be promised by a date."""
    return cell.available + sum(
        each.quantity_promisable for each in cell.supply if each.expected_on <= on
    )
