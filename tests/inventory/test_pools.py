"""Allocation pools: what is kept for a channel is sold to no other, and nothing is kept twice."""

import asyncio
import random
from collections import Counter
from itertools import product
from uuid import UUID, uuid4

import asyncpg
import msgspec
import pytest

from inventory.audit import audit
from inventory.availability import read_cells
from inventory.dispatch import Consumption, consume
from inventory.give_back import Part, give_back, move
from inventory.ledger import SnapshotRecord, apply_snapshot, record
from inventory.pools import Grant, QuotaUsedError, Shift, add_quotas, put_quotas, reallocate
from inventory.quotas import limit
from inventory.reserve import Demand, Refusal
from inventory.resolve import confirm, expire_due, release, retake
from inventory.supply import Receipt, Supply, put_supply, receive_supply
from inventory.transfers import Transfer, TransferLine, begin, lock_one, ship
from tests.inventory.conftest import Connect
from tests.inventory.world import (
    ON,
    PAST,
    ago,
    assert_silent,
    counters,
    demand,
    hold,
    keep,
    moved,
    quota,
    run,
    stock_up,
    take,
)

LAMP = ("lamp", "store")
CALLERS = 32


def wants(channel: str, quantity: int, *, buffer: int = 0) -> Demand:
    """Return an order of a channel for lamps at the store."""
    return demand(take(*LAMP, quantity, buffer=buffer), channel=channel)


def refused(needed: int, available: int) -> Refusal:
    """Return the refusal of such an order."""
    return Refusal(what="stock", sku="lamp", node_id="store", needed=needed, available=available)


async def confirmed(connection: asyncpg.Connection, order: Demand) -> UUID:
    """Hold and confirm an order; return its holder."""
    assert await hold(connection, order) == [None]
    await run(connection, confirm, [order.holder_id])
    return order.holder_id


async def shared(connection: asyncpg.Connection, holder_id: UUID) -> Counter[str]:
    """Return the pool units of a holder's reservations by state."""
    rows = await connection.fetch(
        "SELECT state, coalesce(pool_units, 0) FROM reservation WHERE holder_id = $1", holder_id
    )
    found: Counter[str] = Counter()
    for state, units in rows:
        found[state] += units
    return found


# Who may have what


async def test_a_channel_takes_its_own_share_first_and_then_the_common_stock(
    connection: asyncpg.Connection,
) -> None:
    """Ten lamps, four kept for the web: others may have six, the web all ten."""
    await stock_up(connection, {LAMP: 10})
    await keep(connection, "online", ["web", "app"], {LAMP: 4})
    assert await hold(connection, wants("till", 7)) == [refused(7, 6)]
    assert await hold(connection, wants("web", 3)) == [None]
    assert await quota(connection, *LAMP, "online") == (4, 3, 0)
    assert await hold(connection, wants("app", 3)) == [None]
    assert await quota(connection, *LAMP, "online") == (4, 4, 0)
    assert await hold(connection, wants("till", 5)) == [refused(5, 4)]
    assert await hold(connection, wants("till", 4)) == [None]
    assert await counters(connection, *LAMP) == (10, 10, 0, 0)
    await assert_silent(connection)


async def test_a_batch_of_several_channels_is_walked_order_by_order(
    connection: asyncpg.Connection,
) -> None:
    """What each may have follows from what the ones before it have taken, from which pool."""
    await stock_up(connection, {LAMP: 10})
    await keep(connection, "online", ["web"], {LAMP: 3})
    await keep(connection, "market", ["market"], {LAMP: 2})
    orders = [
        wants("till", 6),  # five are common
        wants("web", 4),  # three of its own, one common
        wants("till", 5),  # four common are left
        wants("till", 4),
        wants("web", 1),  # two are left, of the market
        wants("market", 2),
    ]
    expected = [refused(6, 5), None, refused(5, 4), None, refused(1, 0), None]
    assert await hold(connection, *orders) == expected
    assert await quota(connection, *LAMP, "online") == (3, 3, 0)
    assert await quota(connection, *LAMP, "market") == (2, 2, 0)
    assert await shared(connection, orders[1].holder_id) == {"held": 3}
    await assert_silent(connection)


