"""Supply: promises that wait for goods, whose turn it is when they come, and ATP by date."""

import asyncio
import random
from datetime import UTC, date, datetime, timedelta
from functools import partial
from uuid import UUID, uuid4

import asyncpg
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory.availability import atp_by_date, read_cells
from inventory.dispatch import Consumption, consume
from inventory.ledger import MovementRefused, SnapshotRecord, apply_snapshot, record
from inventory.locks import SupplyRow
from inventory.pegging import Peg, settle
from inventory.reserve import Refusal
from inventory.resolve import confirm, expire_due, release
from inventory.supply import (
    Receipt,
    Supply,
    SupplyShortage,
    get_supply,
    put_supply,
    receive_supply,
)
from tests.inventory.conftest import Connect
from tests.inventory.world import (
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
    take,
)

TODAY = datetime.now(UTC).date()
SOON = TODAY + timedelta(days=5)
LATER = TODAY + timedelta(days=9)


def expected(
    quantity: int, *, supply_id: str = "po-1", on: date = SOON, trust_percent: int = 100
) -> Supply:
    """Return lamps expected in the store."""
    return Supply(
        sku="lamp",
        supply_id=supply_id,
        node_id="store",
        expected_on=on,
        quantity=quantity,
        trust_percent=trust_percent,
    )


def receipt(quantity: int, *, supply_id: str = "po-1") -> Receipt:
    """Return lamps that came in."""
    return Receipt(
        movement_id=uuid4(),
        sku="lamp",
        supply_id=supply_id,
        quantity=quantity,
        happened_at=None,
        actor="test",
    )


async def promised(connection: asyncpg.Connection) -> dict[str, tuple[int, int]]:
    """Return promised and short units by supply."""
    rows = await get_supply(connection, ["lamp"])
    return {row.supply_id: (row.promised, row.shortage) for row in rows}


async def test_supply_is_promised_up_to_its_trust_and_not_beyond(
    connection: asyncpg.Connection,
) -> None:
    """A supplier who brings four of five is worth four of five."""
    await add_nodes(connection, "store")
    await run(connection, put_supply, [expected(10, trust_percent=80)])
    orders = [
        demand(take("lamp", "store", 5, supply_id="po-1")),
        demand(take("lamp", "store", 4, supply_id="po-1")),
        demand(take("lamp", "store", 3, supply_id="po-1")),
        demand(take("lamp", "store", 1)),
    ]
    refusal = Refusal(
        what="supply", sku="lamp", node_id="store", supply_id="po-1", needed=4, available=3
    )
    none_here = Refusal(what="stock", sku="lamp", node_id="store", needed=1, available=0)
    assert await hold(connection, *orders) == [None, refusal, None, none_here]
    assert await promised(connection) == {"po-1": (8, 0)}
    await run(connection, release, [orders[0].holder_id])
    assert await promised(connection) == {"po-1": (3, 0)}
    await assert_silent(connection)


@pytest.mark.parametrize(
    ("supply_id", "on", "promise_on", "what"),
    [
        ("po-1", LATER, SOON, "supply"),
        ("po-1", TODAY - timedelta(days=4), SOON, "supply"),
        ("po-2", SOON, SOON, "unknown"),
    ],
)
async def test_supply_that_is_not_there_by_the_promise_is_refused(
    connection: asyncpg.Connection, supply_id: str, on: date, promise_on: date, what: str
) -> None:
    """Put off beyond the date promised, overdue beyond its grace, or never heard of."""
    await run(connection, put_supply, [expected(10, on=on)])
    order = demand(take("lamp", "store", 1, supply_id=supply_id, promise_on=promise_on))
    answer = (await hold(connection, order))[0]
    assert answer is not None
    assert (answer.what, answer.available) == (what, 0)


async def test_what_comes_in_serves_earlier_promises_before_a_later_order(
    connection: asyncpg.Connection,
) -> None:
    """A later order never overtakes an earlier backorder."""
    await add_nodes(connection, "store")
    await run(connection, put_supply, [expected(10)])
    backorder = demand(take("lamp", "store", 8, supply_id="po-1"))
    await hold(connection, backorder)
    await run(connection, record, [moved("receive", "lamp", "store", 9)])
    assert await counters(connection, "lamp", "store") == (9, 8, 0, 0)
    overtaking = demand(take("lamp", "store", 2))
    assert (await hold(connection, overtaking))[0] is not None
    assert await hold(connection, demand(take("lamp", "store", 1))) == [None]
    await assert_silent(connection)


