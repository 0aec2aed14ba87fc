"""Transfers: what has left one node and not arrived at the other is in transit, to the unit."""

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import asyncpg
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inventory import transfers
from inventory.availability import atp_by_date
from inventory.dispatch import Consumption, consume
from inventory.ledger import MovementRefused, record
from inventory.resolve import confirm
from inventory.supply import Receipt, Supply, put_supply, receive_supply
from inventory.transfers import Arrival, Moved, Transfer, TransferLine
from tests.inventory.conftest import Connect
from tests.inventory.world import (
    assert_silent,
    counters,
    demand,
    hold,
    moved,
    run,
    states,
    stock_up,
    take,
)

SOON = datetime.now(UTC).date() + timedelta(days=3)


def lamps(quantity: int, *, holder_id: UUID | None = None) -> Transfer:
    """Return a transfer of lamps from north to south."""
    transfer_id = uuid4()
    return Transfer(
        transfer_id=transfer_id,
        from_node_id="north",
        to_node_id="south",
        holder_id=holder_id or transfer_id,
        expected_on=SOON,
        actor="test",
        lines=(TransferLine(sku="lamp", quantity=quantity),),
    )


async def begun(connection: asyncpg.Connection, quantity: int) -> Transfer:
    """Open a transfer of lamps."""
    transfer = lamps(quantity)
    assert await run(connection, transfers.begin, transfer, buffers={}) is None
    return transfer


async def shipped(connection: asyncpg.Connection, quantity: int) -> Transfer:
    """Open a transfer of lamps and let them leave."""
    transfer = await begun(connection, quantity)
    await run(connection, transfers.ship, transfer, {"lamp": quantity}, actor="test")
    return await found(connection, transfer.transfer_id)


async def found(connection: asyncpg.Connection, transfer_id: UUID) -> Transfer:
    """Return a transfer that exists."""
    transfer = await transfers.find(connection, transfer_id)
    assert transfer is not None
    return transfer


async def arrive(connection: asyncpg.Connection, transfer: Transfer, **units: int) -> Moved:
    """Receive units of a transfer as it is now."""

    async def work(connection: asyncpg.Connection) -> Moved:
        locked = await transfers.lock_one(connection, transfer.transfer_id)
        assert locked is not None
        return await transfers.receive(
            connection,
            locked,
            [Arrival(sku="lamp", **units)],
            movement_id=uuid4(),
            actor="test",
        )

    return await run(connection, work)


async def test_units_are_promised_then_in_transit_then_there(
    connection: asyncpg.Connection,
) -> None:
    """Nobody can sell at either end what is on the van, and everybody can see that it comes."""
    await stock_up(connection, {("lamp", "north"): 5, ("lamp", "south"): 1})
    transfer = await begun(connection, 3)
    assert await counters(connection, "lamp", "north") == (5, 3, 0, 0)
    await run(connection, transfers.ship, transfer, {"lamp": 3}, actor="test")
    assert await counters(connection, "lamp", "north") == (2, 0, 0, 0)
    steps = await atp_by_date(connection, ["lamp"], channel="web", node_ids=["south"])
    assert [(step.available_on, step.quantity) for step in steps] == [(None, 1), (SOON, 4)]
    await assert_silent(connection)
    await arrive(connection, transfer, quantity=3)
    assert await counters(connection, "lamp", "south") == (4, 0, 0, 0)
    ended = await found(connection, transfer.transfer_id)
    assert (ended.state, ended.lines[0].in_transit) == ("received", 0)
    await assert_silent(connection)


async def test_what_is_not_shipped_is_free_again(connection: asyncpg.Connection) -> None:
    """The shelf had two instead of three; the third may be sold where it is found."""
    await stock_up(connection, {("lamp", "north"): 5})
    transfer = await begun(connection, 3)
    await run(connection, transfers.ship, transfer, {"lamp": 2}, actor="test")
    assert await counters(connection, "lamp", "north") == (3, 0, 0, 0)
    await arrive(connection, transfer, quantity=2)
    assert (await found(connection, transfer.transfer_id)).state == "received"
    await assert_silent(connection)


