"""A follower of changes misses none, whatever order transactions commit in."""

import asyncio
import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule, run_state_machine_as_test

from inventory import changes, reading
from inventory.audit.views import capacity_rows, compare_views, stock_rows, supply_rows
from inventory.buffers import Buffer, delete_buffers, put_buffers
from inventory.capacity import move_capacity
from inventory.items import Item, put_items
from inventory.ledger import record
from inventory.nodes import Capacity, put_capacity
from inventory.resolve import release
from inventory.view import StockView
from tests.inventory.conftest import Connect
from tests.inventory.following import HighestNumber, differences, load, poll
from tests.inventory.test_model import CELLS, NODES, SKUS, StockModel
from tests.inventory.world import (
    ON,
    add_nodes,
    demand,
    hold,
    moved,
    run,
    stock_up,
    take,
    work,
)

KEY = ("lamp", "north")


def offered(view: StockView) -> int:
    """Return the units of the lamp in the north that a view offers."""
    numbers, available = view.held("lamp", "web")
    found = {view.node_ids[number]: units for number, units in zip(numbers, available, strict=True)}
    return int(found.get("north", 0))


async def test_a_transaction_that_began_early_and_commits_late_is_not_missed(
    connect: Connect,
) -> None:
    """Its number is lower than others that were seen; only what snapshots see tells it is new."""
    early, late, follower = await connect(3)
    await stock_up(late, {KEY: 10, ("mug", "south"): 10})
    view, cursor = await load(follower)
    naive, naive_view = HighestNumber(), StockView()
    await naive.poll(follower, naive_view)

    transaction = early.transaction()
    await transaction.start()
    await record(early, [moved("receive", *KEY, 7)])
    await run(late, record, [moved("receive", "mug", "south", 1)])
    cursor = await poll(follower, view, cursor)
    await naive.poll(follower, naive_view)
    assert (offered(view), offered(naive_view)) == (10, 10)
    await transaction.commit()

    cursor = await poll(follower, view, cursor)
    await naive.poll(follower, naive_view)
    assert offered(view) == 17
    assert offered(naive_view) == 10, "the follower by highest number has missed the late commit"
    assert not (await changes.read_changes(follower, cursor)).keys


async def test_a_change_is_read_once_even_while_an_older_transaction_goes_on(
    connect: Connect,
) -> None:
    """A long transaction must not make every poll read all changes since it began."""
    early, late, follower = await connect(3)
    await stock_up(late, {KEY: 10, ("mug", "south"): 10})
    _, cursor = await load(follower)
    async with early.transaction():
        await record(early, [moved("receive", *KEY, 7)])
        await run(late, record, [moved("receive", "mug", "south", 1)])
        found = await changes.read_changes(follower, cursor)
        assert found.keys == {"stock": {("mug", "south")}}
        again = await changes.read_changes(follower, found.cursor)
        assert again.keys == {}
    found = await changes.read_changes(follower, again.cursor)
    assert found.keys == {"stock": {KEY}}


async def test_what_is_rolled_back_was_never_a_change(connect: Connect) -> None:
    """A note must share the fate of what it is about."""
    writer, follower = await connect(2)
    await stock_up(writer, {KEY: 10})
    view, cursor = await load(follower)
    transaction = writer.transaction()
    await transaction.start()
    await record(writer, [moved("receive", *KEY, 7)])
    await transaction.rollback()
    assert not (await changes.read_changes(follower, cursor)).keys
    assert offered(view) == 10


async def order(connection: asyncpg.Connection, view: StockView, chance: random.Random) -> None:
    """Plan an order on the view, commit it, and tell the view of the commit a little late."""
    wish = demand(take(*chance.choice(CELLS), chance.randint(1, 3)))
    taking = view.take([(each.sku, each.node_id, each.quantity) for each in wish.takes])
    if (await hold(connection, wish))[0] is not None:
        view.give_back(taking)
        return
    rows = await connection.fetch(
        "SELECT sku, node_id, on_hand, reserved, unavailable, version FROM stock"
        " WHERE sku = ANY ($1)",
        [each.sku for each in wish.takes],
    )
    await asyncio.sleep(chance.random() / 100)
    view.apply_stock(rows)
    view.settle([taking])
    if chance.random() < 0.3:
        await run(connection, release, [wish.holder_id])


