"""Part of what a holder has goes back or elsewhere: both ends right, and neither lost on the way."""

import asyncio
from typing import Literal
from uuid import UUID, uuid4

import asyncpg
import pytest

from inventory.dispatch import Consumption, consume
from inventory.give_back import NotHeldError, Part, give_back, lock_promises, move
from inventory.ledger import record
from inventory.reserve import Refusal, Take
from inventory.resolve import confirm, release
from inventory.supply import Receipt, Supply, put_supply, receive_supply
from tests.inventory.conftest import Connect
from tests.inventory.world import (
    ON,
    add_nodes,
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

ROUNDS = 20


def part(
    each: Take, quantity: int, *, node_id: str | None = None, supply_id: str | None = None
) -> Part:
    """Return units of a take that are given up."""
    return Part(
        line_id=each.line_id,
        sku=each.sku,
        node_id=node_id or each.node_id,
        quantity=quantity,
        supply_id=supply_id,
    )


def elsewhere(each: Take, node_id: str, quantity: int) -> Take:
    """Return the take of the same line at another node."""
    return Take(
        reservation_id=uuid4(),
        line_id=each.line_id,
        sku=each.sku,
        node_id=node_id,
        quantity=quantity,
        promise_on=ON,
    )


async def confirmed(connection: asyncpg.Connection, *takes: Take, **more: object) -> UUID:
    """Reserve and confirm; return the holder."""
    order = demand(*takes, **more)  # type: ignore[arg-type]
    assert await hold(connection, order) == [None]
    await run(connection, confirm, [order.holder_id])
    return order.holder_id


async def test_what_is_given_back_is_free_and_the_rest_keeps_its_name(
    connection: asyncpg.Connection,
) -> None:
    """A short pick must not cost the customer what was found."""
    await stock_up(connection, {("lamp", "store"): 5})
    mine = take("lamp", "store", 5)
    holder = await confirmed(connection, mine)
    await run(connection, give_back, holder, [part(mine, 2)])
    assert await counters(connection, "lamp", "store") == (5, 3, 0, 0)
    assert await states(connection, holder) == {"confirmed": 3, "released": 2}
    kept = await connection.fetchval(
        "SELECT quantity FROM reservation WHERE reservation_id = $1", mine.reservation_id
    )
    assert kept == 3
    await assert_silent(connection)


async def test_giving_back_in_several_steps_never_gives_one_name_twice(
    connection: asyncpg.Connection,
) -> None:
    """Two short picks of one line are an ordinary morning."""
    await stock_up(connection, {("lamp", "store"): 5})
    mine = take("lamp", "store", 5)
    holder = await confirmed(connection, mine)
    for _ in range(5):
        await run(connection, give_back, holder, [part(mine, 1)])
    assert await states(connection, holder) == {"released": 5}
    assert await counters(connection, "lamp", "store") == (5, 0, 0, 0)
    await assert_silent(connection)


@pytest.mark.parametrize("quantity", [0, 6])
async def test_nobody_gives_up_what_they_do_not_have(
    connection: asyncpg.Connection, quantity: int
) -> None:
    """A rejection that comes twice must not free somebody else's units."""
    await stock_up(connection, {("lamp", "store"): 9})
    mine = take("lamp", "store", 5)
    holder = await confirmed(connection, mine)
    await confirmed(connection, take("lamp", "store", 4))
    with pytest.raises(ValueError, match=r"at least 1|holds 5 of lamp"):
        await run(connection, give_back, holder, [part(mine, quantity)])
    assert await counters(connection, "lamp", "store") == (9, 9, 0, 0)


async def test_a_shipped_part_cannot_be_given_back(connection: asyncpg.Connection) -> None:
    """Bug 9: a cancellation that arrives after the parcel has left releases nothing."""
    await stock_up(connection, {("lamp", "store"): 2})
    mine = take("lamp", "store", 2)
    holder = await confirmed(connection, mine)
    gone = Consumption(
        movement_id=uuid4(), line_id=mine.line_id, sku="lamp", node_id="store", quantity=2
    )
    await run(connection, consume, holder, [gone], actor="test")
    with pytest.raises(NotHeldError) as refused:
        await run(connection, give_back, holder, [part(mine, 1)])
    assert refused.value.held == 0
    assert await counters(connection, "lamp", "store") == (0, 0, 0, 0)
    await assert_silent(connection)


async def test_units_that_wait_for_supply_are_given_back_to_it(
    connection: asyncpg.Connection,
) -> None:
    """Part of a backorder may be here already; what still waits goes first, as it was planned."""
    await stock_up(connection, {("lamp", "store"): 0 + 1})
    await run(
        connection,
        put_supply,
        [Supply(sku="lamp", supply_id="po", node_id="store", expected_on=ON, quantity=4)],
    )
    await confirmed(connection, take("lamp", "store", 1))
    mine = take("lamp", "store", 4, supply_id="po")
    holder = await confirmed(connection, mine)
    came = Receipt(
        movement_id=uuid4(),
        sku="lamp",
        supply_id="po",
        quantity=1,
        happened_at=None,
        actor="test",
    )
    await run(connection, receive_supply, [came])
    await run(connection, give_back, holder, [part(mine, 3, supply_id="po")])
    assert await counters(connection, "lamp", "store") == (2, 2, 0, 0)
    assert await connection.fetchval("SELECT promised FROM supply") == 0
    await assert_silent(connection)


async def test_capacity_goes_back_by_what_it_counts(connection: asyncpg.Connection) -> None:
    """A node that counts orders has as many as before when an order merely becomes smaller."""
    await stock_up(connection, {("lamp", "store"): 4})
    await add_nodes(connection, "store", capacity_maximum=5)
    mine = take("lamp", "store", 4)
    holder = await confirmed(connection, mine, capacity=[work("store", units=4)])
    await run(
        connection, give_back, holder, [part(mine, 1)], spared=[work("store", orders=0, units=1)]
    )
    assert await used_capacity(connection, "store") == 1
    await run(connection, give_back, holder, [part(mine, 3)])
    assert await used_capacity(connection, "store") == 0
    await assert_silent(connection)


async def test_a_move_takes_its_new_place_and_frees_the_old_one(
    connection: asyncpg.Connection,
) -> None:
    """Stock, capacity and states are right at both ends."""
    await stock_up(connection, {("lamp", "store"): 3, ("lamp", "depot"): 3})
    await add_nodes(connection, "store", "depot", capacity_maximum=5)
    mine = take("lamp", "store", 3)
    holder = await confirmed(connection, mine, capacity=[work("store", units=3)])
    there = demand(elsewhere(mine, "depot", 2), holder_id=holder, capacity=[work("depot")])
    given = await run(
        connection, move, holder, [part(mine, 2)], there, spared=[work("store", orders=0, units=2)]
    )
    assert given is None
    assert await counters(connection, "lamp", "store") == (3, 1, 0, 0)
    assert await counters(connection, "lamp", "depot") == (3, 2, 0, 0)
    assert [await used_capacity(connection, each) for each in ("store", "depot")] == [1, 1]
    assert await states(connection, holder) == {"confirmed": 3, "released": 2}
    await assert_silent(connection)


async def test_a_move_that_finds_no_room_changes_nothing(connection: asyncpg.Connection) -> None:
    """Bug 3 (medusa#16488): the reservation moved, and nobody had looked whether it fits."""
    await stock_up(connection, {("lamp", "store"): 3, ("lamp", "depot"): 1})
    mine = take("lamp", "store", 3)
    holder = await confirmed(connection, mine)
    there = demand(elsewhere(mine, "depot", 2), holder_id=holder)
    assert await run(connection, move, holder, [part(mine, 2)], there) == Refusal(
        what="stock", sku="lamp", node_id="depot", needed=2, available=1
    )
    assert await counters(connection, "lamp", "store") == (3, 3, 0, 0)
    assert await counters(connection, "lamp", "depot") == (1, 0, 0, 0)
    assert await states(connection, holder) == {"confirmed": 3}
    await assert_silent(connection)


async def test_a_move_that_gives_up_what_is_not_held_takes_nothing(
    connection: asyncpg.Connection,
) -> None:
    """Neither end moves when one of them cannot."""
    await stock_up(connection, {("lamp", "store"): 1, ("lamp", "depot"): 5})
    mine = take("lamp", "store", 1)
    holder = await confirmed(connection, mine)
    there = demand(elsewhere(mine, "depot", 2), holder_id=holder)
    with pytest.raises(NotHeldError):
        await run(connection, move, holder, [part(mine, 2)], there)
    assert await counters(connection, "lamp", "depot") == (5, 0, 0, 0)
    with pytest.raises(ValueError, match="cannot take what"):
        await run(connection, move, uuid4(), [part(mine, 1)], there)


async def test_a_move_away_from_a_shortage_makes_it_smaller(
    connection: asyncpg.Connection,
) -> None:
    """Bug 13: goods that a count did not find are promised from where they are."""
    await stock_up(connection, {("lamp", "store"): 3, ("lamp", "depot"): 3})
    mine = take("lamp", "store", 3)
    holder = await confirmed(connection, mine)
    await run(connection, record, [moved("count_loss", "lamp", "store", 2)])
    assert await counters(connection, "lamp", "store") == (1, 3, 0, 2)
    there = demand(elsewhere(mine, "depot", 2), holder_id=holder)
    assert await run(connection, move, holder, [part(mine, 2)], there) is None
    assert await counters(connection, "lamp", "store") == (1, 1, 0, 0)
    await assert_silent(connection)


async def test_two_orders_that_change_places_do_not_wait_for_each_other_for_ever(
    connect: Connect,
) -> None:
    """Bug 15 (medusa PR #11403): each held the end that the other wanted."""
    left, right = await connect(2)
    await stock_up(left, {("lamp", "store"): 2, ("lamp", "depot"): 2})
    here, there = take("lamp", "store", 1), take("lamp", "depot", 1)
    first, second = await confirmed(left, here), await confirmed(left, there)
    places = ["store", "depot"]
    for _ in range(ROUNDS):
        ahead = demand(elsewhere(here, places[1], 1), holder_id=first)
        back = demand(elsewhere(there, places[0], 1), holder_id=second)
        given = await asyncio.gather(
            run(left, move, first, [part(here, 1, node_id=places[0])], ahead),
            run(right, move, second, [part(there, 1, node_id=places[1])], back),
        )
        assert list(given) == [None, None]
        places.reverse()
    await assert_silent(left)


async def test_of_many_who_move_to_the_last_unit_one_gets_it_and_the_rest_stay(
    connect: Connect,
) -> None:
    """The destination is taken through the one guarded step, like any sale."""
    callers = await connect(12)
    await stock_up(callers[0], {("lamp", "store"): 12, ("lamp", "depot"): 1})
    takes = [take("lamp", "store", 1) for _ in callers]
    holders = [await confirmed(callers[0], each) for each in takes]
    given = await asyncio.gather(
        *(
            run(
                caller,
                move,
                holder,
                [part(each, 1)],
                demand(elsewhere(each, "depot", 1), holder_id=holder),
            )
            for caller, holder, each in zip(callers, holders, takes, strict=True)
        )
    )
    assert given.count(None) == 1
    assert await counters(callers[0], "lamp", "store") == (12, 11, 0, 0)
    assert await counters(callers[0], "lamp", "depot") == (1, 1, 0, 0)
    await assert_silent(callers[0])


@pytest.mark.parametrize("other", ["move", "release", "dispatch"])
async def test_a_move_that_races_has_one_winner(
    connect: Connect, other: Literal["move", "release", "dispatch"]
) -> None:
    """Bug 9: a repeated callback, a cancellation or the parcel itself may come at the same moment."""
    left, right = await connect(2)
    await stock_up(left, {("lamp", "store"): ROUNDS, ("lamp", "depot"): ROUNDS})
    for round_number in range(1, ROUNDS + 1):
        mine = take("lamp", "store", 1)
        holder = await confirmed(left, mine)
        rivals = {"move": move_away, "release": release_it, "dispatch": dispatch_it}
        done = await asyncio.gather(
            move_away(left, mine, holder), rivals[other](right, mine, holder)
        )
        held = (await states(left, holder)).get("confirmed", 0)
        assert (sum(done), held) == ((1, 1) if other == "move" else (sum(done), 0))
        assert other == "move" or done[1] == 1
        await run(left, release, [holder])
        after = [await counters(left, "lamp", node_id) for node_id in ("store", "depot")]
        gone = round_number if other == "dispatch" else 0
        assert sum(row[0] for row in after) == 2 * ROUNDS - gone
        await assert_silent(left)


async def move_away(caller: asyncpg.Connection, mine: Take, holder: UUID) -> int:
    """Move a unit to the depot; 0 when there is nothing left to move."""
    there = demand(elsewhere(mine, "depot", 1), holder_id=holder)
    try:
        return int(await run(caller, move, holder, [part(mine, 1)], there) is None)
    except NotHeldError:
        return 0


async def release_it(caller: asyncpg.Connection, _: Take, holder: UUID) -> int:
    """Give back whatever the holder has."""
    return len(await run(caller, release, [holder]))


async def dispatch_it(caller: asyncpg.Connection, mine: Take, holder: UUID) -> int:
    """Have a unit leave the store, wherever it is promised."""
    gone = Consumption(
        movement_id=uuid4(), line_id=mine.line_id, sku="lamp", node_id="store", quantity=1
    )
    return len(await run(caller, consume, holder, [gone], actor="test"))


async def test_a_correction_beside_a_waiting_promise_keeps_the_order_of_locks(
    connect: Connect,
) -> None:
    """A count at the record serves or spares the promises that wait there, whoever resolves them."""
    left, right = await connect(2)
    for _ in range(ROUNDS):
        await stock_up(left, {("lamp", "store"): 1})
        await run(
            left,
            put_supply,
            [Supply(sku="lamp", supply_id="po", node_id="store", expected_on=ON, quantity=9)],
        )
        mine = take("lamp", "store", 1)
        holder = await confirmed(left, mine)
        waiting = await confirmed(left, take("lamp", "store", 1, supply_id="po"))

        async def correct(
            connection: asyncpg.Connection, mine: Take = mine, holder: UUID = holder
        ) -> None:
            await lock_promises(connection, holder, [("lamp", "store")])
            await give_back(connection, holder, [part(mine, 1)])
            await record(connection, [moved("count_loss", "lamp", "store", 1)])

        await asyncio.gather(run(left, correct), run(right, release, [waiting]))
        assert await counters(left, "lamp", "store") == (0, 0, 0, 0)
        await assert_silent(left)