async def test_the_earliest_promise_is_served_first_whichever_supply_it_waits_for(
    connection: asyncpg.Connection,
) -> None:
    """The second order promised an earlier day; the supply of the first comes in before its own.

    The first then waits for the other's supply, which is there in time, and nobody is short.
    """
    supplies = [expected(5, on=TODAY), expected(5, supply_id="po-2", on=SOON)]
    await run(connection, put_supply, supplies)
    first = demand(take("lamp", "store", 5, supply_id="po-1", promise_on=LATER))
    second = demand(take("lamp", "store", 5, supply_id="po-2", promise_on=SOON))
    await hold(connection, first, second)
    await run(connection, receive_supply, [receipt(5)])
    sources = await connection.fetch("SELECT holder_id, supply_id FROM reservation")
    assert {row[0]: row[1] for row in sources} == {
        first.holder_id: "po-2",
        second.holder_id: None,
    }
    assert await promised(connection) == {"po-1": (0, 0), "po-2": (5, 0)}
    await assert_silent(connection)


async def test_a_partial_arrival_splits_a_promise_and_every_part_follows_its_holder(
    connection: asyncpg.Connection,
) -> None:
    """Three of five came: three can go, two still wait, and confirming or leaving takes all five."""
    await run(connection, put_supply, [expected(5)])
    order = demand(take("lamp", "store", 5, supply_id="po-1"))
    await hold(connection, order)
    await run(connection, receive_supply, [receipt(3)])
    assert await counters(connection, "lamp", "store") == (3, 3, 0, 0)
    assert await promised(connection) == {"po-1": (2, 0)}
    await run(connection, confirm, [order.holder_id])
    assert await states(connection, order.holder_id) == {"confirmed": 5}

    def leaves(quantity: int) -> Consumption:
        line_id = order.takes[0].line_id
        return Consumption(
            movement_id=uuid4(), line_id=line_id, sku="lamp", node_id="store", quantity=quantity
        )

    with pytest.raises(MovementRefused, match="has 3 confirmed on hand"):
        await run(connection, consume, order.holder_id, [leaves(4)], actor="test")
    await run(connection, consume, order.holder_id, [leaves(1), leaves(1)], actor="test")
    assert await states(connection, order.holder_id) == {"confirmed": 3, "consumed": 2}
    await run(connection, release, [order.holder_id])
    assert await counters(connection, "lamp", "store") == (1, 0, 0, 0)
    assert await promised(connection) == {"po-1": (0, 0)}
    await assert_silent(connection)


async def test_a_supply_cut_below_its_promises_is_a_shortage_that_another_may_cover(
    connection: asyncpg.Connection,
) -> None:
    """The supplier sends less: what another supply can still bring in time moves there."""
    supplies = [expected(10), expected(3, supply_id="po-2", on=SOON)]
    await run(connection, put_supply, supplies)
    await hold(connection, demand(take("lamp", "store", 9, supply_id="po-1", promise_on=LATER)))
    short = await run(connection, put_supply, [expected(4)])
    assert short == [SupplyShortage(sku="lamp", supply_id="po-1", shortage=2)]
    assert await promised(connection) == {"po-1": (6, 2), "po-2": (3, 0)}
    await assert_silent(connection)
    assert await run(connection, put_supply, [expected(6)]) == []
    moved_away = msgspec.structs.replace(expected(6), node_id="elsewhere")
    with pytest.raises(ValueError, match="cannot move to elsewhere"):
        await run(connection, put_supply, [moved_away])


async def test_a_receipt_counts_once_and_may_bring_more_than_expected(
    connection: asyncpg.Connection,
) -> None:
    """The scanner sends again; the supplier sends one too many."""
    await run(connection, put_supply, [expected(4)])
    came = receipt(5)
    assert (await run(connection, receive_supply, [came])).recorded == (came.movement_id,)
    assert (await run(connection, receive_supply, [came])).repeated == (came.movement_id,)
    assert (await counters(connection, "lamp", "store"))[0] == 5
    assert [row.received for row in await get_supply(connection, ["lamp"])] == [5]
    with pytest.raises(ValueError, match="there is no supply po-9"):
        await run(connection, receive_supply, [receipt(1, supply_id="po-9")])
    await assert_silent(connection)


async def test_a_snapshot_that_finds_more_serves_waiting_promises_too(
    connection: asyncpg.Connection,
) -> None:
    """Whatever raises on hand counts as goods coming in."""
    await run(connection, put_supply, [expected(5)])
    await hold(connection, demand(take("lamp", "store", 5, supply_id="po-1")))
    snapshot = [SnapshotRecord(sku="lamp", node_id="store", on_hand=6, as_of=ago())]
    await run(connection, apply_snapshot, "erp", 1, snapshot, "feed")
    assert await counters(connection, "lamp", "store") == (6, 5, 0, 0)
    await assert_silent(connection)


