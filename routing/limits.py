"""Limits that slots of one node have in common: what it has by each date, and what it can do."""

from collections.abc import Iterator
from datetime import date

from routing.instance import OpenLimit, Slot, UnitLimit
from routing.problem import Stock
from routing.survey import Survey


def available_by(stock: Stock | None, day: date, *, backorder: bool) -> int:
    """Units that work started on `day` can take: on hand and, with backorders, supply until then."""
    if stock is None:
        return 0
    expected = sum(s.quantity for s in stock.supply if s.available_on <= day) if backorder else 0
    return max(0, stock.available) + expected


def stock_limits(
    surveyed: Survey,
    slots: tuple[Slot, ...],
    units_max: tuple[tuple[int, ...], ...],
    indices: list[int],
    takers: dict[int, list[tuple[int, int]]],
) -> Iterator[UnitLimit]:
    """Units of a sku in all slots that start by a date are there by that date.

    Stock by date only grows, so these prefix limits are enough for every unit to have a source.
    """
    backorder = surveyed.problem.policy.backorder
    for s, lines in takers.items():
        stock = surveyed.stock.get((slots[indices[0]].node.node_id, surveyed.skus[s]))
        needed = sum(count * surveyed.lines[i].quantity for i, count in lines)
        for day in sorted({slots[k].start_on for k in indices}):
            there = available_by(stock, day, backorder=backorder)
            terms = tuple(
                (k, i, count)
                for k in indices
                if slots[k].start_on <= day
                for i, count in lines
                if units_max[k][i]
            )
            if there < needed and len(terms) > 1:
                yield UnitLimit("stock", there, terms)


def capacity_limits(
    surveyed: Survey,
    slots: tuple[Slot, ...],
    units_max: tuple[tuple[int, ...], ...],
    indices: list[int],
) -> Iterator[UnitLimit | OpenLimit]:
    """Slots of one node and work date share its capacity."""
    node = slots[indices[0]].node
    for limit in node.capacity:
        shared = tuple(k for k in indices if slots[k].work_on == limit.work_on)
        if limit.unit == "orders":
            if len(shared) > limit.remaining:
                yield OpenLimit("capacity", limit.remaining, shared)
            continue
        terms = tuple(
            (k, i, surveyed.lines[i].pieces)
            for k in shared
            for i, most in enumerate(units_max[k])
            if most
        )
        if sum(count * units_max[k][i] for k, i, count in terms) > limit.remaining:
            yield UnitLimit("capacity", limit.remaining, terms)