async def test_commits_polls_and_refreshes_in_any_order_end_at_what_the_tables_say(
    connect: Connect,
) -> None:
    """Eight writers, a follower and a reader that all apply late what they have read early."""
    *writers, follower, reader = await connect(10)
    await stock_up(follower, dict.fromkeys(CELLS, 400))
    view, cursor = await load(follower)
    chance = random.Random(7)
    done = asyncio.Event()

    async def write(connection: asyncpg.Connection) -> None:
        for _ in range(25):
            await order(connection, view, chance)

    async def follow(at: changes.Cursor) -> changes.Cursor:
        while not done.is_set():
            at = await poll(follower, view, at)
            await asyncio.sleep(0.002)
        return at

    async def read() -> None:
        while not done.is_set():
            await reading.refresh(reader, view, SKUS)

    others = asyncio.gather(follow(cursor), read())
    await asyncio.gather(*(write(connection) for connection in writers))
    done.set()
    at, _ = await others
    await poll(follower, view, at)
    assert await differences(reader, view) == []
    assert view.slices.pending().tolist() == []


async def test_a_follower_that_fell_behind_what_is_kept_is_told_so(connect: Connect) -> None:
    """It would otherwise go on with a hole in what it knows."""
    writer, follower, sweeper = await connect(3)
    await stock_up(writer, {KEY: 10})
    _, old = await load(follower)
    await run(writer, record, [moved("receive", *KEY, 1)])
    long_ago, soon = datetime(2020, 1, 1, tzinfo=UTC), datetime.now(UTC) + timedelta(hours=1)
    assert await run(sweeper, changes.trim_changes, long_ago) == 0
    # Sets aside the snapshot of now; what it sees may go at the next round.
    await run(sweeper, changes.trim_changes, soon)
    assert (await changes.read_changes(follower, old)).keys == {"stock": {KEY}}
    _, new = await load(follower)
    await run(writer, record, [moved("receive", *KEY, 1)])
    assert await run(sweeper, changes.trim_changes, soon) > 0
    found = await changes.read_changes(follower, new)
    assert (found.gone, found.keys) == (False, {"stock": {KEY}})
    assert (await changes.read_changes(follower, old)).gone


async def test_a_late_commit_is_kept_for_as_long_as_others(connect: Connect) -> None:
    """Its note is old when it becomes visible; deleted by age, it would go before it is read."""
    early, writer, follower, sweeper = await connect(4)
    await stock_up(writer, {KEY: 10})
    soon = datetime.now(UTC) + timedelta(hours=1)
    transaction = early.transaction()
    await transaction.start()
    await record(early, [moved("receive", *KEY, 7)])
    _, cursor = await load(follower)
    for _ in range(2):
        await run(sweeper, changes.trim_changes, soon)
    await transaction.commit()
    await run(sweeper, changes.trim_changes, datetime(2020, 1, 1, tzinfo=UTC))
    found = await changes.read_changes(follower, cursor)
    assert (found.gone, found.keys) == (False, {"stock": {KEY}})


async def test_another_server_means_a_load_anew(connection: asyncpg.Connection) -> None:
    """A promoted standby may give the numbers of lost transactions to others."""
    _, cursor = await load(connection)
    elsewhere = changes.Cursor(cursor.snapshot, cursor.server - timedelta(days=1))
    assert (await changes.read_changes(connection, elsewhere)).gone


async def test_a_floor_restored_from_another_server_starts_anew(
    connection: asyncpg.Connection,
) -> None:
    """Numbers of the old server would hide changes of the new one, or show them for ever."""
    await stock_up(connection, {KEY: 10})
    future = "900000000:900000000:"
    await connection.execute("UPDATE change_floor SET seen = $1, next_seen = $1", future)
    await connection.execute("UPDATE change SET xid = 900000000")
    while await run(connection, changes.trim_changes, datetime(2020, 1, 1, tzinfo=UTC)):
        pass
    assert await connection.fetchval("SELECT count(*) FROM change") == 0
    _, cursor = await load(connection)
    await run(connection, record, [moved("receive", *KEY, 1)])
    found = await changes.read_changes(connection, cursor)
    assert (found.gone, found.keys) == (False, {"stock": {KEY}})


async def test_a_large_load_arrives_whole(connection: asyncpg.Connection) -> None:
    """Records come in pieces cut anywhere, some in the middle of a number."""
    await connection.execute(
        "INSERT INTO stock (sku, node_id, on_hand, version)"
        " SELECT 'sku-' || s, 'node-' || n, s * n % 97, s + n"
        " FROM generate_series(1, 400) s, generate_series(1, 40) n ORDER BY random()"
    )
    view, _ = await load(connection)
    assert view.slices.records == 16_000
    numbers, units = view.held("sku-7", "web")
    found = {view.node_ids[n]: int(each) for n, each in zip(numbers, units, strict=True)}
    assert found == {f"node-{n}": 7 * n % 97 for n in range(1, 41)}


