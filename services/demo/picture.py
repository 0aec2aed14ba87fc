"""The map of the report: every city as a dot, every node in its place, every parcel on its way.

Drawn as SVG by hand, so that it needs no library, no map service and no fonts, and is the same
file every time. Colors are classes of the page's style sheet, which knows light and dark.
"""

from collections.abc import Iterable, Sequence
from math import cos, hypot, radians, sin, sqrt

import msgspec

from inventory.nodes import Node
from services.demo.measure import Flow, Summary
from services.demo.network import DemoNetwork
from services.demo.places import City

WIDTH = 960
HEIGHT = 590
MARGIN = 24

FLOWS_MAX = 900
"""Flows drawn, the largest; more would hide the network they run through."""
BULGE = 0.16
"""How far a flow's curve leaves the straight line, as a share of its length."""

Point = tuple[float, float]


class Projection(msgspec.Struct, frozen=True):
    """Albers' equal-area conic projection of the contiguous United States, fitted to the picture.

    Standard parallels 29.5 and 45.5 degrees, origin 37.5 north and 96 west: the usual ones.
    Formulas from Snyder, Map Projections: A Working Manual (1987), equations 14-1 to 14-6.
    """

    scale: float
    left: float
    top: float

    def point(self, latitude: float, longitude: float) -> Point:
        """Return where a place in degrees is in the picture, from its top left corner."""
        x, y = albers(latitude, longitude)
        return round(self.left + x * self.scale, 1), round(self.top - y * self.scale, 1)


class Map(msgspec.Struct, frozen=True, kw_only=True):
    """What is drawn, in the places where it is drawn."""

    cities: list[Point]
    large_cities: list[Point]
    nodes: dict[str, Point]
    zones: dict[str, Point]
    summary: Summary


def albers(latitude: float, longitude: float) -> Point:
    """Return the projected place of degrees, in radii of the earth from the origin."""
    first, second = radians(29.5), radians(45.5)
    cone = (sin(first) + sin(second)) / 2
    constant = cos(first) ** 2 + 2 * cone * sin(first)
    angle = cone * radians(longitude + 96)
    radius = sqrt(constant - 2 * cone * sin(radians(latitude))) / cone
    origin = sqrt(constant - 2 * cone * sin(radians(37.5))) / cone
    return radius * sin(angle), origin - radius * cos(angle)


def fitted(cities: Sequence[City]) -> Projection:
    """Return the projection that fills the picture with these cities."""
    points = [albers(city.latitude, city.longitude) for city in cities]
    xs, ys = [x for x, _ in points], [y for _, y in points]
    scale = min(
        (WIDTH - 2 * MARGIN) / (max(xs) - min(xs)), (HEIGHT - 2 * MARGIN) / (max(ys) - min(ys))
    )
    left = (WIDTH - scale * (max(xs) + min(xs))) / 2
    top = (HEIGHT + scale * (max(ys) + min(ys))) / 2
    return Projection(scale, left, top)


def lay_out(network: DemoNetwork, summary: Summary) -> Map:
    """Return where everything is drawn."""
    projection = fitted(network.cities)
    return Map(
        cities=[projection.point(city.latitude, city.longitude) for city in network.cities],
        large_cities=[
            projection.point(city.latitude, city.longitude)
            for city in network.cities
            if city.population >= 100_000
        ],
        nodes={
            node.node_id: projection.point(node.latitude, node.longitude) for node in network.nodes
        },
        zones={
            zone.zone_id: projection.point(zone.latitude, zone.longitude) for zone in network.zones
        },
        summary=summary,
    )


def draw(network: DemoNetwork, summary: Summary) -> str:
    """Return the map as the inside of an `svg` element of `WIDTH` by `HEIGHT`."""
    shown = lay_out(network, summary)
    warehouses = [node for node in network.nodes if node.kind == "warehouse"]
    stores = [node for node in network.nodes if node.kind == "store"]
    return "\n".join(
        [
            dots(shown.cities, "city"),
            dots(shown.large_cities, "city large"),
            curves(shown, summary.flows[:FLOWS_MAX]),
            circles(shown, stores, summary.pickups_by_store),
            squares(shown, warehouses),
        ]
    )


def dots(points: Iterable[Point], style: str) -> str:
    """Return many dots as one path: a line of no length with round ends is a dot."""
    drawn, at = [], (0, 0)
    for x, y in sorted({(round(x), round(y)) for x, y in points}):
        drawn.append(f"m{x - at[0]} {y - at[1]}h0")
        at = (x, y)
    return f'<path class="{style}" d="{"".join(drawn)}"/>'


def curves(shown: Map, flows: Sequence[Flow]) -> str:
    """Return flows as curves, wider for more parcels; the small ones first, beneath the others."""
    most = max((flow.parcels for flow in flows), default=1)
    drawn: dict[str, list[str]] = {"store": [], "warehouse": []}
    for flow in reversed(flows):
        kind = "warehouse" if flow.node_id.startswith("warehouse-") else "store"
        weight = sqrt(flow.parcels / most)
        path = curve(shown.nodes[flow.node_id], shown.zones[flow.zone_id])
        drawn[kind].append(
            f'<path stroke-width="{0.5 + 4.5 * weight:.1f}" opacity="{0.16 + 0.5 * weight:.2f}" '
            f'd="{path}"/>'
        )
    return "\n".join(grouped(f"flow {kind}", paths) for kind, paths in drawn.items())


def grouped(style: str, drawn: Sequence[str]) -> str:
    """Return drawn elements as a group of one style."""
    inside = "\n".join(drawn)
    return f'<g class="{style}">\n{inside}\n</g>'


def curve(start: Point, end: Point) -> str:
    """Return the path of a curve that bulges to the north, whichever way it goes."""
    (x, y), (to_x, to_y) = start, end
    length = hypot(to_x - x, to_y - y)
    side = -1 if to_x < x else 1
    control_x = (x + to_x) / 2 + side * BULGE * (to_y - y)
    control_y = (y + to_y) / 2 - side * BULGE * (to_x - x)
    if length < 1:
        return f"M{x:.0f} {y:.0f}h0"
    return f"M{x:.0f} {y:.0f}Q{control_x:.0f} {control_y:.0f} {to_x:.0f} {to_y:.0f}"


def circles(shown: Map, stores: Sequence[Node], pickups: dict[str, int]) -> str:
    """Return the stores as circles, larger for more orders picked up there."""
    drawn = []
    for store in stores:
        x, y = shown.nodes[store.node_id]
        radius = 1.6 + 0.45 * sqrt(pickups.get(store.node_id, 0))
        drawn.append(f'<circle cx="{x:g}" cy="{y:g}" r="{radius:.1f}"/>')
    return grouped("node store", drawn)


def squares(shown: Map, warehouses: Sequence[Node]) -> str:
    """Return the warehouses as squares with their names."""
    drawn = []
    for warehouse in warehouses:
        x, y = shown.nodes[warehouse.node_id]
        drawn.append(
            f'<rect class="node warehouse" x="{x - 6:g}" y="{y - 6:g}" width="12" height="12" '
            f'rx="2"/>\n<text class="name" x="{x:g}" y="{y - 11:g}">{warehouse.name}</text>'
        )
    return "\n".join(drawn)
