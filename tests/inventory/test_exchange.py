"""Holders that have what the others need change places: all of them in one step, or none."""

import asyncio
from uuid import UUID

import asyncpg
import msgspec
import pytest

from inventory.give_back import Exchange, Part, exchange
from inventory.reserve import CapacityTake, Refusal, Take
from inventory.resolve import confirm
from tests.inventory.conftest import Connect
from tests.inventory.world import (
    add_nodes,
    assert_silent,
    counters,
    demand,
    hold,
    run,
    states,
    stock_up,
    take,
    used_capacity,
    work,
)

ROUNDS = 20


async def confirmed(
    connection: asyncpg.Connection, each: Take, capacity: tuple[CapacityTake, ...] = ()
) -> UUID:
    """Reserve and confirm; return the holder."""
    order = demand(each, capacity=capacity)
    assert await hold(connection, order) == [None]
    await run(connection, confirm, [order.holder_id])
    return order.holder_id


def unit(node_id: str) -> Take:
    """Return one lamp at a node, for the one line that everybody has."""
    return msgspec.structs.replace(take("lamp", node_id, 1), line_id="1")


def leaving(holder: UUID, node_ids: tuple[str, str], *, capacity: bool = False) -> Exchange:
    """Return a unit given up at the first node for one at the second."""
    here, there = node_ids
    taken = unit(there)
    return Exchange(
        holder=holder,
        parts=[Part(line_id=taken.line_id, sku=taken.sku, node_id=here, quantity=1)],
        demand=demand(taken, holder_id=holder, capacity=[work(there)] if capacity else []),
        spared=[work(here)] if capacity else [],
    )


async def test_two_holders_of_the_last_units_change_places(
    connection: asyncpg.Connection,
) -> None:
    """Neither could take its place before the other has left it."""
    await stock_up(connection, {("lamp", "store"): 1, ("lamp", "depot"): 1})
    await add_nodes(connection, "store", "depot", capacity_maximum=1)
    first = await confirmed(connection, unit("store"), (work("store"),))
    second = await confirmed(connection, unit("depot"), (work("depot"),))
    swaps = [
        leaving(first, ("store", "depot"), capacity=True),
        leaving(second, ("depot", "store"), capacity=True),
    ]
    assert await run(connection, exchange, swaps) is None
    for holder in (first, second):
        assert await states(connection, holder) == {"confirmed": 1, "released": 1}
    for node_id in ("store", "depot"):
        assert await counters(connection, "lamp", node_id) == (1, 1, 0, 0)
        assert await used_capacity(connection, node_id) == 1
    await assert_silent(connection)


async def test_when_one_finds_no_place_all_stay(connection: asyncpg.Connection) -> None:
    """A third has the unit that one of them wants: nobody loses what they had."""
    await stock_up(connection, {("lamp", "store"): 1, ("lamp", "depot"): 1, ("lamp", "shop"): 1})
    first = await confirmed(connection, unit("store"))
    second = await confirmed(connection, unit("depot"))
    await confirmed(connection, unit("shop"))
    swaps = [
        leaving(first, ("store", "depot")),
        leaving(second, ("depot", "shop")),
    ]
    assert await run(connection, exchange, swaps) == Refusal(
        what="stock", sku="lamp", node_id="shop", needed=1, available=0
    )
    for holder in (first, second):
        assert await states(connection, holder) == {"confirmed": 1}
    await assert_silent(connection)


async def test_exchanges_beside_each_other_never_wait_for_each_other_for_ever(
    connect: Connect,
) -> None:
    """Two rings over the same shelves: each locks everything it needs in one order."""
    left, right = await connect(2)
    await stock_up(left, {("lamp", "store"): 2, ("lamp", "depot"): 2})
    holders = [await confirmed(left, unit(place)) for place in ("store", "depot") * 2]
    places = ["store", "depot"]
    for _ in range(ROUNDS):
        ahead, back = (places[0], places[1]), (places[1], places[0])
        given = await asyncio.gather(
            *(
                run(
                    connection,
                    exchange,
                    [leaving(one, ahead), leaving(other, back)],
                )
                for connection, one, other in (
                    (left, holders[0], holders[1]),
                    (right, holders[2], holders[3]),
                )
            )
        )
        assert list(given) == [None, None]
        places.reverse()
    await assert_silent(left)


async def test_nobody_exchanges_for_another_or_twice(connection: asyncpg.Connection) -> None:
    """Each gives up its own, once."""
    await stock_up(connection, {("lamp", "store"): 2})
    first = await confirmed(connection, unit("store"))
    second = await confirmed(connection, unit("store"))
    own = leaving(first, ("store", "depot"))
    with pytest.raises(ValueError, match="for itself"):
        await run(connection, exchange, [own, own])
    other = Exchange(holder=second, parts=own.parts, demand=own.demand)
    with pytest.raises(ValueError, match="for itself"):
        await run(connection, exchange, [other])