class Followed(StockModel):
    """The model's calls and those it does not make, with a view that follows all of them."""

    view: StockView
    fresh: StockView
    """What the tables said after the step before."""
    cursor: changes.Cursor

    def __init__(self) -> None:
        """Load the view before anything happens."""
        self.ready = False
        self.employed: list[tuple[UUID, str]] = []
        super().__init__()
        self.view, self.cursor = self.wait(load(self.connection))
        self.fresh, _ = self.wait(load(self.connection))
        self.ready = True
        self.wait(add_nodes(self.connection, *NODES, capacity_maximum=3))

    async def empty(self) -> None:
        """Empty what the further rules write to as well."""
        await super().empty()
        await self.connection.execute(
            "TRUNCATE item, buffer, capacity, capacity_hold, change; DELETE FROM node"
        )

    @rule(sku=st.sampled_from(SKUS), grams=st.integers(0, 9), bulky=st.booleans())
    def describe(self, sku: str, grams: int, *, bulky: bool) -> None:
        """Put an item."""
        item = Item(sku=sku, weight_grams=grams, requires=("bulky",) if bulky else ())
        self.do(put_items, [item])

    @rule(
        sku=st.sampled_from((*SKUS, "*")), node=st.sampled_from((*NODES, "*")), keep=st.booleans()
    )
    def keep_back(self, sku: str, node: str, *, keep: bool) -> None:
        """Put a buffer rule or take it away."""
        if keep:
            self.do(put_buffers, [Buffer(sku=sku, node_id=node, quantity=1)])
        else:
            self.do(delete_buffers, [(sku, node, "*")])

    @rule(node=st.sampled_from(NODES), day=st.integers(0, 2), maximum=st.integers(0, 5))
    def limit(self, node: str, day: int, maximum: int) -> None:
        """Set what a node can do on a date."""
        on = ON + timedelta(days=day)
        self.do(put_capacity, [Capacity(node_id=node, work_on=on, unit="orders", maximum=maximum)])

    @rule(node=st.sampled_from(NODES))
    def employ(self, node: str) -> None:
        """Take capacity of a node, with a hat to pack."""
        packed = demand(take("hat", node, 1), capacity=[work(node)])
        self.do(record, [moved("receive", "hat", node, 1)])
        if self.wait(hold(self.connection, packed))[0] is None:
            self.employed.append((packed.holder_id, node))

    @rule(later=st.integers(1, 2))
    def postpone(self, later: int) -> None:
        """Move what a holder has taken to a later date."""
        if self.employed:
            holder, node = self.employed[0]
            dates: list[date] = [ON + timedelta(days=later)]
            self.do(move_capacity, holder, {(node, ON): dates})

    @rule()
    def dismiss(self) -> None:
        """Give back what a holder has taken."""
        if self.employed:
            self.do(release, [self.employed.pop(0)[0]])

    @invariant()
    def view_agrees_with_the_tables(self) -> None:
        """Poll, then compare with a view that was just loaded."""
        if self.ready:
            self.cursor = self.wait(poll(self.connection, self.view, self.cursor))
            fresh, _ = self.wait(load(self.connection))
            assert [each.what for each in compare_views(self.view, fresh)] == []
            self.every_write_has_counted_up(fresh)

    def every_write_has_counted_up(self, fresh: StockView) -> None:
        """A row with other figures must have a higher version, or an old read could win."""
        for rows_of in (stock_rows, supply_rows, capacity_rows):
            before, rows = rows_of(self.fresh), rows_of(fresh)
            for key in before.keys() & rows.keys():
                same = before[key][:-1] == rows[key][:-1]
                assert same or before[key][-1] < rows[key][-1], (key, before[key], rows[key])
        self.fresh = fresh

    @invariant()
    def counters_agree_with_the_model(self) -> None:
        """Left to the other test: the hats here are not in the model."""


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    """Yield an event loop of the test's own, since Hypothesis calls its rules one after another."""
    with asyncio.Runner() as runner:
        yield runner


def test_a_view_that_follows_equals_one_just_loaded_after_any_sequence_of_calls(
    database_url: str, runner: asyncio.Runner
) -> None:
    """A writer that forgets its note, or a version, shows here: every public call is among them."""
    connection = runner.run(asyncpg.connect(database_url))

    class Machine(Followed):
        pass

    Machine.connection, Machine.runner = connection, runner
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=30,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    runner.run(connection.close())