async def test_atp_by_date_leaves_out_what_earlier_promises_wait_for(
    connection: asyncpg.Connection,
) -> None:
    """On hand plus supply, less promises in order of their dates."""
    await add_nodes(connection, "store")
    supplies = [
        expected(10),
        expected(4, supply_id="po-2", on=LATER),
        expected(9, supply_id="late", on=TODAY - timedelta(days=4)),
    ]
    await run(connection, put_supply, supplies)
    await run(connection, record, [moved("receive", "lamp", "store", 3)])
    await hold(connection, demand(take("lamp", "store", 7, supply_id="po-1")))
    steps = await atp_by_date(connection, ["lamp"], channel="web")
    assert [(step.available_on, step.quantity) for step in steps] == [
        (None, 3),
        (SOON, 6),
        (LATER, 10),
    ]
    # Two units of what was promised from on hand are gone: later supply has to make up for them.
    await hold(connection, demand(take("lamp", "store", 3)))
    await run(connection, record, [moved("count_loss", "lamp", "store", 2)])
    cells = await read_cells(connection, ["lamp"], channel="web")
    assert (cells[0].available, cells[0].shortage) == (0, 2)
    assert [each.quantity_promisable for each in cells[0].supply] == [1, 4]


async def test_a_promise_split_while_its_holder_waits_is_still_confirmed_or_released_whole(
    connect: Connect,
) -> None:
    """A part split off is a row that the waiting statement could not see."""
    chance = random.Random(5)
    receiving, resolving = await connect(2)
    await add_nodes(receiving, "store")
    for number in range(60):
        supply_id = f"po-{number}"
        await run(receiving, put_supply, [expected(4, supply_id=supply_id)])
        order = demand(take("lamp", "store", 4, supply_id=supply_id), expires_at=PAST)
        await hold(receiving, order)
        transaction = receiving.transaction()
        await transaction.start()
        await receive_supply(receiving, [receipt(chance.randint(1, 3), supply_id=supply_id)])
        resolve = [
            partial(confirm, holders=[order.holder_id]),
            partial(release, holders=[order.holder_id]),
            partial(expire_due, holder_kind="allocation", limit=10),
        ][number % 3]
        waiting = asyncio.create_task(run(resolving, resolve))
        await asyncio.sleep(0.002)
        await transaction.commit()
        await waiting
        assert len(await states(receiving, order.holder_id)) == 1
        # What the sweeper passed over, because it was being worked on, must not distract the next.
        await run(receiving, release, [order.holder_id])
    await assert_silent(receiving)


counts = st.integers(0, 12)


@given(
    free=st.integers(-3, 12),
    quantities=st.lists(st.tuples(st.integers(1, 6), st.integers(0, 2), st.integers(0, 4))),
    totals=st.tuples(counts, counts, counts),
)
def test_settling_keeps_every_unit_and_serves_in_promise_order(
    free: int, quantities: list[tuple[int, int, int]], totals: tuple[int, int, int]
) -> None:
    """For any pegs and supplies: nothing is lost, nobody is overtaken, no room is overdrawn."""
    days = [TODAY + timedelta(days=day) for day in range(5)]
    pegs = [
        Peg("lamp", UUID(int=index), "store", f"po-{source}", units, days[day], ago())
        for index, (units, source, day) in enumerate(quantities)
    ]
    supplies = {
        f"po-{index}": SupplyRow(
            "store",
            days[index],
            total,
            100,
            0,
            sum(peg.quantity for peg in pegs if peg.supply_id == f"po-{index}"),
            0,
            0,
        )
        for index, total in enumerate(totals)
    }
    settled = {repeg.peg.reservation_id: repeg.parts for repeg in settle(free, pegs, supplies)}
    served = {peg.reservation_id: 0 for peg in pegs}
    promised = dict.fromkeys(supplies, 0)
    for peg in pegs:
        parts = settled.get(peg.reservation_id)
        shares = [(part.supply_id, part.quantity) for part in parts] if parts else None
        for source, units in shares or [(peg.supply_id, peg.quantity)]:
            assert units > 0
            if source is None:
                served[peg.reservation_id] += units
            else:
                promised[source] += units
                assert source == peg.supply_id or supplies[source].expected_on <= peg.promise_on
        assert sum(units for _, units in shares or []) in (0, peg.quantity)
    in_turn = sorted(pegs, key=lambda peg: peg.turn)
    total = sum(peg.quantity for peg in pegs)
    assert sum(served.values()) == min(max(free, 0), total)
    whole = [served[peg.reservation_id] == peg.quantity for peg in in_turn]
    some = [served[peg.reservation_id] > 0 for peg in in_turn]
    assert all(not later or earlier for earlier, later in zip(whole, some[1:], strict=False))
    for source, row in supplies.items():
        assert promised[source] <= max(row.promisable, row.promised)