async def test_a_buffer_is_left_beside_what_is_kept_for_others(
    connection: asyncpg.Connection,
) -> None:
    """A buffer keeps units from everyone, and a pool's channels are no exception."""
    await stock_up(connection, {LAMP: 10})
    await keep(connection, "online", ["web"], {LAMP: 4})
    assert await hold(connection, wants("till", 5, buffer=2)) == [refused(5, 4)]
    assert await hold(connection, wants("web", 9, buffer=2)) == [refused(9, 8)]


async def test_a_right_larger_than_the_stock_keeps_all_of_it_and_what_comes_in(
    connection: asyncpg.Connection,
) -> None:
    """A quota is a right, not stock: it may be given before the goods are there."""
    await stock_up(connection, {("bulb", "store"): 1})
    await keep(connection, "online", ["web"], {LAMP: 20})
    assert await hold(connection, wants("web", 1)) == [refused(1, 0)]
    await run(connection, record, [moved("receive", *LAMP, 5)])
    assert await hold(connection, wants("till", 1)) == [refused(1, 0)]
    assert await hold(connection, wants("web", 5)) == [None]
    assert await quota(connection, *LAMP, "online") == (20, 5, 0)
    await run(connection, record, [moved("receive", *LAMP, 18)])
    assert await hold(connection, wants("till", 4)) == [refused(4, 3)]


async def test_rights_that_stock_cannot_back_go_to_whoever_comes_first(
    connection: asyncpg.Connection,
) -> None:
    """If each right kept all of the stock from the other, nobody could buy what is there."""
    await stock_up(connection, {LAMP: 10})
    await keep(connection, "online", ["web"], {LAMP: 8})
    await keep(connection, "market", ["market"], {LAMP: 8})
    assert await hold(connection, wants("till", 1)) == [refused(1, 0)]
    assert await hold(connection, wants("market", 9)) == [refused(9, 8)]
    assert await hold(connection, wants("market", 8)) == [None]
    assert await hold(connection, wants("web", 3)) == [refused(3, 2)]
    assert await hold(connection, wants("web", 2)) == [None]
    await assert_silent(connection)


def test_what_a_channel_may_have_is_never_less_than_what_rights_leave() -> None:
    """The rule in words, beside the formula: others keep their rights, and I keep mine."""
    for free, own, others in product(range(-2, 9), range(4), range(6)):
        may = max(limit(free, own, others), 0)
        backed = free >= own + others
        assert may == (free - others if backed else max(min(free, own), free - others, 0))
        assert may <= max(free, 0)
        # Nobody without a right gets what somebody has a right to.
        assert max(limit(free, 0, own + others), 0) == max(free - own - others, 0)


async def test_feeds_and_counts_leave_rights_as_they_are(connection: asyncpg.Connection) -> None:
    """A count says what is there; who may have it is another matter."""
    await stock_up(connection, {LAMP: 10})
    await keep(connection, "online", ["web"], {LAMP: 4})
    await hold(connection, wants("web", 2), wants("till", 6))
    seen = SnapshotRecord(sku="lamp", node_id="store", on_hand=5, as_of=ago(seconds=-1))
    await run(connection, apply_snapshot, "till", 1, [seen], "feed")
    assert await counters(connection, *LAMP) == (5, 8, 0, 3)
    assert await quota(connection, *LAMP, "online") == (4, 2, 0)
    assert await hold(connection, wants("web", 1)) == [refused(1, 0)]
    await assert_silent(connection)


