"""Nodes, items, buffers and capacity: what stands around a stock record."""

from datetime import timedelta
from itertools import product

import asyncpg
import msgspec
import pytest

from inventory.availability import read_cells
from inventory.buffers import (
    PRECEDENCE,
    Buffer,
    buffer_at,
    delete_buffers,
    exclude,
    put_buffers,
    read_rules,
    readmit,
)
from inventory.items import Item, get_items, list_items, missing_items, put_items
from inventory.nodes import (
    Capacity,
    get_nodes,
    list_nodes,
    missing_nodes,
    put_capacity,
    put_nodes,
    read_capacity,
    set_enabled,
)
from inventory.tables import ANY
from tests.inventory.world import (
    ON,
    add_nodes,
    assert_silent,
    demand,
    hold,
    run,
    stock_up,
    take,
    used_capacity,
    work,
)


async def test_the_most_specific_buffer_wins_and_is_named(connection: asyncpg.Connection) -> None:
    """A planner has to see why twelve units are kept back: the answer says which rule it was."""
    await stock_up(connection, {("lamp", "store"): 100})
    keys = product(("lamp", ANY), ("store", ANY), ("web", ANY))
    rules = [Buffer(sku=s, node_id=n, channel=c, quantity=i) for i, (s, n, c) in enumerate(keys)]
    await run(connection, put_buffers, rules)
    for places, (name, _) in zip([("lamp", "store"), (ANY, "store")], PRECEDENCE, strict=False):
        await run(connection, exclude, [places])
        cell = (await read_cells(connection, ["lamp"], channel="web"))[0]
        assert (cell.available, cell.buffer_rule) == (0, name)
        await run(connection, readmit, [places])
    for expected, (name, _) in zip(rules, PRECEDENCE[2:], strict=True):
        cell = (await read_cells(connection, ["lamp"], channel="web"))[0]
        assert (cell.buffer, cell.buffer_rule) == (expected.quantity, name)
        assert cell.available == 100 - expected.quantity
        key = (expected.sku, expected.node_id, expected.channel)
        assert await run(connection, delete_buffers, [key]) == 1
    cell = (await read_cells(connection, ["lamp"], channel="web"))[0]
    assert (cell.buffer, cell.buffer_rule) == (0, None)
    assert buffer_at(await read_rules(connection, ["lamp"], "web"), "lamp", "store", "web")[0] == 0


async def test_available_is_never_shown_below_zero(connection: asyncpg.Connection) -> None:
    """A buffer larger than the stock keeps all of it back, and no more."""
    await stock_up(connection, {("lamp", "store"): 3})
    await run(connection, put_buffers, [Buffer(quantity=5)])
    assert (await read_cells(connection, ["lamp"], channel="web"))[0].available == 0


async def test_a_node_that_is_switched_off_is_not_offered(connection: asyncpg.Connection) -> None:
    """The kill switch; loading master data again does not turn the node on."""
    await stock_up(connection, {("lamp", "store"): 3, ("lamp", "depot"): 2})
    assert await run(connection, set_enabled, "store", enabled=False)
    await add_nodes(connection, "store")
    cells = await read_cells(connection, ["lamp"], channel="web")
    assert [cell.node_id for cell in cells] == ["depot"]
    assert not (await get_nodes(connection, ["store"]))[0].enabled
    assert not await run(connection, set_enabled, "nowhere", enabled=False)
    only = await read_cells(connection, ["lamp"], channel="web", node_ids=["store"])
    assert only == []


async def test_nodes_and_items_come_back_as_they_were_put(connection: asyncpg.Connection) -> None:
    """Lists are read in pages; what is missing can be asked before a feed is applied."""
    await add_nodes(connection, "a", "b", "c", capacity_maximum=4)
    nodes = await list_nodes(connection)
    await run(connection, put_nodes, [msgspec.structs.replace(nodes[1], name="Depot")])
    assert [node.name for node in await list_nodes(connection)] == ["", "Depot", ""]
    assert [node.node_id for node in await list_nodes(connection, after="a", limit=1)] == ["b"]
    assert await missing_nodes(connection, ["a", "x"]) == {"x"}
    lamp = Item(sku="lamp", weight_grams=300, length_mm=120, requires=("fragile",))
    bulb = Item(sku="bulb", weight_grams=30)
    await run(connection, put_items, [lamp, bulb])
    assert await get_items(connection, ["lamp", "cord"]) == [lamp]
    assert await list_items(connection, after="bulb") == [lamp]
    assert await missing_items(connection, ["lamp", "cord"]) == {"cord"}
    with pytest.raises(ValueError, match="means every sku"):
        await run(connection, put_items, [msgspec.structs.replace(lamp, sku=ANY)])