async def test_units_come_in_parts_some_damaged_and_some_never(
    connection: asyncpg.Connection,
) -> None:
    """Two boxes of three; one came open, and one lamp is still somewhere."""
    await stock_up(connection, {("lamp", "north"): 6})
    transfer = await shipped(connection, 6)
    await arrive(connection, transfer, quantity=2)
    await arrive(connection, transfer, quantity=3, damaged=1)
    assert await counters(connection, "lamp", "south") == (5, 0, 1, 0)
    assert (await found(connection, transfer.transfer_id)).state == "shipped"
    await assert_silent(connection)
    await arrive(connection, transfer, lost=1)
    ended = await found(connection, transfer.transfer_id)
    assert ended.state == "received"
    assert ended.lines == (
        TransferLine(sku="lamp", quantity=6, shipped=6, received=5, damaged=1, lost=1),
    )
    await assert_silent(connection)


async def test_more_than_is_in_transit_cannot_arrive(connection: asyncpg.Connection) -> None:
    """A parcel scanned twice would make a lamp out of nothing."""
    await stock_up(connection, {("lamp", "north"): 3})
    transfer = await shipped(connection, 3)
    await arrive(connection, transfer, quantity=2)
    with pytest.raises(ValueError, match="1 units of lamp are in transit"):
        await arrive(connection, transfer, quantity=2)
    await assert_silent(connection)


async def test_a_transfer_takes_only_what_nobody_was_promised(
    connection: asyncpg.Connection,
) -> None:
    """A customer's promise comes before tidying up the network."""
    await stock_up(connection, {("lamp", "north"): 5})
    await hold(connection, demand(take("lamp", "north", 3)))
    refusal = await run(connection, transfers.begin, lamps(3), buffers={})
    assert refusal is not None
    assert refusal.available == 2
    refusal = await run(connection, transfers.begin, lamps(2), buffers={"lamp": 1})
    assert refusal is not None


async def test_a_cancelled_transfer_gives_its_units_back(connection: asyncpg.Connection) -> None:
    """The van did not come."""
    await stock_up(connection, {("lamp", "north"): 5})
    transfer = await begun(connection, 3)
    await run(connection, transfers.cancel, transfer)
    assert await counters(connection, "lamp", "north") == (5, 0, 0, 0)
    assert (await found(connection, transfer.transfer_id)).state == "cancelled"
    await assert_silent(connection)


async def test_goods_that_a_count_did_not_find_cannot_leave(
    connection: asyncpg.Connection,
) -> None:
    """The count came between; what is left is promised to a customer."""
    await stock_up(connection, {("lamp", "north"): 5})
    await hold(connection, demand(take("lamp", "north", 2)))
    transfer = await begun(connection, 3)
    await run(connection, record, [moved("count_loss", "lamp", "north", 2)])
    with pytest.raises(MovementRefused, match="only 1 are not promised to others"):
        await run(connection, transfers.ship, transfer, {"lamp": 3}, actor="test")
    await run(connection, transfers.ship, transfer, {"lamp": 1}, actor="test")
    await assert_silent(connection)


async def test_what_waits_at_the_destination_is_served_in_promise_order(
    connection: asyncpg.Connection,
) -> None:
    """A backorder promised from the van gets its lamp before anybody in the shop does."""
    await stock_up(connection, {("lamp", "north"): 3, ("lamp", "south"): 1})
    transfer = await shipped(connection, 2)
    waiting = demand(take("lamp", "south", 2, supply_id=transfer.supply_id))
    assert await hold(connection, waiting) == [None]
    result = await arrive(connection, transfer, quantity=1, lost=1)
    assert [(each.supply_id, each.shortage) for each in result.supply_shortages] == [
        (transfer.supply_id, 1)
    ]
    assert await counters(connection, "lamp", "south") == (2, 1, 0, 0)
    await assert_silent(connection)


