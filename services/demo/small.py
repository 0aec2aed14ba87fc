"""The small demonstration network: nine nodes and thirty items, all of them in `small.toml`."""

import asyncio
import tomllib
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

from inventory.items import Item, put_items
from inventory.ledger import SnapshotRecord, apply_snapshot
from inventory.nodes import Node, missing_nodes, put_nodes
from inventory.slots import Slot, put_slots
from inventory.supply import Supply, get_supply, put_supply
from routing.problem import Bracket, Calendar, Tariff
from services.database import Database
from services.planning import records as planning
from services.planning.records import Zone, ZoneLane
from services.settings import Settings

SOURCE = "small demonstration"
ACTOR = "demonstration"
COUNTRY = "US"
CHOICES = Path(__file__).parent / "small.toml"


class SmallNetwork(msgspec.Struct, frozen=True, kw_only=True):
    """The small network as values."""

    calendars: list[Calendar]
    zones: list[Zone]
    tariffs: list[Tariff]
    lanes: list[ZoneLane]
    slots: list[Slot]
    nodes: list[Node]
    items: list[Item]
    stock: dict[tuple[str, str], int]
    """Units by sku and node."""
    supply: list[Supply]
    basket: dict[str, Any]
    """The body of an allocation to try."""


def small_network(today: date) -> SmallNetwork:
    """Return the small network; its supply is expected some days after `today`."""
    read = tomllib.loads(CHOICES.read_text())
    return SmallNetwork(
        calendars=msgspec.convert(read["calendars"], list[Calendar]),
        zones=[Zone(country=COUNTRY, **zone_fields(each)) for each in read["zones"]],
        tariffs=[tariff(each) for each in read["tariffs"]],
        lanes=[lane for each in read["carriers"] for lane in lanes(each)],
        slots=msgspec.convert(read["slots"], list[Slot]),
        nodes=[node(each) for each in read["nodes"]],
        items=[
            Item(
                sku=sku,
                name=each["name"],
                category=each["category"],
                weight_grams=each["weight_grams"],
            )
            for sku, each in read["items"].items()
        ],
        stock={
            (sku, node_id): units
            for sku, each in read["items"].items()
            for node_id, units in each["stock"].items()
        },
        supply=[supply(each, today) for each in read["supply"]],
        basket=read["basket"],
    )


def zone_fields(read: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a zone."""
    return {**read, "postal_prefixes": tuple(read["postal_prefixes"])}


def tariff(read: dict[str, Any]) -> Tariff:
    """Return a tariff whose brackets are pairs of weight and price."""
    return Tariff(
        tariff_id=read["tariff_id"],
        brackets=tuple(
            Bracket(weight_grams_max=weight, price_minor=price)
            for weight, price in read["brackets"]
        ),
    )


def lanes(read: dict[str, Any]) -> list[ZoneLane]:
    """Return the lanes of a group of nodes that ship alike."""
    return [
        ZoneLane(
            zone_id=zone_id,
            node_id=node_id,
            service=read.get("service", "ground"),
            tariff_id=tariff_id,
            transit_days_min=read["days"][zone_id][0],
            transit_days_max=read["days"][zone_id][1],
            calendar_id="weekdays",
        )
        for node_id in read["nodes"]
        for zone_id, tariff_id in read["to"].items()
    ]


def node(read: dict[str, Any]) -> Node:
    """Return a node; its capacity is in orders a day."""
    capacity = read.pop("capacity_orders", None)
    return Node(
        **{
            **read,
            "country": COUNTRY,
            "cut_off": time.fromisoformat(read["cut_off"]),
            "capabilities": tuple(read["capabilities"]),
            "capacity_unit": "orders" if capacity else None,
            "capacity_maximum": capacity,
        }
    )


def supply(read: dict[str, Any], today: date) -> Supply:
    """Return a supply with the date that is `in_days` from today."""
    expected_on = today + timedelta(days=read.pop("in_days"))
    return Supply(expected_on=expected_on, **read)


def load(settings: Settings) -> dict[str, Any]:
    """Load the small network the first time, and return the body of an allocation to try on it.

    `settings` name the database, which has the newest schema. Raises what the database raises.
    """
    return asyncio.run(load_once(settings))


async def load_once(settings: Settings) -> dict[str, Any]:
    """Load the small network into a database that does not have it; see `load`."""
    now = datetime.now(UTC)
    network = small_network(now.date())
    database = Database(str(settings.database_url), settings, connections_max=1)
    try:
        await database.run(lambda connection: put(connection, network, now))
    finally:
        await database.close()
    return network.basket


async def put(connection: asyncpg.Connection, network: SmallNetwork, now: datetime) -> None:
    """Write the network unless its nodes are there, so that what people changed since stays.

    Only supply whose date has passed is expected anew, or the example would stop working one day.
    """
    if not await missing_nodes(connection, [each.node_id for each in network.nodes]):
        known = await get_supply(connection, [each.sku for each in network.supply])
        overdue = {each.supply_id for each in known if each.expected_on < now.date()}
        renewed = [each for each in network.supply if each.supply_id in overdue]
        await put_supply(connection, renewed)
        return
    await planning.put_calendars(connection, network.calendars)
    await planning.put_zones(connection, network.zones)
    await planning.put_tariffs(connection, network.tariffs)
    await put_nodes(connection, network.nodes)
    await put_items(connection, network.items)
    await planning.put_lanes(connection, network.lanes)
    await put_slots(connection, network.slots)
    counted = [
        SnapshotRecord(sku=sku, node_id=node_id, on_hand=units, as_of=now)
        for (sku, node_id), units in network.stock.items()
    ]
    await apply_snapshot(connection, SOURCE, 1, counted, ACTOR)
    await put_supply(connection, network.supply)
    await planning.bump_version(connection)