async def test_what_was_promised_from_supply_comes_before_every_right(
    connection: asyncpg.Connection,
) -> None:
    """A pool keeps what is on hand; whoever waits for goods was promised them before."""
    await stock_up(connection, {LAMP: 1})
    coming = Supply(sku="lamp", supply_id="po", node_id="store", expected_on=ON, quantity=5)
    await run(connection, put_supply, [coming])
    await keep(connection, "online", ["web"], {LAMP: 6})
    waiting = demand(take(*LAMP, 3, supply_id="po"), channel="till")
    assert await hold(connection, waiting) == [None]
    receipt = Receipt(
        movement_id=uuid4(), sku="lamp", supply_id="po", quantity=5, happened_at=None, actor="test"
    )
    await run(connection, receive_supply, [receipt])
    assert await counters(connection, *LAMP) == (6, 3, 0, 0)
    assert await quota(connection, *LAMP, "online") == (6, 0, 0)
    await assert_silent(connection)


async def test_every_channel_is_shown_what_it_may_have(connection: asyncpg.Connection) -> None:
    """What is offered and then refused is worse than what is not offered."""
    await stock_up(connection, {LAMP: 10})
    await keep(connection, "online", ["web"], {LAMP: 4})
    shown = {}
    for channel in ("web", "till"):
        (cell,) = await read_cells(connection, ["lamp"], channel=channel)
        shown[channel] = (cell.protected, cell.available)
    assert shown == {"web": (0, 10), "till": (4, 6)}


# Giving, moving and taking back


async def test_units_move_between_pools_and_the_common_stock_all_or_none(
    connection: asyncpg.Connection,
) -> None:
    """A planner moves what is left; what orders have stays theirs."""
    await stock_up(connection, {LAMP: 10})
    await keep(connection, "online", ["web"], {LAMP: 4})
    await keep(connection, "market", ["market"], {LAMP: 2})
    await hold(connection, wants("web", 3))
    back = Shift(
        sku="lamp", node_id="store", from_pool_id="online", to_pool_id="market", quantity=1
    )
    common = msgspec.structs.replace(back, from_pool_id="market", to_pool_id=None, quantity=3)
    await run(connection, reallocate, [back, common])
    assert await quota(connection, *LAMP, "online") == (3, 3, 0)
    assert await quota(connection, *LAMP, "market") == (0, 0, 0)
    with pytest.raises(QuotaUsedError, match="3 are used by orders and 0 have left") as error:
        await run(connection, reallocate, [back])
    assert error.value.quota.left == 0
    more = Grant(sku="lamp", node_id="store", pool_id="online", quantity=2)
    (given,) = (await run(connection, add_quotas, [more])).values()
    assert (given.quantity, given.used, given.left) == (5, 3, 2)
    with pytest.raises(QuotaUsedError, match="2 can be taken"):
        await run(connection, put_quotas, [msgspec.structs.replace(more, quantity=2)])
    await assert_silent(connection)


async def test_a_record_is_unmarked_when_its_last_right_is_taken_back(
    connection: asyncpg.Connection,
) -> None:
    """From then on orders for it cost what they cost before there were pools."""
    await stock_up(connection, {LAMP: 10})
    mark = "SELECT pooled FROM stock WHERE sku = 'lamp'"
    await keep(connection, "online", ["web"], {LAMP: 4})
    assert await connection.fetchval(mark) is True
    await keep(connection, "online", ["web"], {LAMP: 0})
    assert await connection.fetchval(mark) is False
    assert await hold(connection, wants("till", 10)) == [None]


# What becomes of reservations


