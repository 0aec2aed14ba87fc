"""Bugs seen in open-source inventory systems; each test is named after what it prevents.

The numbers in the docstrings say where others met it. Races among them are in `test_races.py`.
"""

import asyncio
from uuid import UUID, uuid4

import asyncpg
import msgspec
import pytest

from inventory.audit import oversold
from inventory.availability import read_cells
from inventory.buffers import Buffer, put_buffers
from inventory.dispatch import Consumption, consume
from inventory.ledger import (
    MovementRefused,
    SnapshotRecord,
    apply_snapshot,
    record,
)
from inventory.reserve import Demand, Refusal, reserve
from inventory.resolve import confirm, expire_due, release, retake
from tests.inventory.conftest import Connect
from tests.inventory.world import (
    FAR,
    PAST,
    add_nodes,
    ago,
    assert_silent,
    counters,
    demand,
    hold,
    moved,
    run,
    states,
    stock_up,
    take,
    used_capacity,
    work,
)


async def test_two_lines_of_one_item_that_fit_alone_and_not_together_are_refused(
    connection: asyncpg.Connection,
) -> None:
    """Bug 1 (medusa#16502): each line was checked against the same untouched stock."""
    await stock_up(connection, {("lamp", "store"): 5})
    order = demand(take("lamp", "store", 3), take("lamp", "store", 3))
    assert await hold(connection, order) == [
        Refusal(what="stock", sku="lamp", node_id="store", needed=6, available=5)
    ]
    assert await counters(connection, "lamp", "store") == (5, 0, 0, 0)


async def test_stock_of_all_nodes_together_is_not_taken_from_one(
    connection: asyncpg.Connection,
) -> None:
    """Bug 2 (medusa#14987): the check summed every node, the reservation used one."""
    await stock_up(connection, {("lamp", "north"): 3, ("lamp", "south"): 3})
    order = demand(take("lamp", "north", 5))
    assert await hold(connection, order) == [
        Refusal(what="stock", sku="lamp", node_id="north", needed=5, available=3)
    ]


async def test_dispatch_from_another_node_never_takes_what_is_promised_there(
    connection: asyncpg.Connection,
) -> None:
    """Bug 3 (medusa#16488): a reservation was moved without a check at its destination."""
    await stock_up(connection, {("lamp", "north"): 2, ("lamp", "south"): 2})
    order = await confirmed(connection, demand(take("lamp", "north", 2)))
    await confirmed(connection, demand(take("lamp", "south", 1)))
    with pytest.raises(MovementRefused, match="only 1 are not promised to others"):
        await dispatch(connection, order, "south", 2)
    assert await counters(connection, "lamp", "south") == (2, 1, 0, 0)
    await assert_silent(connection)


async def test_what_remains_of_a_line_split_over_nodes_is_tracked_at_each(
    connection: asyncpg.Connection,
) -> None:
    """Bug 4 (vendure#4030): after the first part the remainder was forgotten."""
    await stock_up(connection, {("lamp", "north"): 4, ("lamp", "south"): 10})
    first = take("lamp", "north", 4)
    second = msgspec.structs.replace(take("lamp", "south", 3), line_id=first.line_id)
    order = await confirmed(connection, demand(first, second))
    await dispatch(connection, order, "south", 2)
    assert await states(connection, order.holder_id) == {"confirmed": 5, "consumed": 2}
    assert await counters(connection, "lamp", "north") == (4, 4, 0, 0)
    assert await counters(connection, "lamp", "south") == (8, 1, 0, 0)
    await assert_silent(connection)


async def test_holders_given_as_a_one_shot_iterator_are_all_released(
    connection: asyncpg.Connection,
) -> None:
    """Bug 5 (Saleor, reading): ids in an iterator were used up by the first of two queries."""
    await stock_up(connection, {("lamp", "store"): 3})
    orders = [demand(take("lamp", "store", 1)) for _ in range(3)]
    await hold(connection, *orders)
    released = await run(connection, release, (order.holder_id for order in orders))
    assert released == [order.holder_id for order in orders]
    assert await counters(connection, "lamp", "store") == (3, 0, 0, 0)
    await assert_silent(connection)


async def test_nodes_with_equal_stock_all_count(connection: asyncpg.Connection) -> None:
    """Bug 6 (Saleor, reading): a sum over distinct values lost nodes with the same figure."""
    await stock_up(connection, {("lamp", node): 4 for node in ("north", "south", "east")})
    cells = await read_cells(connection, ["lamp"], channel="web")
    assert sum(cell.available for cell in cells) == 12


