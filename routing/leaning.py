"""A terrain as a strategy sees it: without what it leaves out, with what it prices.

Both are worked out once for a terrain and a strategy, so that an order pays nothing for them.
"""

from collections.abc import Callable, Iterable

import msgspec
import numpy as np

from routing import filters
from routing.grid import Ints
from routing.problem import Lane, Node, Policy
from routing.terrain import Terrain, packed, sorted_out

LEANING_MAX = 32
"""Strategies kept with a terrain; beyond it all are forgotten and made anew when asked for."""


def leaned(terrain: Terrain, policy: Policy) -> Terrain:
    """The terrain for a policy; the same one where that leaves out and prices nothing."""
    wanted = filters.leaning(policy)
    if wanted is None:
        return terrain
    found = terrain.leaning.get(wanted)
    if found is None:
        if len(terrain.leaning) >= LEANING_MAX:
            terrain.leaning.clear()
        found = terrain.leaning[wanted] = _made(terrain, policy)
    return found


def _made(terrain: Terrain, policy: Policy) -> Terrain:
    nodes, rows = terrain.destination.nodes, terrain.rows
    there = [filters.takes_node(policy, node) for node in nodes]
    row_of = np.repeat(np.arange(len(nodes)), np.diff(rows.lane_starts))
    places = [
        (place, nodes[row])
        for place, row in enumerate(row_of.tolist())
        if there[row] and filters.bars_lane(policy, nodes[row], terrain.lanes[place]) is None
    ]
    kept = _ints(place for place, _ in places)
    lanes = [(node, terrain.lanes[place]) for place, node in places]
    counts = np.bincount(row_of[kept], minlength=len(nodes))
    changed = rows._replace(
        abilities=np.where(there, rows.abilities, 0).astype(np.int64),
        lane_starts=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        lane_tariff=rows.lane_tariff[kept],
        lane_latest=rows.lane_latest[kept],
        lane_ready=rows.lane_ready[kept],
        lane_to=rows.lane_to[kept],
        lane_abilities=rows.lane_abilities[kept],
        lane_opening=_prices(lanes, lambda node, lane: filters.opening_minor(policy, node, lane)),
        lane_rate=_prices(lanes, lambda _, lane: filters.emissions_rate(policy, lane)),
        pickup_opening=_ints(filters.opening_minor(policy, node, None) for node in nodes),
    )
    seen = sorted_out(changed)
    return msgspec.structs.replace(
        terrain,
        rows=seen,
        packed=packed(seen),
        promises=tuple(terrain.promises[place] for place, _ in places),
        departures=tuple(terrain.departures[place] for place, _ in places),
        lanes=tuple(lane for _, lane in lanes),
        leaning={},
    )


def _prices(lanes: list[tuple[Node, Lane]], price: Callable[[Node, Lane], int]) -> Ints:
    return _ints(price(node, lane) for node, lane in lanes)


def _ints(values: Iterable[int]) -> Ints:
    return np.array([*values], np.int64)
