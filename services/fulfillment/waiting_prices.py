"""What units and work are worth to waiting orders whose strategies go by learned prices."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

import asyncpg
import msgspec
import numpy as np

from inventory.availability import Cell
from inventory.nodes import CapacityLeft
from routing.grid import Ints
from routing.terrain import Terrain
from services.planning.network import Network
from services.planning.playbook import Weights
from services.prices import few, records
from services.prices.load import node_minor
from services.prices.pages import Item
from services.prices.records import Pace, Priced, Version
from services.prices.refusals import Refusal


class Learned(msgspec.Struct, frozen=True, kw_only=True):
    """What is in force of learned prices, as far as some orders need it."""

    version: Version
    items: Mapping[str, tuple[Item, Sequence[Priced]]]
    """By sku: the item, and what is learned of its records."""
    refusals: Sequence[Refusal]
    paces: Mapping[str, Pace]
    """By node id."""


class Holding(msgspec.Struct, frozen=True, kw_only=True):
    """What an order asks of a sku, and what it holds of it."""

    sku: str
    wanted: int
    unit_price_minor: int
    """What a unit is sold for, 0 where nobody said."""
    own: Mapping[str, int]
    """By node id: units that it holds there."""


async def read_learned(
    connection: asyncpg.Connection, skus: Sequence[str], node_ids: Sequence[str], now: datetime
) -> Learned | None:
    """Return what is in force of some skus at some nodes; none where nothing is, or it is too old."""
    version = await records.find_version(connection)
    if version is None or now > version.valid_until_at:
        return None
    items = await few.find_priced(connection, skus)
    categories = sorted({item.category for item, _ in items.values()})
    return Learned(
        version=version,
        items=items,
        refusals=await records.find_refusals(connection, node_ids, categories),
        paces={pace.node_id: pace for pace in await records.read_paces(connection)},
    )


def unit_prices(
    network: Network,
    learned: Learned,
    cells: Sequence[Cell],
    holding: Holding,
    weights: Weights,
    now: datetime,
) -> tuple[Ints, Ints]:
    """Return worth and risk of a unit of a sku in each of its cells.

    What the order holds itself is priced as before it was taken.
    """
    known = learned.items.get(holding.sku)
    if known is None:
        return np.zeros(len(cells), np.int64), np.zeros(len(cells), np.int64)
    found = [
        few.Record(
            cell.node_id,
            cell.sku,
            network.nodes[cell.node_id].time_zone,
            cell.on_hand - cell.reserved - cell.unavailable + holding.own.get(cell.node_id, 0),
            network.nodes[cell.node_id].kind == "store",
        )
        for cell in cells
    ]
    item, rows = known
    asked = item, rows, holding.wanted
    worth = few.worths(found, asked, weights, learned.version, now, holding.unit_price_minor)
    risk = few.risks(found, item.category, learned.refusals, weights, now)
    return np.array(worth, np.int64), np.array(risk, np.int64)


def work_prices(
    network: Network,
    terrain: Terrain,
    left: Sequence[CapacityLeft],
    learned: Learned | None,
    weights: Weights,
    now: datetime,
) -> dict[str, int]:
    """Return the price of one more fulfillment by node, on the first date of its work from now."""
    paces = learned.paces if learned else {}
    found: Counter[str] = Counter()
    for each in left:
        row = terrain.row_of.get(each.node_id)
        first = None if row is None else terrain.dispatches[row]
        if each.node_id not in network.nodes or first is None or first.work_on != each.work_on:
            continue
        minor = node_minor(each, network, paces.get(each.node_id), weights, now)
        found[each.node_id] = max(found[each.node_id], minor)
    return {node_id: minor for node_id, minor in found.items() if minor}
