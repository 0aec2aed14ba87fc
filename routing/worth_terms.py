"""What the worth of units was made up of, as a record keeps it: for whom, and for what."""

import zlib
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from routing.basket import Basket, by_row
from routing.bundles import needs_of
from routing.destination import Destination
from routing.plan import Plan
from routing.problem import Line
from routing.terrain import Terrain

__all__ = ["WorthTerms", "noted_terms", "read_terms", "terms_of"]

WorthTerms = Mapping[str, Mapping[tuple[str, str], int]]
"""By what it is for, then by node id and sku: minor units for each unit."""

_Noted = list[tuple[str, bytes, bytes]]


def noted_terms(terrain: Terrain, basket: Basket) -> bytes:
    """The terms of a basket, of the cells where they are anything and the terrain has the node."""
    held, nodes = basket.held, len(terrain.destination.nodes)
    skus = np.repeat(np.arange(len(held.skus)), held.counts)
    needs = np.array([needs_of(basket.lines)[sku] for sku in held.skus], np.int64)
    rows, units = by_row(terrain.packed, (held.counts, held.numbers, held.units), needs)
    noted: _Noted = []
    for name, minor in basket.terms.items():
        some = (rows >= 0) & (units > 0) & (minor != 0)
        places = skus[some] * nodes + rows[some]
        noted.append((name, places.astype("<i4").tobytes(), minor[some].astype("<i8").tobytes()))
    return zlib.compress(msgspec.msgpack.encode(noted), 1)


def read_terms(noted: bytes, served: Destination, skus: Sequence[str]) -> WorthTerms:
    """The terms that were noted; `skus` are those of the order by name."""
    if not noted:
        return {}
    found: dict[str, dict[tuple[str, str], int]] = {}
    for name, places, minor in msgspec.msgpack.decode(zlib.decompress(noted), type=_Noted):
        own = found[name] = {}
        values = np.frombuffer(minor, "<i8").tolist()
        for place, value in zip(np.frombuffer(places, "<i4").tolist(), values, strict=True):
            s, row = divmod(place, len(served.nodes))
            own[served.nodes[row].node_id, skus[s]] = value
    return found


def terms_of(plan: Plan, lines: Sequence[Line], terms: WorthTerms) -> dict[str, int]:
    """What the units of a plan come to by term, minor units; nothing of terms that come to 0."""
    sku_of = {line.line_id: line.sku for line in lines}
    found: dict[str, int] = {}
    for part in plan.fulfillments:
        for each in part.lines:
            cell = part.node_id, sku_of[each.line_id]
            for name, by_cell in terms.items():
                found[name] = found.get(name, 0) + each.quantity * by_cell.get(cell, 0)
    return {name: minor for name, minor in found.items() if minor}