async def test_capacity_comes_from_the_node_s_default_until_somebody_sets_it(
    connection: asyncpg.Connection,
) -> None:
    """A date without a row shows the default; a set one shows what is left of it, in its unit."""
    await add_nodes(connection, "store", capacity_maximum=10)
    await add_nodes(connection, "free")
    await stock_up_quietly(connection)
    units = Capacity(
        node_id="store", work_on=ON + timedelta(days=1), unit="units", planned=5, maximum=7
    )
    await run(connection, put_capacity, [units])
    tomorrow = msgspec.structs.replace(work("store", units=4), work_on=ON + timedelta(days=1))
    orders = [
        demand(take("lamp", "store", 1), capacity=[work("store", units=4), tomorrow]),
        demand(take("lamp", "store", 1), capacity=[work("free"), tomorrow]),
    ]
    answers = await hold(connection, *orders)
    assert [answer and (answer.what, answer.available) for answer in answers] == [
        None,
        ("capacity", 3),
    ]
    left = await read_capacity(connection, ["store", "free"], ON, 3)
    assert [(each.unit, each.remaining, each.planned_remaining) for each in left] == [
        ("orders", 9, None),
        ("units", 3, 1),
        ("orders", 10, None),
    ]
    assert await used_capacity(connection, "store") == 1
    with pytest.raises(ValueError, match="cannot change its unit to orders"):
        await run(connection, put_capacity, [msgspec.structs.replace(units, unit="orders")])
    await run(connection, put_capacity, [msgspec.structs.replace(units, maximum=2)])
    left = await read_capacity(connection, ["store"], ON + timedelta(days=1), 1)
    assert [each.remaining for each in left] == [-2]
    await assert_silent(connection)


async def stock_up_quietly(connection: asyncpg.Connection) -> None:
    """Receive lamps in the store without putting the store anew."""
    await connection.execute(
        "INSERT INTO stock (sku, node_id, on_hand) VALUES ('lamp', 'store', 9)"
    )
    await connection.execute(
        "INSERT INTO movement (sku, node_id, kind, quantity, happened_at, actor) "
        "VALUES ('lamp', 'store', 'receive', 9, now(), 'test')"
    )


@pytest.mark.parametrize(
    ("changed", "advice"),
    [
        ({"quantity": 0}, "a quantity is at least 1"),
        ({"buffer": -1}, "a buffer at least 0"),
    ],
)
async def test_a_demand_that_no_stock_could_answer_is_an_error_and_not_a_refusal(
    connection: asyncpg.Connection, changed: dict[str, int], advice: str
) -> None:
    """Sent by mistake, and better found at once."""
    with pytest.raises(ValueError, match=advice):
        await hold(connection, demand(msgspec.structs.replace(take("x", "y", 1), **changed)))
    with pytest.raises(ValueError, match="takes nothing"):
        await hold(connection, demand())
    same = take("x", "y", 1)
    with pytest.raises(ValueError, match="named twice"):
        await hold(connection, demand(same), demand(same))
    negative = work("y", orders=-1)
    with pytest.raises(ValueError, match="neither can be negative"):
        await hold(connection, demand(same, capacity=[negative]))


async def test_an_unknown_record_is_named_and_a_repeated_reservation_fails_its_batch(
    connection: asyncpg.Connection,
) -> None:
    """Whoever names a reservation twice gets an error, and can tell the order from the others."""
    await stock_up(connection, {("lamp", "store"): 9})
    refusal = (await hold(connection, demand(take("lamp", "nowhere", 1))))[0]
    assert refusal is not None
    assert (refusal.what, refusal.node_id) == ("unknown", "nowhere")
    order = demand(take("lamp", "store", 1))
    await hold(connection, order)
    with pytest.raises(asyncpg.UniqueViolationError):
        await hold(connection, demand(take("lamp", "store", 1)), order)
    await assert_silent(connection)
