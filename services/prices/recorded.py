"""Recorded orders as routing takes them: read from their decision records, to be decided again."""

import zlib
from collections.abc import Mapping, Sequence

import msgspec

from routing.destination import Destination, read_body
from routing.hindsight_day import DayOrder
from routing.record import Asked, asked_of, digest_of, expand
from routing.terrain import Terrain, prepare

TERRAINS_MAX = 300
"""Destinations prepared at a time; orders to further ones are not looked at."""


class Found(msgspec.Struct, frozen=True):
    """Some orders as routing takes them."""

    orders: list[DayOrder]
    numbers: dict[str, int]
    """Of nodes in their terrains."""
    places: list[int]
    """Which of the records each order was read from."""


def read_orders(kept: Sequence[bytes], bodies: Mapping[bytes, bytes]) -> Found:
    """Read decision records; those whose master data is not at hand are left out.

    So are those of kits, whose components share stock in a way that lines by themselves do not.
    """
    served = {digest: read_body(zlib.decompress(body)) for digest, body in bodies.items()}
    numbers: dict[str, int] = {}
    for each in served.values():
        for node in each.nodes:
            numbers.setdefault(node.node_id, len(numbers))
    terrains: dict[bytes, list[Terrain]] = {}
    orders, places = [], []
    for place, record in enumerate(kept):
        digest = digest_of(record)
        if digest in served:
            asked = asked_of(record, served[digest])
            if any(line.components for line in asked.lines):
                continue
            terrain = terrain_at(served[digest], terrains.setdefault(digest, []), numbers, asked)
            body = zlib.decompress(bodies[digest]) if asked.is_weighed else b""
            orders.append(DayOrder(terrain, asked, cost_of(asked, record, body)))
            places.append(place)
    return Found(orders, numbers, places)


def terrain_at(
    served: Destination, prepared: list[Terrain], numbers: Mapping[str, int], asked: Asked
) -> Terrain:
    """Return the terrain of a destination at an order's instant, from those prepared or a new one."""
    for terrain in prepared:
        if terrain.covers(asked.now):
            return terrain
    prepared.append(prepare(served, numbers, asked.now))
    return prepared[-1]


def cost_of(asked: Asked, record: bytes, body: bytes) -> int:
    """Return what a plan cost without prices of units and nodes, which are paid to nobody."""
    if not asked.is_weighed:
        return asked.objective_minor
    prices = expand(record, body).plan.prices
    return asked.objective_minor - prices.worth_minor - prices.risk_minor - prices.surcharge_minor
