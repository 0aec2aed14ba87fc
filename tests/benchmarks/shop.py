"""The network that the benchmark sells from: fifty nodes, ten zones, plenty of stock. Seeded.

Every sku stands in nine of ten warehouses and four of ten stores, so that most orders of several
lines have many ways to be filled, few of them from one node.
"""

import math
import random
import tempfile
from datetime import UTC, datetime, time
from pathlib import Path

import asyncpg
import msgspec

from inventory.items import Item, put_items
from inventory.ledger import SnapshotRecord, apply_snapshot
from inventory.nodes import Node, put_nodes
from routing.problem import Bracket, Tariff
from services.demo.records import settle
from services.feeds.imports import Order, import_file
from services.feeds.rows import KINDS
from services.planning import records as planning
from services.planning.records import Zone, ZoneLane

COUNTRY = "US"
WAREHOUSES, STORES, ZONES = 5, 45, 10
SKUS, HOT_SKUS = 2_000, 64
UNITS = 10_000_000
WIDE_NODES, WIDE_SKUS = 457, 40
"""Nodes in all, as many as a large grocer has, and skus that stand at every one of them. The nodes
beyond the fifty that sell hand over only, and have nothing else: they are there to be looked at."""
LINES_MAX = 4
POPULAR_NODES = {"warehouse": 0.9, "store": 0.4}
HOT_NODE = "warehouse-0"
TARIFFS = {"near": 390, "middle": 520, "far": 690, "express": 1_290}
"""Price of a parcel of up to a kilogram, in minor units."""
BRACKETS = ((1_000, 1.0), (3_000, 1.35), (8_000, 2.1), (20_000, 3.6))
"""Weight of a parcel in grams, and its price as a multiple of the first."""


class Shop(msgspec.Struct, frozen=True, kw_only=True):
    """The network as values."""

    zones: list[Zone]
    nodes: list[Node]
    lanes: list[ZoneLane]
    tariffs: list[Tariff]
    items: list[Item]
    stock: list[tuple[str, str]]
    """Sku and node of every stock record that is sold from."""
    wide: list[tuple[str, str]]
    """Those that are only looked at."""


class Basket(msgspec.Struct, frozen=True):
    """An order as it is sent, without its id."""

    zone: int
    lines: list[tuple[str, int]]
    """Sku and quantity."""

    @property
    def units(self) -> int:
        """Units over all lines."""
        return sum(quantity for _, quantity in self.lines)


def build(seed: int) -> Shop:
    """Return the network of a seed."""
    chance = random.Random(seed)
    zones = [zone(number, chance) for number in range(ZONES)]
    nodes = [node("warehouse", number, chance) for number in range(WAREHOUSES)]
    nodes += [node("store", number, chance) for number in range(STORES)]
    skus = [sku_of(number) for number in range(SKUS)]
    items = [Item(sku=sku, weight_grams=chance.randint(100, 3_000)) for sku in skus]
    items += [Item(sku=hot_sku(number), weight_grams=500) for number in range(HOT_SKUS)]
    stock = [
        (sku, each.node_id)
        for sku in skus
        for each in nodes
        if chance.random() < POPULAR_NODES[each.kind]
    ]
    more = WIDE_NODES - len(nodes)
    counters = [
        msgspec.structs.replace(
            node("store", number, chance), node_id=f"counter-{number}", capabilities=("pickup",)
        )
        for number in range(more)
    ]
    wide = [wide_sku(number) for number in range(WIDE_SKUS)]
    items += [Item(sku=sku, weight_grams=500) for sku in wide]
    return Shop(
        zones=zones,
        nodes=[*nodes, *counters],
        lanes=[lane for each in nodes for to in zones for lane in lanes(each, to)],
        tariffs=[tariff(name, price) for name, price in TARIFFS.items()],
        items=items,
        stock=stock,
        wide=[(sku, each.node_id) for sku in wide for each in (*nodes, *counters)],
    )


def wide_sku(number: int) -> str:
    """Return a sku that stands at every node."""
    return f"wide-{number:03}"


def sku_of(number: int) -> str:
    """Return a sku by its number."""
    return f"sku-{number:05}"


def hot_sku(number: int) -> str:
    """Return a sku that is sold out by a run of its own; it has no stock until that run."""
    return f"hot-{number:03}"


def zone(number: int, chance: random.Random) -> Zone:
    """Return a zone, which is the postal codes that begin with its number."""
    return Zone(
        zone_id=f"zone-{number}",
        country=COUNTRY,
        postal_prefixes=(str(number),),
        latitude=chance.uniform(26, 48),
        longitude=chance.uniform(-122, -72),
        time_zone="America/Chicago",
    )