async def test_a_sale_at_the_till_and_a_web_order_never_share_a_unit(connect: Connect) -> None:
    """Bug 8 (HotWax, reading): reserving did not check while another path sold."""
    callers = await connect(20)
    await stock_up(callers[0], {("lamp", "store"): 10})

    async def sell(connection: asyncpg.Connection) -> bool:
        try:
            await run(connection, record, [moved("sale", "lamp", "store", 1)])
        except MovementRefused:
            return False
        return True

    async def order(connection: asyncpg.Connection) -> bool:
        return await hold(connection, demand(take("lamp", "store", 1))) == [None]

    given = await asyncio.gather(
        *(sell(caller) if number % 2 else order(caller) for number, caller in enumerate(callers))
    )
    assert sum(given) == 10
    on_hand, reserved, *_ = await counters(callers[0], "lamp", "store")
    assert on_hand == reserved
    await assert_silent(callers[0])


async def test_a_dispatch_or_cancel_reported_twice_has_one_effect(
    connection: asyncpg.Connection,
) -> None:
    """Bug 9 (magento/inventory PR 2420): a repeated callback gave the same stock back twice."""
    await stock_up(connection, {("lamp", "store"): 5})
    await add_nodes(connection, "store", capacity_maximum=9)
    order = await confirmed(connection, demand(take("lamp", "store", 2), capacity=[work("store")]))
    other = await confirmed(connection, demand(take("lamp", "store", 1), capacity=[work("store")]))
    again = uuid4()
    for _ in range(2):
        await dispatch(connection, order, "store", 2, movement_id=again)
        await run(connection, release, [other.holder_id, other.holder_id])
        await run(connection, release, [order.holder_id])
    assert await counters(connection, "lamp", "store") == (3, 0, 0, 0)
    assert await used_capacity(connection, "store") == 1
    await assert_silent(connection)


async def test_after_a_dispatch_from_another_node_both_nodes_are_right(
    connection: asyncpg.Connection,
) -> None:
    """Bug 10 (medusa#16338): stock left one node and the promise stayed at the other."""
    await stock_up(connection, {("lamp", "north"): 3, ("lamp", "south"): 3})
    order = await confirmed(connection, demand(take("lamp", "north", 2)))
    await dispatch(connection, order, "south", 2)
    assert await counters(connection, "lamp", "north") == (3, 0, 0, 0)
    assert await counters(connection, "lamp", "south") == (1, 0, 0, 0)
    assert await states(connection, order.holder_id) == {"consumed": 2}
    await assert_silent(connection)


async def test_a_hold_that_ran_out_during_payment_is_retaken_whole_or_not_at_all(
    connection: asyncpg.Connection,
) -> None:
    """Bug 11 (woocommerce#66303, openfoodnetwork#7665): paid for, and the stock was gone."""
    await stock_up(connection, {("lamp", "store"): 2, ("bulb", "store"): 1})
    await add_nodes(connection, "store", capacity_maximum=1)
    order = demand(
        take("lamp", "store", 1),
        take("bulb", "store", 1),
        capacity=[work("store")],
        expires_at=PAST,
    )
    await hold(connection, order)
    await run(connection, expire_due, holder_kind="allocation", limit=10)
    assert await run(connection, confirm, [order.holder_id]) == []

    rival = demand(take("bulb", "store", 1), expires_at=FAR)
    await hold(connection, rival)
    again = demand(
        take("lamp", "store", 1),
        take("bulb", "store", 1),
        holder_id=order.holder_id,
        capacity=[work("store")],
    )
    refusal = await run(connection, retake, again)
    assert refusal == Refusal(what="stock", sku="bulb", node_id="store", needed=1, available=0)
    assert await states(connection, order.holder_id) == {"expired": 2}

    await run(connection, release, [rival.holder_id])
    assert await run(connection, retake, again) is None
    assert await states(connection, order.holder_id) == {"expired": 2, "confirmed": 2}
    assert await used_capacity(connection, "store") == 1
    with pytest.raises(ValueError, match="still has live reservations"):
        await run(connection, retake, again)
    await assert_silent(connection)