async def test_what_ends_unsold_returns_its_right_once(connection: asyncpg.Connection) -> None:
    """Release and expiry, however often they are called."""
    await stock_up(connection, {LAMP: 10})
    await keep(connection, "online", ["web"], {LAMP: 4})
    released = wants("web", 3)
    expired = demand(take(*LAMP, 1), channel="web", expires_at=PAST)
    await hold(connection, released, expired)
    assert await quota(connection, *LAMP, "online") == (4, 4, 0)
    for _ in range(2):
        await run(connection, release, [released.holder_id])
        await run(connection, expire_due, holder_kind="allocation", limit=10)
    assert await quota(connection, *LAMP, "online") == (4, 0, 0)
    again = msgspec.structs.replace(expired, takes=(take(*LAMP, 1),))
    assert await run(connection, retake, again) is None
    assert await quota(connection, *LAMP, "online") == (4, 1, 0)
    await assert_silent(connection)


async def test_what_is_given_up_in_part_is_what_came_from_the_common_stock_first(
    connection: asyncpg.Connection,
) -> None:
    """Six of which four are the web's: two given up leave the right in use, three free one."""
    await stock_up(connection, {LAMP: 10})
    await keep(connection, "online", ["web"], {LAMP: 4})
    order = wants("web", 6)
    holder = await confirmed(connection, order)
    part = Part(line_id=order.takes[0].line_id, sku="lamp", node_id="store", quantity=2)
    await run(connection, give_back, holder, [part])
    assert await quota(connection, *LAMP, "online") == (4, 4, 0)
    await run(connection, give_back, holder, [msgspec.structs.replace(part, quantity=1)])
    assert await quota(connection, *LAMP, "online") == (4, 3, 0)
    assert await shared(connection, holder) == {"confirmed": 3, "released": 0}
    await run(connection, give_back, holder, [msgspec.structs.replace(part, quantity=3)])
    assert await quota(connection, *LAMP, "online") == (4, 0, 0)
    await assert_silent(connection)


async def test_goods_that_leave_use_their_right_up(connection: asyncpg.Connection) -> None:
    """Else four units kept for the web would keep four more, for as long as there are any."""
    await stock_up(connection, {LAMP: 10})
    await keep(connection, "online", ["web"], {LAMP: 4})
    order = wants("web", 6)
    holder = await confirmed(connection, order)
    for units, expected in ((3, (4, 1, 3)), (2, (4, 0, 4)), (1, (4, 0, 4))):
        gone = Consumption(
            movement_id=uuid4(),
            line_id=order.takes[0].line_id,
            sku="lamp",
            node_id="store",
            quantity=units,
        )
        for _ in range(2):
            await run(connection, consume, holder, [gone], actor="test")
        assert await quota(connection, *LAMP, "online") == expected
    assert await shared(connection, holder) == {"consumed": 4}
    assert await hold(connection, wants("till", 4)) == [None]
    await assert_silent(connection)


async def test_a_right_that_was_not_needed_is_free_again(connection: asyncpg.Connection) -> None:
    """Goods that leave another node leave the right to units of the first as it was."""
    await stock_up(connection, {LAMP: 5, ("lamp", "depot"): 5})
    await keep(connection, "online", ["web"], {LAMP: 4})
    order = wants("web", 3)
    holder = await confirmed(connection, order)
    gone = Consumption(
        movement_id=uuid4(),
        line_id=order.takes[0].line_id,
        sku="lamp",
        node_id="depot",
        quantity=2,
    )
    await run(connection, consume, holder, [gone], actor="test")
    assert await quota(connection, *LAMP, "online") == (4, 1, 0)
    assert await shared(connection, holder) == {"confirmed": 1, "consumed": 0}
    await assert_silent(connection)


