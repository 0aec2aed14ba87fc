"""Any sequence of calls against a small model in plain Python, the audit silent after each step."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Concatenate, ParamSpec, TypeVar
from uuid import UUID, uuid4

import asyncpg
import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from inventory.dispatch import Consumption, consume
from inventory.ledger import (
    DeltaRecord,
    MovementRefused,
    SnapshotRecord,
    apply_deltas,
    apply_snapshot,
    record,
)
from inventory.resolve import confirm, expire_due, extend, release, retake
from inventory.supply import Receipt, Supply, put_supply, receive_supply
from tests.inventory.world import ON, assert_silent, demand, hold, moved, run, take

P = ParamSpec("P")
T = TypeVar("T")

SKUS = ("lamp", "bulb")
NODES = ("north", "south")
CELLS = [(sku, node) for sku in SKUS for node in NODES]
START = datetime(2026, 1, 1, tzinfo=UTC)
EFFECT = {"receive": 1, "sale": -1, "count_loss": -1}

cells = st.sampled_from(CELLS)
units = st.integers(1, 6)
numbers = st.integers(0, 999)
instants = st.integers(0, 50).map(lambda hours: START + timedelta(hours=hours))


class Line(msgspec.Struct):
    """Units of one order at one cell; `waiting` of them for supply."""

    line_id: str
    cell: tuple[str, str]
    quantity: int
    waiting: int
    turn: int


class Order(msgspec.Struct):
    """What the model knows of a holder."""

    holder_id: UUID
    state: str
    due: datetime
    lines: list[Line]


class Cell(msgspec.Struct):
    """What the model knows of a stock record: what was seen, and what moved."""

    seen: int = 0
    as_of: datetime | None = None
    moves: list[tuple[datetime, int]] = []
    damaged: int = 0
    expected: int = 0
    received: int = 0

    @property
    def on_hand(self) -> int:
        """What the last snapshot saw and everything that happened after it."""
        return self.seen + sum(
            units for at, units in self.moves if self.as_of is None or at > self.as_of
        )


class StockModel(RuleBasedStateMachine):
    """The stock record beside a model that has no counters, locks or tables."""

    connection: asyncpg.Connection
    runner: asyncio.Runner

    def __init__(self) -> None:
        """Start with eight units and five expected at each of four stock records."""
        super().__init__()
        self.cells = {cell: Cell() for cell in CELLS}
        self.orders: dict[UUID, Order] = {}
        self.turn = 0
        self.sequence = 0
        self.wait(self.empty())
        for cell in CELLS:
            self.move(cell, "receive", 8, START)
            self.expect(cell, 5)

    async def empty(self) -> None:
        """Empty every table that the rules write to."""
        await self.connection.execute(
            "TRUNCATE stock, movement, reservation, supply, feed, feed_message"
        )

    def wait(self, awaitable: Awaitable[T]) -> T:
        """Run something asynchronous to its end."""

        async def waited() -> T:
            return await awaitable

        return self.runner.run(waited())

    def do(
        self,
        call: Callable[Concatenate[asyncpg.Connection, P], Awaitable[T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Make one call in a transaction of its own."""
        return self.wait(run(self.connection, call, *args, **kwargs))

    def pick(self, number: int, *states: str) -> Order | None:
        """Choose one of the orders that are in one of these states; none where there is none."""
        chosen = [order for order in self.orders.values() if order.state in states and order.lines]
        return chosen[number % len(chosen)] if chosen else None

    # What the model works out for itself

    def live(self, cell: tuple[str, str]) -> list[Line]:
        """Return the live lines at a cell, in the order in which they are served."""
        lines = [
            line
            for order in self.orders.values()
            if order.state in ("held", "confirmed")
            for line in order.lines
            if line.cell == cell
        ]
        return sorted(lines, key=lambda line: line.turn)

    def free(self, cell: tuple[str, str]) -> int:
        """Return the units of a cell that nobody was promised."""
        promised = sum(line.quantity - line.waiting for line in self.live(cell))
        return self.cells[cell].on_hand - self.cells[cell].damaged - promised

    def room(self, cell: tuple[str, str]) -> int:
        """Return the units that may still be promised from a cell's supply."""
        coming = max(self.cells[cell].expected - self.cells[cell].received, 0)
        return coming - sum(line.waiting for line in self.live(cell))

    def serve(self, cell: tuple[str, str], before: int) -> None:
        """Give what came in to those who wait, the earliest first."""
        rise = self.cells[cell].on_hand - self.cells[cell].damaged - before
        budget = max(min(rise, self.free(cell)), 0)
        for line in self.live(cell):
            served = min(budget, line.waiting)
            line.waiting -= served
            budget -= served

    def sound(self, cell: tuple[str, str]) -> int:
        """Return the units of a cell that are fit for sale, promised or not."""
        return self.cells[cell].on_hand - self.cells[cell].damaged

    # Promises

    @rule(
        wanted=st.lists(st.tuples(cells, units, st.booleans()), min_size=1, max_size=3),
        due=instants,
    )
    def reserve(self, wanted: list[tuple[tuple[str, str], int, bool]], due: datetime) -> None:
        """Hold up to three lines, some of them from supply."""
        takes, lines = [], []
        for cell, quantity, waits in wanted:
            self.turn += 1
            each = take(
                *cell,
                quantity,
                supply_id=f"po-{cell[1]}" if waits else None,
                promise_on=ON + timedelta(days=self.turn),
            )
            takes.append(each)
            lines.append(Line(each.line_id, cell, quantity, quantity if waits else 0, self.turn))
        order = demand(*takes, expires_at=due)
        fits = self.fits(lines)
        assert (self.wait(hold(self.connection, order)) == [None]) == fits
        if fits:
            self.orders[order.holder_id] = Order(order.holder_id, "held", due, lines)

    def fits(self, lines: list[Line]) -> bool:
        """Tell whether all lines fit together."""
        return all(
            sum(line.quantity - line.waiting for line in lines if line.cell == cell)
            <= max(self.free(cell), 0)
            and sum(line.waiting for line in lines if line.cell == cell) <= max(self.room(cell), 0)
            for cell in {line.cell for line in lines}
        )

    @rule(number=numbers)
    def confirm(self, number: int) -> None:
        """Confirm an order, whatever has become of it."""
        order = self.pick(number, "held", "confirmed", "expired", "released")
        if order:
            was_held = order.state == "held"
            assert self.do(confirm, [order.holder_id]) == ([order.holder_id] if was_held else [])
            order.state = "confirmed" if was_held else order.state

    @rule(number=numbers, due=instants)
    def extend(self, number: int, due: datetime) -> None:
        """Let an order's hold end at another time."""
        order = self.pick(number, "held", "confirmed", "expired")
        if order:
            assert self.do(extend, order.holder_id, due) == (order.state == "held")
            order.due = due

    @rule(number=numbers)
    def release(self, number: int) -> None:
        """Release an order, whatever has become of it."""
        order = self.pick(number, "held", "confirmed", "expired", "released")
        if order:
            live = order.state in ("held", "confirmed")
            assert self.do(release, [order.holder_id]) == ([order.holder_id] if live else [])
            order.state = "released" if live else order.state

    @rule(now=instants)
    def expire(self, now: datetime) -> None:
        """Sweep what is due."""
        due = {o.holder_id for o in self.orders.values() if o.state == "held" and o.due <= now}
        swept = self.do(expire_due, holder_kind="allocation", limit=1_000, now=now)
        assert set(swept) == due
        for holder in due:
            self.orders[holder].state = "expired"

    @rule(number=numbers)
    def retake(self, number: int) -> None:
        """Take an expired order's plan again, all of it from on hand."""
        order = self.pick(number, "expired")
        if order:
            lines = [msgspec.structs.replace(line, waiting=0) for line in order.lines]
            again = demand(
                *(take(*line.cell, line.quantity) for line in lines), holder_id=order.holder_id
            )
            fits = self.fits(lines)
            assert (self.do(retake, again) is None) == fits
            if fits:
                order.state = "confirmed"
                for line, each in zip(lines, again.takes, strict=True):
                    line.line_id = each.line_id
                order.lines = lines

    @rule(number=numbers, node=st.sampled_from(NODES), quantity=units, at=instants)
    def dispatch(self, number: int, node: str, quantity: int, at: datetime) -> None:
        """Dispatch part of a confirmed line from either node, perhaps told of it late."""
        order = self.pick(number, "confirmed")
        if order is None:
            return
        line = order.lines[number % len(order.lines)]
        source = (line.cell[0], node)
        cell, free = self.cells[source], self.free(source)
        leaves = 0 if cell.as_of is not None and at <= cell.as_of else quantity
        given_up = quantity if source == line.cell else 0
        possible = (
            quantity <= line.quantity - line.waiting
            and cell.on_hand - leaves >= min(cell.on_hand, 0)
            and free + given_up - leaves >= min(free, 0)
        )
        each = Consumption(
            movement_id=uuid4(),
            line_id=line.line_id,
            sku=line.cell[0],
            node_id=node,
            quantity=quantity,
        )
        try:
            self.do(consume, order.holder_id, [each], actor="test", happened_at=at)
        except MovementRefused:
            assert not possible
            return
        assert possible
        line.quantity -= quantity
        cell.moves.append((at, -quantity))
        order.lines = [line for line in order.lines if line.quantity]

    # Goods

    @rule(cell=cells, kind=st.sampled_from(sorted(EFFECT)), quantity=units, at=instants)
    def move(self, cell: tuple[str, str], kind: str, quantity: int, at: datetime) -> None:
        """Receive, sell or count, perhaps told of it late."""
        state, before = self.cells[cell], self.sound(cell)
        counted = state.as_of is not None and at <= state.as_of
        change = 0 if counted else EFFECT[kind] * quantity
        possible = (
            state.on_hand + change >= min(state.on_hand, 0)
            and before + change >= min(before, 0)
            and (kind == "count_loss" or self.free(cell) + change >= min(self.free(cell), 0))
        )
        try:
            self.do(record, [moved(kind, *cell, quantity, happened_at=at)])
        except MovementRefused:
            assert not possible
            return
        assert possible
        state.moves.append((at, EFFECT[kind] * quantity))
        self.serve(cell, before)

    @rule(cell=cells, quantity=units)
    def damage(self, cell: tuple[str, str], quantity: int) -> None:
        """Find units damaged."""
        possible = quantity <= self.sound(cell)
        try:
            self.do(record, [moved("damage", *cell, quantity)])
        except MovementRefused:
            assert not possible
            return
        assert possible
        self.cells[cell].damaged += quantity

    @rule(seen=st.dictionaries(cells, st.tuples(st.integers(0, 12), instants), min_size=1))
    def snapshot(self, seen: dict[tuple[str, str], tuple[int, datetime]]) -> None:
        """Apply what another system saw at some instant."""
        self.sequence += 1
        snapshot = [
            SnapshotRecord(sku=cell[0], node_id=cell[1], on_hand=on_hand, as_of=as_of)
            for cell, (on_hand, as_of) in seen.items()
        ]
        result = self.do(apply_snapshot, "erp", self.sequence, snapshot, "feed")
        applied = 0
        for cell, (on_hand, as_of) in seen.items():
            state, before = self.cells[cell], self.sound(cell)
            if state.as_of is None or as_of >= state.as_of:
                state.seen, state.as_of = on_hand, as_of
                applied += 1
                self.serve(cell, before)
        assert (result.applied, result.ignored_old) == (applied, len(seen) - applied)

    @rule(cell=cells, delta=st.integers(-6, 6).filter(bool), at=instants)
    def delta(self, cell: tuple[str, str], delta: int, at: datetime) -> None:
        """Apply what another system says has moved, twice."""
        self.sequence += 1
        each = DeltaRecord(sku=cell[0], node_id=cell[1], delta=delta, happened_at=at)
        for _ in range(2):
            self.do(apply_deltas, "till", self.sequence, [each], "feed")
        before = self.sound(cell)
        self.cells[cell].moves.append((at, delta))
        self.serve(cell, before)

    @rule(cell=cells, quantity=st.integers(0, 12))
    def expect(self, cell: tuple[str, str], quantity: int) -> None:
        """Expect supply, or more or less of it than before."""
        supply = Supply(
            sku=cell[0],
            supply_id=f"po-{cell[1]}",
            node_id=cell[1],
            expected_on=ON,
            quantity=quantity,
        )
        self.do(put_supply, [supply])
        self.cells[cell].expected = quantity

    @rule(cell=cells, quantity=units)
    def receive(self, cell: tuple[str, str], quantity: int) -> None:
        """Receive units of supply."""
        if not self.cells[cell].expected:
            return
        now = START + timedelta(days=30)
        receipt = Receipt(
            movement_id=uuid4(),
            sku=cell[0],
            supply_id=f"po-{cell[1]}",
            quantity=quantity,
            happened_at=now,
            actor="test",
        )
        before = self.sound(cell)
        self.do(receive_supply, [receipt])
        self.cells[cell].moves.append((now, quantity))
        self.cells[cell].received += quantity
        self.serve(cell, before)

    # What must hold after every step

    @invariant()
    def counters_agree_with_the_model(self) -> None:
        """Compare every stock record, and what is promised from its supply."""
        rows = self.wait(
            self.connection.fetch(
                "SELECT s.*, coalesce((SELECT sum(promised) FROM supply u WHERE "
                "(u.sku, u.node_id) = (s.sku, s.node_id)), 0)::int AS promised FROM stock s"
            )
        )
        for row in rows:
            cell = (row["sku"], row["node_id"])
            state, live = self.cells[cell], self.live(cell)
            waiting = sum(line.waiting for line in live)
            expected = (
                state.on_hand,
                state.damaged,
                sum(line.quantity for line in live) - waiting,
                waiting,
                max(-self.free(cell), 0),
            )
            found = ("on_hand", "unavailable", "reserved", "promised", "shortage")
            assert tuple(row[name] for name in found) == expected, cell

    @invariant()
    def audit_is_silent(self) -> None:
        """The records agree with each other."""
        self.wait(assert_silent(self.connection))


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    """Yield an event loop of the test's own, since Hypothesis calls its rules one after another."""
    with asyncio.Runner() as runner:
        yield runner


def test_any_sequence_of_calls_agrees_with_a_model_and_leaves_the_audit_silent(
    database_url: str, runner: asyncio.Runner
) -> None:
    """The rules of stock written a second time, without a database, and compared at every step."""
    connection = runner.run(asyncpg.connect(database_url))

    class Machine(StockModel):
        pass

    Machine.connection, Machine.runner = connection, runner
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=60,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    runner.run(connection.close())