@pytest.mark.parametrize("confirmed", [False, True])
async def test_units_held_for_a_customer_stay_the_customers_on_the_way(
    connection: asyncpg.Connection, confirmed: bool
) -> None:
    """Reserved there, brought here: no walk-in may buy them at either end, or off the van."""
    await stock_up(connection, {("lamp", "north"): 2, ("lamp", "south"): 1})
    customer = demand(take("lamp", "north", 2), holder_kind="staff")
    assert await hold(connection, customer) == [None]
    if confirmed:
        await run(connection, confirm, [customer.holder_id])
    transfer = lamps(2, holder_id=customer.holder_id)
    assert await run(connection, transfers.begin, transfer, buffers={}) is None
    with pytest.raises(ValueError, match="ship all of them"):
        await run(connection, transfers.ship, transfer, {"lamp": 1}, actor="test")
    await run(connection, transfers.ship, transfer, {"lamp": 2}, actor="test")
    refused = await hold(connection, demand(take("lamp", "south", 1, supply_id=transfer.supply_id)))
    assert refused != [None]
    await assert_silent(connection)
    await arrive(connection, transfer, quantity=2)
    assert await counters(connection, "lamp", "south") == (3, 2, 0, 0)
    live = "confirmed" if confirmed else "held"
    assert (await states(connection, customer.holder_id))[live] == 2
    await assert_silent(connection)
    if confirmed:
        line = customer.takes[0].line_id
        gone = Consumption(
            movement_id=uuid4(), line_id=line, sku="lamp", node_id="south", quantity=2
        )
        await run(connection, consume, customer.holder_id, [gone], actor="test")
        await assert_silent(connection)


async def test_a_transfer_whose_holder_is_gone_cannot_leave(
    connection: asyncpg.Connection,
) -> None:
    """The hold expired meanwhile; its units may be somebody else's by now."""
    await stock_up(connection, {("lamp", "north"): 2})
    transfer = lamps(2, holder_id=uuid4())
    assert await run(connection, transfers.begin, transfer, buffers={}) is None
    with pytest.raises(ValueError, match="no longer has what"):
        await run(connection, transfers.ship, transfer, {"lamp": 2}, actor="test")


async def test_damaged_arrivals_serve_nobody(connection: asyncpg.Connection) -> None:
    """A promise kept with a broken lamp is a promise broken twice."""
    await stock_up(connection, {("lamp", "south"): 1})
    await run(
        connection,
        put_supply,
        [Supply(sku="lamp", supply_id="po-1", node_id="south", expected_on=SOON, quantity=3)],
    )
    waiting = demand(take("lamp", "south", 3, supply_id="po-1"))
    assert await hold(connection, waiting) == [None]
    receipt = Receipt(
        movement_id=uuid4(),
        sku="lamp",
        supply_id="po-1",
        quantity=3,
        damaged=1,
        happened_at=None,
        actor="test",
    )
    await run(connection, receive_supply, [receipt])
    assert (await counters(connection, "lamp", "south"))[:3] == (4, 2, 1)
    await assert_silent(connection)
    again = await run(connection, receive_supply, [receipt])
    assert again.repeated == (receipt.movement_id,)
    with pytest.raises(ValueError, match="no more damaged than came in"):
        await run(
            connection,
            receive_supply,
            [msgspec.structs.replace(receipt, movement_id=uuid4(), damaged=4)],
        )


