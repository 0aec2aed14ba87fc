"""The small demonstration network: loads once, changes nothing afterwards, and its example works."""

from datetime import UTC, date, datetime, timedelta

import asyncpg
import msgspec
import pytest

from inventory.items import list_items
from inventory.nodes import Node, list_nodes, put_nodes
from inventory.supply import get_supply
from services.database import Database
from services.demo.small import put, small_network
from services.orders.request import AllocationRequest

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


async def counts(connection: asyncpg.Connection) -> dict[str, int]:
    tables = ("node", "item", "stock", "movement", "supply", "zone", "lane", "tariff", "calendar")
    return {
        table: await connection.fetchval(f"SELECT count(*) FROM {table}")  # noqa: S608 - our own
        for table in tables
    }


def test_the_data_file_holds_what_the_readme_promises() -> None:
    """Two warehouses, six stores and a supplier are few enough to read, and all kinds occur."""
    network = small_network(NOW.date())
    kinds = sorted(node.kind for node in network.nodes)
    assert kinds == ["store"] * 6 + ["supplier"] + ["warehouse"] * 2
    assert len(network.items) == 30
    assert len(network.zones) == 3
    assert {node_id for _, node_id in network.stock} <= {node.node_id for node in network.nodes}


def test_every_node_that_ships_has_a_lane_to_every_zone() -> None:
    """A forgotten lane would show as a plan that is dearer for no visible reason."""
    network = small_network(NOW.date())
    ground = {(lane.node_id, lane.zone_id) for lane in network.lanes if lane.service == "ground"}
    wanted = {
        (node.node_id, zone.zone_id)
        for node in network.nodes
        for zone in network.zones
        if "ship" in node.capabilities
    }
    assert ground == wanted


def test_the_example_basket_is_shipped_picked_up_and_expected() -> None:
    """The first thing a newcomer sees should be what other systems cannot do in one call."""
    network = small_network(NOW.date())
    basket = msgspec.convert(network.basket, AllocationRequest)
    assert {line.method for line in basket.lines} == {"ship", "pickup"}
    in_stock = {sku for sku, _ in network.stock}
    expected = {each.sku for each in network.supply}
    assert any(line.sku in expected - in_stock for line in basket.lines)
    assert basket.policy.backorder


async def test_loading_twice_changes_nothing(database: Database) -> None:
    """`make run` loads it at every start."""
    network = small_network(NOW.date())
    async with database.transaction() as connection:
        await put(connection, network, NOW)
        first = await counts(connection)
        await put(connection, network, NOW + timedelta(hours=1))
        assert await counts(connection) == first
        assert first["node"] == len(await list_nodes(connection)) == len(network.nodes)
        assert first["item"] == len(await list_items(connection)) == len(network.items)
        assert first["movement"] == len(network.stock)


async def test_loading_again_keeps_what_people_have_changed(database: Database) -> None:
    """A planner who tries something out should find it after a restart."""
    network = small_network(NOW.date())
    changed: Node = msgspec.structs.replace(network.nodes[0], handling_order_minor=999)
    async with database.transaction() as connection:
        await put(connection, network, NOW)
        await put_nodes(connection, [changed])
        await put(connection, network, NOW)
        nodes = {node.node_id: node for node in await list_nodes(connection)}
    assert nodes[changed.node_id].handling_order_minor == 999


@pytest.mark.parametrize(("days", "renewed"), [(20, False), (40, True)])
async def test_overdue_supply_is_expected_anew(
    database: Database, *, days: int, renewed: bool
) -> None:
    """Without it, the example of the README would stop being filled three weeks after the start."""
    later = NOW + timedelta(days=days)
    async with database.transaction() as connection:
        await put(connection, small_network(NOW.date()), NOW)
        await put(connection, small_network(later.date()), later)
        roast = (await get_supply(connection, ["beans-geisha-250"]))[0]
    expected: date = (later if renewed else NOW).date() + timedelta(days=21)
    assert roast.expected_on == expected