async def test_what_moves_to_another_node_takes_the_right_there(
    connection: asyncpg.Connection,
) -> None:
    """The destination is taken first, by its own rights; then the source gets its right back."""
    depot = ("lamp", "depot")
    await stock_up(connection, {LAMP: 5, depot: 5})
    await keep(connection, "online", ["web"], {LAMP: 4, depot: 1})
    await keep(connection, "market", ["market"], {depot: 3})
    order = wants("web", 3)
    holder = await confirmed(connection, order)
    part = Part(line_id=order.takes[0].line_id, sku="lamp", node_id="store", quantity=3)
    elsewhere = demand(take(*depot, 3), holder_id=holder, channel="web")
    no = await run(connection, move, holder, [part], elsewhere)
    assert no is not None
    assert (no.node_id, no.available) == ("depot", 2)
    assert await quota(connection, *LAMP, "online") == (4, 3, 0)
    two = msgspec.structs.replace(part, quantity=2)
    there = demand(take(*depot, 2), holder_id=holder, channel="web")
    assert await run(connection, move, holder, [two], there) is None
    assert await quota(connection, *LAMP, "online") == (4, 1, 0)
    assert await quota(connection, *depot, "online") == (1, 1, 0)
    await assert_silent(connection)


async def test_a_transfer_takes_common_stock_and_uses_its_holder_s_right_up(
    connection: asyncpg.Connection,
) -> None:
    """Goods that are brought to a customer elsewhere have left, as goods that are sent have."""
    await stock_up(connection, {LAMP: 10, ("lamp", "depot"): 1})
    await keep(connection, "online", ["web"], {LAMP: 4})
    own = opened(7)
    refusal = await run(connection, begin, own, buffers={})
    assert refusal == refused(7, 6)
    holder = await confirmed(connection, wants("web", 3))
    theirs = msgspec.structs.replace(opened(3), holder_id=holder)
    assert await run(connection, begin, theirs, buffers={}) is None

    async def shipped(connection: asyncpg.Connection) -> None:
        found = await lock_one(connection, theirs.transfer_id)
        assert found is not None
        await ship(connection, found, {"lamp": 3}, actor="test")

    await run(connection, shipped)
    assert await quota(connection, *LAMP, "online") == (4, 0, 3)
    await assert_silent(connection)


def opened(quantity: int) -> Transfer:
    """Return a transfer of lamps from the store to the depot."""
    name = uuid4()
    return Transfer(
        transfer_id=name,
        from_node_id="store",
        to_node_id="depot",
        holder_id=name,
        expected_on=ON,
        actor="test",
        lines=(TransferLine(sku="lamp", quantity=quantity),),
    )


async def test_units_promised_before_are_taken_whatever_others_have_a_right_to(
    connection: asyncpg.Connection,
) -> None:
    """An order taken over from another system was sold before there was a pool."""
    await stock_up(connection, {LAMP: 3})
    await keep(connection, "online", ["web"], {LAMP: 3})
    order = msgspec.structs.replace(wants("till", 2), promised=True)
    assert await hold(connection, order) == [None]
    assert await quota(connection, *LAMP, "online") == (3, 0, 0)
    await assert_silent(connection)


# Races


async def test_32_callers_of_two_channels_sell_exactly_what_is_there(connect: Connect) -> None:
    """The last units of a hot record, some of them kept: none left, none sold twice or to others.

    A planner moves the quota up and down and orders are released meanwhile.
    """
    callers = await connect(CALLERS + 2)
    await stock_up(callers[0], {LAMP: 60})
    await keep(callers[0], "online", ["web"], {LAMP: 25})
    kept: list[Demand] = []

    async def shop(connection: asyncpg.Connection, seed: int) -> None:
        dice = random.Random(seed)
        channel = "web" if seed % 2 else "till"
        for _ in range(8):
            orders = [wants(channel, dice.randint(1, 3)) for _ in range(dice.randint(1, 3))]
            refusals = await hold(connection, *orders)
            for order, refusal in zip(orders, refusals, strict=True):
                if refusal is not None:
                    continue
                if dice.random() < 0.3:
                    await run(connection, release, [order.holder_id])
                else:
                    kept.append(order)

    await asyncio.gather(
        *(shop(caller, seed) for seed, caller in enumerate(callers[:CALLERS])),
        plan(callers[CALLERS]),
    )
    connection = callers[-1]
    while await hold(connection, wants("web", 1)) == [None]:
        pass
    on_hand, reserved, *_ = await counters(connection, *LAMP)
    assert (on_hand, reserved) == (60, 60)
    await assert_silent(connection)