async def test_crossing_transfers_never_deadlock(connect: Connect) -> None:
    """Two vans that pass each other on the road must not wait for each other in the database."""
    connections = await connect(8)
    await stock_up(connections[0], {("lamp", "north"): 50, ("lamp", "south"): 50})

    async def send(connection: asyncpg.Connection, backwards: bool) -> None:
        for _ in range(5):
            transfer = lamps(1)
            if backwards:
                transfer = msgspec.structs.replace(
                    transfer, from_node_id="south", to_node_id="north"
                )
            await run(connection, transfers.begin, transfer, buffers={})
            await run(connection, transfers.ship, transfer, {"lamp": 1}, actor="test")
            await arrive(connection, transfer, quantity=1)

    await asyncio.gather(
        *(send(connection, bool(number % 2)) for number, connection in enumerate(connections))
    )
    assert await counters(connections[0], "lamp", "north") == (50, 0, 0, 0)
    assert await counters(connections[0], "lamp", "south") == (50, 0, 0, 0)
    await assert_silent(connections[0])


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("begin"), st.integers(1, 4), st.booleans()),
        st.tuples(st.just("ship"), st.integers(0, 9), st.integers(0, 4)),
        st.tuples(st.just("receive"), st.integers(0, 9), st.integers(0, 4)),
        st.tuples(st.just("lose"), st.integers(0, 9), st.integers(1, 4)),
        st.tuples(st.just("cancel"), st.integers(0, 9), st.none()),
        st.tuples(st.just("sell"), st.integers(1, 2), st.booleans()),
    ),
    max_size=25,
)


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=STEPS)
def test_two_nodes_always_sum(steps: list[tuple[str, int, object]], database_url: str) -> None:
    """Whatever happens in whatever order: at both nodes, on the way, sold or lost, ten units."""
    asyncio.run(play(steps, database_url))


async def play(steps: list[tuple[str, int, object]], database_url: str) -> None:
    """Take the steps on emptied tables, and add everything up after each."""
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(
            "TRUNCATE stock, movement, reservation, supply, transfer, transfer_line"
        )
        await stock_up(connection, {("lamp", "north"): 6, ("lamp", "south"): 4})
        sold = 0
        known: list[UUID] = []
        for step in steps:
            sold += await take_step(connection, step, known)
            assert await total(connection) + sold == 10
            await assert_silent(connection)
    finally:
        await connection.close()


async def take_step(
    connection: asyncpg.Connection, step: tuple[str, int, object], known: list[UUID]
) -> int:
    """Take one step; what cannot be is refused and changes nothing. Return the units sold."""
    name, number, how = step
    if name == "sell":
        node = "north" if how else "south"
        try:
            await run(connection, record, [moved("sale", "lamp", node, number)])
        except MovementRefused:
            return 0
        return number
    if name == "begin":
        transfer = lamps(number)
        if how:
            transfer = msgspec.structs.replace(transfer, from_node_id="south", to_node_id="north")
        if await run(connection, transfers.begin, transfer, buffers={}) is None:
            known.append(transfer.transfer_id)
        return 0
    if known:
        transfer = await found(connection, known[number % len(known)])
        with contextlib.suppress(ValueError):
            await go_on(connection, transfer, name, how)
    return 0


async def go_on(connection: asyncpg.Connection, transfer: Transfer, name: str, how: object) -> None:
    """Ship, receive, lose or cancel where the transfer's state has it."""
    units = how if isinstance(how, int) else 0
    if name == "ship" and transfer.state == "open":
        await run(connection, transfers.ship, transfer, {"lamp": units}, actor="test")
    elif name == "cancel" and transfer.state == "open":
        await run(connection, transfers.cancel, transfer)
    elif name == "receive" and transfer.state == "shipped":
        await arrive(connection, transfer, quantity=units)
    elif name == "lose" and transfer.state == "shipped":
        await arrive(connection, transfer, lost=units)


async def total(connection: asyncpg.Connection) -> int:
    """Return all lamps there are: on hand, in transit and lost."""
    units: int = await connection.fetchval(
        "SELECT (SELECT sum(on_hand) FROM stock)"
        " + (SELECT coalesce(sum(shipped - received), 0) FROM transfer_line)"
    )
    return units
