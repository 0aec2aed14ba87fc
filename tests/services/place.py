"""A small network that tests can hold in their head.

Two warehouses and two stores, one of each in the east and in the west; parcels are cheap nearby and
dear across the country. MUG is everywhere, LAMP only in the warehouses, SOFA only in the east and
expected in the west.
"""

from datetime import UTC, date, datetime, time, timedelta

from inventory.items import Item, put_items
from inventory.ledger import SnapshotRecord, apply_snapshot
from inventory.nodes import Node, put_nodes
from inventory.supply import Supply, put_supply
from routing.problem import Bracket, Calendar, Tariff
from services.database import Database
from services.planning import records
from services.planning.records import Zone, ZoneLane

NEW_YORK = {"country": "US", "postal_code": "10001"}
LOS_ANGELES = {"country": "US", "postal_code": "90001"}


def zone_past(hour: int) -> str:
    """Return a time zone whose clocks are past an hour as the tests begin, so that no day ends soon."""
    return f"Etc/GMT{datetime.now(UTC).hour - hour:+d}"


TIME_ZONES = {"EAST": zone_past(14), "WEST": zone_past(11)}
PLACES = {"EAST": (40.7, -74.0), "WEST": (34.0, -118.2)}
STOCK = {
    ("MUG", "WH-EAST"): 100,
    ("MUG", "WH-WEST"): 100,
    ("MUG", "ST-EAST"): 5,
    ("MUG", "ST-WEST"): 5,
    ("LAMP", "WH-EAST"): 10,
    ("LAMP", "WH-WEST"): 10,
    ("SOFA", "WH-EAST"): 1,
}
SUPPLY_ON = date.today() + timedelta(days=10)  # noqa: DTZ011 - only its distance matters


async def furnish(database: Database) -> None:
    """Write the network and its opening stock."""
    async with database.transaction() as connection:
        await records.put_calendars(
            connection, [Calendar(calendar_id="daily", weekdays=(1, 2, 3, 4, 5, 6, 7))]
        )
        await records.put_zones(connection, [zone("EAST", "1"), zone("WEST", "9")])
        await records.put_tariffs(connection, [tariff("near", 500), tariff("far", 1200)])
        await put_nodes(
            connection,
            [node(f"{kind}-{side}") for kind in ("WH", "ST") for side in ("EAST", "WEST")],
        )
        await records.put_lanes(connection, lanes())
        await put_items(
            connection,
            [
                Item(sku="MUG", name="Mug", weight_grams=400),
                Item(sku="LAMP", name="Lamp", weight_grams=2_000),
                Item(sku="SOFA", name="Sofa", weight_grams=30_000),
            ],
        )
        await records.bump_version(connection)
    await stock(database, STOCK)
    async with database.transaction() as connection:
        await put_supply(
            connection,
            [
                Supply(
                    sku="SOFA",
                    supply_id="PO-1",
                    node_id="WH-WEST",
                    kind="purchase_order",
                    expected_on=SUPPLY_ON,
                    quantity=4,
                )
            ],
        )


async def stock(database: Database, on_hand: dict[tuple[str, str], int]) -> None:
    """Set what is on hand, as a feed would."""
    now = datetime.now(UTC)
    async with database.transaction() as connection:
        await apply_snapshot(
            connection,
            "test",
            int(now.timestamp() * 1_000_000),
            [
                SnapshotRecord(sku=sku, node_id=node_id, on_hand=units, as_of=now)
                for (sku, node_id), units in on_hand.items()
            ],
            "test",
        )


def zone(side: str, prefix: str) -> Zone:
    """Return one of the two zones."""
    latitude, longitude = PLACES[side]
    return Zone(
        zone_id=side,
        country="US",
        postal_prefixes=(prefix,),
        latitude=latitude,
        longitude=longitude,
        time_zone=TIME_ZONES[side],
    )


def tariff(name: str, price: int) -> Tariff:
    """Return a tariff of two brackets, the heavier at three times the price."""
    return Tariff(
        tariff_id=name,
        brackets=(
            Bracket(weight_grams_max=5_000, price_minor=price),
            Bracket(weight_grams_max=31_500, price_minor=3 * price),
        ),
    )


def node(node_id: str) -> Node:
    """Return one of the four nodes; a store's handling costs more than a warehouse's."""
    kind, side = node_id.split("-")
    latitude, longitude = PLACES[side]
    return Node(
        node_id=node_id,
        kind="warehouse" if kind == "WH" else "store",
        country="US",
        latitude=latitude,
        longitude=longitude,
        time_zone=TIME_ZONES[side],
        calendar_id="daily",
        cut_off=time(23, 59),
        capabilities=("ship",) if kind == "WH" else ("ship", "pickup"),
        handling_order_minor=100 if kind == "WH" else 200,
        handling_unit_minor=10,
    )


def lanes() -> list[ZoneLane]:
    """Return the lanes: two days within a side, five across."""
    return [
        ZoneLane(
            zone_id=to,
            node_id=f"{kind}-{side}",
            service="ground",
            tariff_id="near" if to == side else "far",
            transit_days_min=1 if to == side else 4,
            transit_days_max=2 if to == side else 5,
        )
        for kind in ("WH", "ST")
        for side in ("EAST", "WEST")
        for to in ("EAST", "WEST")
    ]