def node(kind: str, number: int, chance: random.Random) -> Node:
    """Return a node; a store's work costs more than a warehouse's."""
    handling = {"warehouse": (90, 20), "store": (160, 45)}[kind]
    return Node(
        node_id=f"{kind}-{number}",
        kind="warehouse" if kind == "warehouse" else "store",
        country=COUNTRY,
        latitude=chance.uniform(26, 48),
        longitude=chance.uniform(-122, -72),
        time_zone="America/Chicago",
        calendar_id=planning.DAILY.calendar_id,
        cut_off=time(18, 0),
        capabilities=("ship", "pickup"),
        handling_order_minor=handling[0],
        handling_unit_minor=handling[1],
    )


def lanes(start: Node, to: Zone) -> list[ZoneLane]:
    """Return the carrier services from a node to a zone: by ground, and from warehouses express."""
    degrees = math.dist((start.latitude, start.longitude), (to.latitude, to.longitude))
    days, tariff_id = (2, "near") if degrees < 10 else (3, "middle") if degrees < 22 else (5, "far")
    ground = ZoneLane(
        zone_id=to.zone_id,
        node_id=start.node_id,
        service="ground",
        tariff_id=tariff_id,
        transit_days_min=days - 1,
        transit_days_max=days,
    )
    if start.kind == "store":
        return [ground]
    express = msgspec.structs.replace(
        ground, service="express", tariff_id="express", transit_days_min=1, transit_days_max=1
    )
    return [ground, express]


def tariff(tariff_id: str, price_minor: int) -> Tariff:
    """Return the prices of parcels by weight."""
    return Tariff(
        tariff_id=tariff_id,
        brackets=tuple(
            Bracket(weight_grams_max=grams, price_minor=round(price_minor * share))
            for grams, share in BRACKETS
        ),
    )


def baskets(count: int, seed: int) -> list[Basket]:
    """Return random baskets of one to four lines, each of a sku of its own and one or two units."""
    chance = random.Random(seed)
    return [
        Basket(
            zone=chance.randrange(ZONES),
            lines=[
                (sku_of(number), chance.choice((1, 1, 2)))
                for number in chance.sample(range(SKUS), chance.randint(1, LINES_MAX))
            ],
        )
        for _ in range(count)
    ]


async def load(url: str, shop: Shop) -> None:
    """Write the network into the migrated database at `url`; raises RuntimeError for a bad row.

    Stock comes in by the importer, so that its ledger is whole.
    """
    connection = await asyncpg.connect(url)
    async with connection.transaction():
        await planning.put_zones(connection, shop.zones)
        await planning.put_tariffs(connection, shop.tariffs)
        await put_nodes(connection, shop.nodes)
        await put_items(connection, shop.items)
        await planning.put_lanes(connection, shop.lanes)
        await planning.bump_version(connection)
    with tempfile.TemporaryDirectory(prefix="nom-bench-") as folder:
        path = Path(folder) / "stock.csv"
        write_stock(path, [*shop.stock, *shop.wide], UNITS)
        await import_stock(connection, path)
    await connection.close()


def write_stock(path: Path, stock: list[tuple[str, str]], units: int) -> None:
    """Write a stock file that says `units` lie at each of these skus and nodes."""
    with path.open("w") as file:
        file.write("sku,node_id,on_hand\n")
        file.writelines(f"{sku},{node_id},{units}\n" for sku, node_id in stock)


async def import_stock(connection: asyncpg.Connection, path: Path) -> None:
    """Import a stock file; raises RuntimeError when a row is rejected."""
    order = Order(
        kind=KINDS["stock"],
        path=path,
        form="csv",
        source="benchmark",
        rejects=path.with_suffix(".rejects"),
    )
    outcome = await import_file(connection, order, lambda _phase, _share: None)
    if outcome.rejected:
        raise RuntimeError(f"{outcome.rejected} rows of stock were rejected")
    await settle(connection)


async def put_hot_stock(url: str, number: int, units: int) -> None:
    """Have `units` of a hot sku counted at the one node that has it."""
    connection = await asyncpg.connect(url)
    counted = SnapshotRecord(
        sku=hot_sku(number), node_id=HOT_NODE, on_hand=units, as_of=datetime.now(UTC)
    )
    async with connection.transaction():
        await apply_snapshot(connection, "hot", number + 1, [counted], "benchmark")
    await connection.close()
