"""Whether a stock view agrees with the tables: compared with another that was just loaded."""

from collections.abc import Iterator
from typing import Any

from msgspec.structs import astuple

from inventory.audit.checks import Difference
from inventory.slices import NODE, PENDING
from inventory.view import StockView

Rows = dict[Any, tuple[Any, ...]]


def compare_views(view: StockView, fresh: StockView) -> list[Difference]:
    """Return where `view` shows other figures than `fresh`; an empty list means that all agree.

    `fresh` was loaded in a snapshot whose changes `view` has all applied. The view may be ahead of
    it, never behind: a row may differ where its version is higher, and nowhere else.
    """
    return [
        *_compare("stock", stock_rows(fresh), stock_rows(view)),
        *_compare("supply", supply_rows(fresh), supply_rows(view)),
        *_compare("capacity", capacity_rows(fresh), capacity_rows(view)),
        *_compare("item", item_rows(fresh), item_rows(view)),
        *_compare("buffer", buffer_rows(fresh), buffer_rows(view)),
        *_compare("pool", pool_rows(fresh), pool_rows(view)),
        *_compare("quota", quota_rows(fresh), quota_rows(view)),
    ]


def stock_rows(view: StockView) -> Rows:
    """Return on hand, reserved, unavailable and version by sku and node."""
    arrays = view.slices.arrays
    found = {}
    for sku, slot in view.slots.items():
        start, length = arrays.bounds[slot, :2].tolist()
        versions = arrays.versions[start : start + length].tolist()
        for cell, version in zip(view.cells(sku).tolist(), versions, strict=True):
            found[sku, view.node_ids[cell[NODE]]] = (*cell[1:PENDING], version)
    return found


def supply_rows(view: StockView) -> Rows:
    """Return the fields of supply that is still to come by sku and supply."""
    return {
        (sku, supply_id): astuple(row)
        for sku, rows in view.supplies.items()
        for supply_id, row in rows.items()
        if row.quantity > row.received
    }


def capacity_rows(view: StockView) -> Rows:
    """Return the fields of capacity by node, date and slot."""
    return {
        (node_id, *key): astuple(row)
        for node_id, rows in view.capacities.rows.items()
        for key, row in rows.items()
    }


def item_rows(view: StockView) -> Rows:
    """Return weight, requirements and a version that is always the same by sku."""
    facts = ((sku, view.facts[slot]) for sku, slot in view.slots.items())
    return {sku: (*astuple(known), 0) for sku, known in facts if known is not None}


def buffer_rows(view: StockView) -> Rows:
    """Return units and a version that is always the same by sku, node and channel."""
    return {key: (units, 0) for rules in view.rules.by_sku.values() for key, units in rules.items()}


def pool_rows(view: StockView) -> Rows:
    """Return the pool and a version that is always the same by channel."""
    return {channel: (pool_id, 0) for channel, pool_id in view.quotas.pools.items()}


def quota_rows(view: StockView) -> Rows:
    """Return the fields of quotas of which anything is left or used by sku, node and pool."""
    return {
        (sku, node_id, pool_id): astuple(row)
        for sku, nodes in view.quotas.by_sku.items()
        for node_id, rows in nodes.items()
        for pool_id, row in rows.items()
        if row.quantity > row.consumed
    }


def _compare(what: str, expected: Rows, found: Rows) -> Iterator[Difference]:
    """Compare rows whose last value is their version."""
    for key in expected.keys() | found.keys():
        row, shown = expected.get(key), found.get(key)
        ahead = row is None or (shown is not None and shown[-1] > row[-1])
        if shown != row and not (ahead and shown is not None and shown[-1] > 0):
            yield Difference(
                check=f"{what} view",
                key=str(key),
                expected=row[-1] if row else 0,
                found=shown[-1] if shown else None,
                what=f"the view shows {shown} for {what} {key}; the table says {row}",
            )