async def test_a_feed_below_what_is_promised_is_a_shortage_and_not_an_error(
    connection: asyncpg.Connection,
) -> None:
    """Bug 13: such a feed was refused, or the promise shown as a negative number."""
    await stock_up(connection, {("lamp", "store"): 10})
    order = demand(take("lamp", "store", 8))
    await hold(connection, order)
    result = await run(
        connection,
        apply_snapshot,
        "erp",
        1,
        [SnapshotRecord(sku="lamp", node_id="store", on_hand=5, as_of=ago())],
        "f",
    )
    assert [(each.shortage, each.before) for each in result.shortages] == [(3, 0)]
    assert await counters(connection, "lamp", "store") == (5, 8, 0, 3)
    assert [cell.available for cell in await read_cells(connection, ["lamp"], channel="web")] == [0]
    assert [each.units for each in await oversold(connection)] == [3]
    await run(connection, release, [order.holder_id])
    assert await counters(connection, "lamp", "store") == (5, 0, 0, 0)
    await assert_silent(connection)


async def test_two_channels_never_sell_the_same_unit(connection: asyncpg.Connection) -> None:
    """Bug 14 (magento/inventory#2727): stock reachable through two channels was sold in both."""
    await stock_up(connection, {("lamp", "store"): 10})
    await run(connection, put_buffers, [Buffer(sku="lamp", channel="market", quantity=4)])
    market = (await read_cells(connection, ["lamp"], channel="market"))[0]
    web = (await read_cells(connection, ["lamp"], channel="web"))[0]
    assert (market.available, web.available) == (6, 10)
    orders = [
        demand(take("lamp", "store", 6, buffer=market.buffer)),
        demand(take("lamp", "store", 5, buffer=web.buffer)),
        demand(take("lamp", "store", 1, buffer=market.buffer)),
        demand(take("lamp", "store", 4, buffer=web.buffer)),
    ]
    answers = await hold(connection, *orders)
    assert [answer is None for answer in answers] == [True, False, False, True]
    assert await counters(connection, "lamp", "store") == (10, 10, 0, 0)


async def test_a_caller_that_fails_after_the_check_leaves_nothing_taken(
    connection: asyncpg.Connection,
) -> None:
    """Bug 17 (shopperlabs/shopper PR 591): stock was taken in another transaction than the check."""
    await stock_up(connection, {("lamp", "store"): 1})
    transaction = connection.transaction()
    await transaction.start()
    assert await reserve(connection, [demand(take("lamp", "store", 1))]) == [None]
    await transaction.rollback()
    assert await counters(connection, "lamp", "store") == (1, 0, 0, 0)
    await assert_silent(connection)


async def test_an_adjustment_never_takes_goods_that_are_promised_and_a_count_says_so(
    connection: asyncpg.Connection,
) -> None:
    """Bug 19 (magento/inventory#3165): a negative correction went through while units were held."""
    await stock_up(connection, {("lamp", "store"): 5})
    await hold(connection, demand(take("lamp", "store", 4)))
    with pytest.raises(MovementRefused, match="4 are promised and only 1 are free"):
        await run(connection, record, [moved("adjust_loss", "lamp", "store", 2)])
    result = await run(connection, record, [moved("count_loss", "lamp", "store", 2)])
    assert [each.shortage for each in result.shortages] == [1]
    with pytest.raises(MovementRefused, match="only 3 are on hand"):
        await run(connection, record, [moved("count_loss", "lamp", "store", 4)])
    await assert_silent(connection)


async def test_thirty_callers_on_one_item_sell_all_of_it_and_no_more(connect: Connect) -> None:
    """Bug 21: sold exactly the stock, no more and, as a rule, no less."""
    callers = await connect(30)
    await stock_up(callers[0], {("lamp", "store"): 40})

    async def shop(connection: asyncpg.Connection) -> int:
        answers = [await hold(connection, demand(take("lamp", "store", 1))) for _ in range(3)]
        return sum(answer == [None] for answer in answers)

    assert sum(await asyncio.gather(*(shop(caller) for caller in callers))) == 40
    assert await counters(callers[0], "lamp", "store") == (40, 40, 0, 0)
    await assert_silent(callers[0])


async def confirmed(connection: asyncpg.Connection, order: Demand) -> Demand:
    """Hold and confirm an order."""
    assert await hold(connection, order) == [None]
    await run(connection, confirm, [order.holder_id])
    return order


async def dispatch(
    connection: asyncpg.Connection,
    order: Demand,
    node_id: str,
    quantity: int,
    *,
    movement_id: UUID | None = None,
) -> None:
    """Dispatch units of an order's first line."""
    each = Consumption(
        movement_id=movement_id or uuid4(),
        line_id=order.takes[0].line_id,
        sku=order.takes[0].sku,
        node_id=node_id,
        quantity=quantity,
    )
    await run(connection, consume, order.holder_id, [each], actor="test")
