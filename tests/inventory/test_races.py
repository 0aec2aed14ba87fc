"""Many callers on separate connections, and the forms that look right and are not."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import timedelta
from functools import partial
from uuid import UUID

import asyncpg
import msgspec
import pytest

from inventory.locks import lock
from inventory.reserve import Demand, Refusal, reserve
from inventory.resolve import confirm, expire_due, release
from tests.inventory.conftest import Connect
from tests.inventory.overselling import (
    GUARDS_EACH_LINE,
    LOCKS_AS_GIVEN,
    READS_THE_TABLE,
    SUMS_OTHER_ROWS,
    reserve_wrongly,
)
from tests.inventory.world import (
    FAR,
    PAST,
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

CALLERS = 64
ORDERS_PER_CALLER = 500
SKUS = [f"sku-{number}" for number in range(5)]
UNITS_PER_SKU = 20
"""One hundred units in all."""

Admit = Callable[[asyncpg.Connection, Sequence[Demand]], Awaitable[list[bool]]]


class Verdict(msgspec.Struct):
    """What a race left behind."""

    oversold: int
    half_held: int
    would_fit: int
    """Refused orders that would fit in what is left."""


async def test_of_200_callers_for_the_last_unit_one_wins_and_199_are_told_why(
    connect: Connect,
) -> None:
    """The case every shop meets on its first good day."""
    callers = await connect(200)
    await stock_up(callers[0], {("lamp", "store"): 1})
    answers = await asyncio.gather(
        *(hold(caller, demand(take("lamp", "store", 1))) for caller in callers)
    )
    refusals = [answer[0] for answer in answers if answer[0] is not None]
    assert len(refusals) == 199
    expected = Refusal(what="stock", sku="lamp", node_id="store", needed=1, available=0)
    assert set(refusals) == {expected}
    assert await counters(callers[0], "lamp", "store") == (1, 1, 0, 0)
    await assert_silent(callers[0])


async def test_64_callers_with_500_baskets_each_take_what_there_is_and_no_half_orders(
    connect: Connect,
) -> None:
    """Never more than there is, no order half held, and nothing left that a refused order wanted.

    Baskets come in batches of 1 to 20, as they do when requests pile up behind a busy database.
    """

    async def admit(connection: asyncpg.Connection, orders: Sequence[Demand]) -> list[bool]:
        return [refusal is None for refusal in await hold(connection, *orders)]

    callers = await connect(1 + CALLERS)
    verdict = await race(callers, admit, orders_per_caller=ORDERS_PER_CALLER, batch_max=20)
    assert verdict == Verdict(oversold=0, half_held=0, would_fit=0)
    await assert_silent(callers[0])


@pytest.mark.parametrize(
    "statement",
    [
        pytest.param(READS_THE_TABLE, id="reads-the-table-beside-the-lock"),
        pytest.param(SUMS_OTHER_ROWS, id="sums-other-rows-under-the-lock"),
    ],
)
async def test_the_forms_that_decide_from_the_statement_s_own_snapshot_do_oversell(
    connect: Connect, statement: str
) -> None:
    """The same race as above, lost: the reason why a lock's returned values alone may decide.

    The table's own check would stop them with an error, so it is taken away here.
    """
    callers = await connect(1 + CALLERS)
    await callers[0].execute("ALTER TABLE stock DROP CONSTRAINT stock_promise_check")

    async def admit(connection: asyncpg.Connection, orders: Sequence[Demand]) -> list[bool]:
        return [await reserve_wrongly(connection, statement, order) for order in orders]

    verdict = await race(callers, admit, orders_per_caller=20, batch_max=1)
    assert verdict.oversold > 0


@pytest.mark.parametrize("statement", [READS_THE_TABLE, SUMS_OTHER_ROWS])
async def test_the_table_itself_refuses_a_form_that_oversells(
    connect: Connect, statement: str
) -> None:
    """Invariants stand in two places: whatever code is written later, the check is still there."""
    callers = await connect(8)
    await stock_up(callers[0], {("lamp", "store"): 5, ("bulb", "store"): 5})

    async def attempt(connection: asyncpg.Connection) -> bool:
        order = demand(take("lamp", "store", 1), take("bulb", "store", 1))
        try:
            return await reserve_wrongly(connection, statement, order)
        except asyncpg.CheckViolationError:
            return False

    for _ in range(5):
        await asyncio.gather(*(attempt(caller) for caller in callers))
    on_hand, reserved, *_ = await counters(callers[0], "lamp", "store")
    assert reserved <= on_hand


async def test_a_guard_on_each_line_alone_leaves_half_orders(connect: Connect) -> None:
    """One statement that admits line by line never oversells, and is no way to take an order."""
    callers = await connect(1 + CALLERS)

    async def admit(connection: asyncpg.Connection, orders: Sequence[Demand]) -> list[bool]:
        # A deadlock is this form's other fault; see the next test.
        try:
            return [await reserve_wrongly(connection, GUARDS_EACH_LINE, order) for order in orders]
        except asyncpg.DeadlockDetectedError:
            return [False for _ in orders]

    verdict = await race(callers, admit, orders_per_caller=20, batch_max=1)
    assert verdict.oversold == 0
    assert verdict.half_held > 0


async def test_locks_taken_in_the_order_given_deadlock_and_sorted_ones_do_not(
    connect: Connect,
) -> None:
    """Half the callers name their rows backwards; only a fixed order lets all of them through."""
    callers = await connect(16)
    keys = [(f"sku-{number:02}", "store") for number in range(20)]
    await stock_up(callers[0], dict.fromkeys(keys, 5))

    async def lock_as_given(connection: asyncpg.Connection, *, backwards: bool) -> bool:
        ordered = keys[::-1] if backwards else keys
        try:
            async with connection.transaction():
                for sku, node_id in ordered:
                    await connection.execute(LOCKS_AS_GIVEN, [sku], [node_id])
        except asyncpg.DeadlockDetectedError:
            return False
        return True

    async def lock_sorted(connection: asyncpg.Connection, *, backwards: bool) -> bool:
        async with connection.transaction():
            await lock(connection, stock=keys[::-1] if backwards else keys)
        return True

    turns = [number % 2 == 1 for number in range(len(callers))]
    as_given = await asyncio.gather(
        *(lock_as_given(c, backwards=turn) for c, turn in zip(callers, turns, strict=True))
    )
    assert not all(as_given)
    for _ in range(20):
        assert all(
            await asyncio.gather(
                *(lock_sorted(c, backwards=turn) for c, turn in zip(callers, turns, strict=True))
            )
        )


async def test_baskets_with_repeated_keys_in_any_order_never_deadlock(connect: Connect) -> None:
    """Bug 15 of the peers: lines arrive as customers put them, the same item twice among them.

    Holds are released and swept beside it, so every order of locks there is meets every other.
    """
    callers = await connect(16)
    await add_nodes(callers[0], "north", "south", capacity_maximum=100_000)
    keys = [(sku, node_id) for sku in SKUS for node_id in ("north", "south")]
    await stock_up(callers[0], dict.fromkeys(keys, 1_000))

    async def shop(connection: asyncpg.Connection, seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(30):
            orders = [
                demand(
                    *(take(*chance.choice(keys), 1) for _ in range(6)),
                    capacity=[work(node) for node in chance.sample(["north", "south"], 2)],
                    expires_at=PAST if chance.random() < 0.5 else FAR,
                )
                for _ in range(3)
            ]
            await run(connection, reserve, orders)
            await run(connection, confirm, [orders[0].holder_id])
            await run(
                connection,
                release,
                [orders[2].holder_id, orders[1].holder_id],
            )
            await run(connection, expire_due, holder_kind="allocation", limit=10)

    await asyncio.gather(*(shop(caller, seed) for seed, caller in enumerate(callers)))
    await assert_silent(callers[0])


async def test_of_sweeper_and_confirm_one_wins_a_thousand_times(connect: Connect) -> None:
    """Bug 12 of the peers: a payment that arrives in the very moment its hold runs out.

    Whoever wins has all three lines, and stock agrees with the winner.
    """
    confirming, sweeping = await connect(2)
    sweep = partial(expire_due, holder_kind="allocation", limit=10)
    skus = ["lamp", "bulb", "cord"]
    await stock_up(confirming, {(sku, "store"): 1_000 for sku in skus})
    orders = [
        demand(
            *(take(sku, "store", 1) for sku in skus), expires_at=PAST + timedelta(minutes=number)
        )
        for number in range(1_000)
    ]
    assert await hold(confirming, *orders) == [None] * 1_000
    won = {"confirmed": 0, "expired": 0}
    for number, order in enumerate(orders):
        confirmed, expired = await asyncio.gather(
            after(number % 3, run(confirming, confirm, [order.holder_id])),
            after(number // 3 % 3, run(sweeping, sweep, now=order.expires_at)),
        )
        if not confirmed and not expired:
            # The sweeper passed over a holder that was being looked at; its next round has it.
            expired = await run(sweeping, sweep, now=order.expires_at)
        assert [*confirmed, *expired] == [order.holder_id]
        winner = "confirmed" if confirmed else "expired"
        assert await states(confirming, order.holder_id) == {winner: 3}
        won[winner] += 1
    assert min(won.values()) > 0, f"the race always went the same way: {won}"
    assert (await counters(confirming, "lamp", "store"))[1] == won["confirmed"]
    await assert_silent(confirming)


async def test_a_limit_of_orders_a_day_is_met_exactly_and_comes_back(connect: Connect) -> None:
    """Bug 7 of the peers: a limit off by one, and a counter lost between two callers."""
    callers = await connect(40)
    await stock_up(callers[0], {("lamp", "store"): 1_000})
    await add_nodes(callers[0], "store", capacity_maximum=15)
    orders = [demand(take("lamp", "store", 1), capacity=[work("store")]) for _ in callers]
    answers = await asyncio.gather(
        *(hold(caller, order) for caller, order in zip(callers, orders, strict=True))
    )
    held = [
        order.holder_id for order, answer in zip(orders, answers, strict=True) if answer[0] is None
    ]
    assert len(held) == 15
    assert {answer[0].what for answer in answers if answer[0]} == {"capacity"}
    assert await used_capacity(callers[0], "store") == 15
    await asyncio.gather(
        *(
            run(caller, release, [holder])
            for caller, holder in zip(callers, [*held, *held], strict=False)
        )
    )
    assert await used_capacity(callers[0], "store") == 0
    await assert_silent(callers[0])


async def race(
    callers: Sequence[asyncpg.Connection],
    admit: Admit,
    *,
    orders_per_caller: int,
    batch_max: int,
) -> Verdict:
    """Let callers order two-line baskets over a hundred units, and judge what is left.

    The first of them is the starter: it keeps the stock locked until all the others wait for it, so
    that each of them has begun its statement before any of them has taken anything.
    """
    await stock_up(callers[0], {(sku, "store"): UNITS_PER_SKU for sku in SKUS})
    refused: list[Demand] = []

    async def shop(connection: asyncpg.Connection, seed: int) -> None:
        chance = random.Random(seed)
        orders = [basket(chance) for _ in range(orders_per_caller)]
        for batch in batches(orders, chance, batch_max):
            answers = await admit(connection, batch)
            refused.extend(o for o, won in zip(batch, answers, strict=True) if not won)

    starter, *shoppers = callers
    async with starter.transaction():
        await starter.execute("SELECT FROM stock FOR UPDATE")
        shopping = [asyncio.create_task(shop(caller, seed)) for seed, caller in enumerate(shoppers)]
        await wait_until_blocked(starter, len(shoppers))
    await asyncio.gather(*shopping)
    return await judge(starter, refused)


async def wait_until_blocked(connection: asyncpg.Connection, count: int) -> None:
    """Return when that many connections to this database wait for a lock."""
    while True:
        await connection.execute("SELECT pg_stat_clear_snapshot()")
        blocked = await connection.fetchval(
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        if blocked >= count:
            return
        await asyncio.sleep(0.01)


async def judge(connection: asyncpg.Connection, refused: Sequence[Demand]) -> Verdict:
    """Count, from reservations and what was stocked alone, what a race did wrong."""
    rows = await connection.fetch("SELECT sku, sum(quantity)::int FROM reservation GROUP BY sku")
    left = dict.fromkeys(SKUS, UNITS_PER_SKU)
    for sku, units in rows:
        left[sku] -= units
    half_held: int = await connection.fetchval(
        "SELECT count(*) FROM (SELECT FROM reservation GROUP BY holder_id HAVING count(*) = 1) h"
    )
    return Verdict(
        oversold=sum(max(-units, 0) for units in left.values()),
        half_held=half_held,
        would_fit=sum(
            all(take.quantity <= left[take.sku] for take in order.takes) for order in refused
        ),
    )


def basket(chance: random.Random) -> Demand:
    """Return an order for two different skus, one to three of each."""
    first, second = chance.sample(SKUS, 2)
    return demand(
        take(first, "store", chance.randint(1, 3)), take(second, "store", chance.randint(1, 3))
    )


def batches(
    orders: Sequence[Demand], chance: random.Random, batch_max: int
) -> Iterator[Sequence[Demand]]:
    """Cut orders into batches of one to `batch_max`."""
    start = 0
    while start < len(orders):
        end = start + chance.randint(1, batch_max)
        yield orders[start:end]
        start = end


async def after(turns: int, race: Awaitable[list[UUID]]) -> list[UUID]:
    """Let others go first for some turns of the event loop."""
    for _ in range(turns):
        await asyncio.sleep(0)
    return await race