async def plan(connection: asyncpg.Connection) -> None:
    """Move the quota up and down."""
    for turn in range(20):
        shift = Shift(
            sku="lamp",
            node_id="store",
            from_pool_id=None if turn % 2 else "online",
            to_pool_id="online" if turn % 2 else None,
            quantity=2,
        )
        try:
            await run(connection, reallocate, [shift])
        except QuotaUsedError:
            continue


async def test_units_kept_for_one_channel_are_never_sold_to_another(connect: Connect) -> None:
    """Sixteen callers of each channel for the last forty; twenty-five are the web's alone."""
    callers = await connect(CALLERS + 1)
    await stock_up(callers[0], {LAMP: 40})
    await keep(callers[0], "online", ["web"], {LAMP: 25})
    sold: Counter[str] = Counter()

    async def shop(connection: asyncpg.Connection, channel: str) -> None:
        for _ in range(5):
            if await hold(connection, wants(channel, 1)) == [None]:
                sold[channel] += 1

    # The till comes first and wants more than everything.
    await asyncio.gather(*(shop(caller, "till") for caller in callers[:16]))
    assert sold == {"till": 15}
    await asyncio.gather(
        *(shop(caller, "web" if n % 2 else "till") for n, caller in enumerate(callers[:CALLERS]))
    )
    assert sold == {"till": 15, "web": 25}
    await assert_silent(callers[-1])


# The audit


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (
            "UPDATE quota SET used = 2",
            "live reservations have 3 from the pool and the quota says 2",
        ),
        (
            "ALTER TABLE quota DROP CONSTRAINT quota_quantity_check; UPDATE quota SET quantity = 2",
            "3 units were taken of a quota of 2",
        ),
        ("UPDATE stock SET pooled = false", "the stock record's mark is 0 instead of 1"),
        (
            "ALTER TABLE reservation DROP CONSTRAINT reservation_pool_units_check; UPDATE reservation SET pool_units = NULL",
            "None of its 3 units are said to be from a pool",
        ),
    ],
)
async def test_the_audit_tells_of_every_disagreement_about_pools(
    connection: asyncpg.Connection, damage: str, says: str
) -> None:
    """It reads reservations and quotas for itself and shares no code with what writes them."""
    await stock_up(connection, {LAMP: 10})
    await keep(connection, "online", ["web"], {LAMP: 4})
    await hold(connection, wants("web", 3))
    await connection.execute(damage)
    assert any(says in each.what for each in await audit(connection))


# A model


class Held(msgspec.Struct):
    """What the model knows of an order."""

    order: Demand
    channel: str
    units: int
    shared: int


class Model:
    """Pools and one stock record in plain figures, written from the rules and not from the code."""

    def __init__(self, on_hand: int, quotas: dict[str, int]) -> None:
        """Keep units for each channel, which has a pool of its own name."""
        self.free = on_hand
        self.left = dict(quotas)
        self.held: list[Held] = []

    def may(self, channel: str) -> int:
        """Return what a channel may have: its right first, and beyond it what nobody has one to."""
        right = self.left.get(channel, 0)
        others = sum(self.left.values()) - right
        return max(min(right, self.free), self.free - others, 0)

    def hold(self, order: Demand, units: int) -> bool:
        """Take units for an order if they fit."""
        if units > self.may(order.channel):
            return False
        shared = min(units, self.left.get(order.channel, 0))
        self.free -= units
        if shared:
            self.left[order.channel] -= shared
        self.held.append(Held(order, order.channel, units, shared))
        return True

    def give_up(self, held: Held, units: int) -> None:
        """Give units back, common ones first."""
        common = min(held.units - held.shared, units)
        self.free += units
        if units - common:
            self.left[held.channel] += units - common
        held.units -= units
        held.shared -= units - common

    def leave(self, held: Held, units: int) -> None:
        """Send units away, those of the pool first: their right is used up."""
        held.shared -= min(held.shared, units)
        held.units -= units


@pytest.mark.parametrize("seed", range(12))
async def test_any_sequence_of_calls_agrees_with_a_model_of_pools(
    connection: asyncpg.Connection, seed: int
) -> None:
    """Orders of three channels in batches, given up, sent, counted and planned for, at random."""
    dice = random.Random(seed)
    quotas = {"web": dice.randint(0, 12), "market": dice.randint(0, 12)}
    model = Model(dice.randint(5, 25), quotas)
    await stock_up(connection, {LAMP: model.free})
    for channel, units in quotas.items():
        await keep(connection, channel, [channel], {LAMP: units})
    for _ in range(40):
        await step(connection, model, dice)
        row = await connection.fetchrow("SELECT * FROM stock WHERE sku = 'lamp'")
        assert row is not None
        assert row["on_hand"] - row["reserved"] == model.free
        for channel in quotas:
            quantity, used, consumed = await quota(connection, *LAMP, channel)
            assert quantity - used - consumed == model.left[channel]
    await assert_silent(connection)


async def step(connection: asyncpg.Connection, model: Model, dice: random.Random) -> None:
    """Do one thing at random, to both."""
    live = [held for held in model.held if held.units]
    chosen = dice.choice(live) if live else None
    what = dice.choice(["hold", "hold", "give up", "leave", "plan", "receive"])
    if what == "hold":
        await hold_some(connection, model, dice)
    elif what == "give up" and chosen:
        units = dice.randint(1, chosen.units)
        await run(connection, give_back, chosen.order.holder_id, [part_of(chosen, units)])
        model.give_up(chosen, units)
    elif what == "leave" and chosen:
        units = dice.randint(1, chosen.units)
        await send(connection, chosen, units)
        model.leave(chosen, units)
    elif what == "plan":
        channel, units = dice.choice(["web", "market"]), dice.randint(-4, 6)
        shift = Shift(
            sku="lamp",
            node_id="store",
            from_pool_id=channel if units < 0 else None,
            to_pool_id=None if units < 0 else channel,
            quantity=abs(units),
        )
        if model.left[channel] + units >= 0:
            await run(connection, reallocate, [shift])
            model.left[channel] += units
        else:
            with pytest.raises(QuotaUsedError):
                await run(connection, reallocate, [shift])
    elif what == "receive":
        units = dice.randint(1, 4)
        await run(connection, record, [moved("receive", *LAMP, units)])
        model.free += units


async def hold_some(connection: asyncpg.Connection, model: Model, dice: random.Random) -> None:
    """Hold a batch of orders of several channels."""
    orders = [
        wants(dice.choice(["web", "market", "till"]), dice.randint(1, 6))
        for _ in range(dice.randint(1, 4))
    ]
    refusals = await hold(connection, *orders)
    for order, refusal in zip(orders, refusals, strict=True):
        units, available = order.takes[0].quantity, model.may(order.channel)
        assert (refusal is None) == model.hold(order, units)
        assert refusal is None or refusal.available == available
    confirmed_now = [each.order.holder_id for each in model.held]
    await run(connection, confirm, confirmed_now)


async def send(connection: asyncpg.Connection, held: Held, units: int) -> None:
    """Dispatch units of an order."""
    gone = Consumption(
        movement_id=uuid4(),
        line_id=held.order.takes[0].line_id,
        sku="lamp",
        node_id="store",
        quantity=units,
    )
    await run(connection, consume, held.order.holder_id, [gone], actor="test")


def part_of(held: Held, units: int) -> Part:
    """Return units of an order."""
    return Part(line_id=held.order.takes[0].line_id, sku="lamp", node_id="store", quantity=units)
