"""Any sequence of calls by all who have a part in orders, against a small model in plain Python.

The model knows nothing of tables, locks or states of work: it counts what lies where, what of it is
promised, and what became of each unit of an order. Where to send an order is the service's choice,
which the model checks and then takes for a fact. After every step the stock agrees with the model
and the audits are silent.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeVar, cast
from uuid import uuid4

import httpx
import msgspec
import pytest
from hypothesis import HealthCheck, Phase
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from services import keys
from services.app import create_app
from services.database import Database
from services.settings import Settings
from tests.services.caller import Caller, basket, problem_type
from tests.services.conftest import started
from tests.services.fulfillment.work_calls import assert_all_agrees
from tests.services.place import furnish

T = TypeVar("T")

STEPS = 60
EXAMPLES = 14
GOODS = {"MUG": 400, "LAMP": 2_000}
"""Grams of what each example has of its own."""
OPENING = {"WH-EAST": 4, "WH-WEST": 3, "ST-EAST": 3, "ST-WEST": 1}
NODES = tuple(OPENING)
STORE = "ST-EAST"
ACTIONS = (
    "accept",
    "pick",
    "pack",
    "ready",
    "hand-over",
    "no-show",
    "ship",
    "deliver",
    "reject",
    "short-pick",
    "accept-cancellation",
    "reject-cancellation",
)
WITH_BODY = {"pick", "ship", "hand-over", "deliver", "reject", "short-pick", "reject-cancellation"}

numbers = st.integers(0, 999)
quantities = st.integers(1, 4)
skus = st.sampled_from(sorted(GOODS))
nodes = st.sampled_from(NODES)


class Cell(msgspec.Struct):
    """Units of one sku at one node."""

    on_hand: int = 0
    promised: int = 0

    @property
    def free(self) -> int:
        """What may still be promised."""
        return self.on_hand - self.promised


class Part(msgspec.Struct):
    """Units of one line that one node has to give."""

    line_id: str
    sku: str
    quantity: int
    picked: int = 0
    gone: int = 0
    given_up: int = 0
    returned: int = 0

    @property
    def left(self) -> int:
        """What is still promised."""
        return self.quantity - self.gone - self.given_up


class Work(msgspec.Struct):
    """What one node does for an order."""

    work_id: str
    node_id: str
    method: str
    parts: list[Part]


class Order(msgspec.Struct):
    """An order and what became of it."""

    order_id: str
    allocation_id: str
    state: str
    planned: list[Work]
    """As allocated; of a confirmed order its work."""


def kind_of(told: dict[str, Any]) -> str:
    """Return which of the goods an answer tells of."""
    kind: str = told["sku"].partition("-")[0]
    return kind


class WholeLife(RuleBasedStateMachine):
    """The service beside a model of where every unit is."""

    runner: asyncio.Runner
    caller: Caller
    database: Database

    def __init__(self) -> None:
        """Start with no orders and goods of its own, so that no example sees another's."""
        super().__init__()
        self.name = uuid4().hex[:8]
        self.cells = {(sku, node_id): Cell() for sku in GOODS for node_id in NODES}
        self.orders: list[Order] = []
        self.counter: dict[str, tuple[str, int]] = {}

    def sku(self, kind: str) -> str:
        """Return the sku of one of the goods in this example."""
        return f"{kind}-{self.name}"

    def wait(self, awaitable: Awaitable[T]) -> T:
        """Run something asynchronous to its end."""

        async def waited() -> T:
            return await awaitable

        return self.runner.run(waited())

    def post(self, path: str, body: object = None, role: str = "checkout") -> httpx.Response:
        """Make a call."""
        return self.wait(self.caller.post(path, body, role=role))

    @initialize()
    def fill_the_shelves(self) -> None:
        """Put the opening stock where it lies."""
        for kind, grams in GOODS.items():
            item = {"weight_grams": grams}
            answer = self.wait(self.caller.put(f"/v1/items/{self.sku(kind)}", item))
            assert answer.status_code == 200, answer.text
            for node_id, units in OPENING.items():
                self.move(kind, node_id, "receive", units)

    async def read_stock(self) -> dict[tuple[str, str], tuple[int, int]]:
        """Return on hand and reserved of every record, as the API tells it."""
        answer = await self.caller.get(
            "/v1/stock", role="planner", params={"sku": [self.sku(kind) for kind in GOODS]}
        )
        assert answer.status_code == 200, answer.text
        return {
            (kind_of(each), each["node_id"]): (each["on_hand"], each["reserved"])
            for each in answer.json()["stock"]
        }

    def move(self, sku: str, node_id: str, kind: str, quantity: int) -> None:
        """Record a movement that has to be lawful."""
        entry = {
            "movement_id": str(uuid4()),
            "node_id": node_id,
            "sku": self.sku(sku),
            "kind": kind,
            "quantity": quantity,
        }
        answer = self.post("/v1/stock/movements", {"movements": [entry]}, "planner")
        assert answer.status_code == 201, answer.text
        self.cells[sku, node_id].on_hand += quantity if kind == "receive" else -quantity

    def chosen(self, number: int, *states: str) -> Order | None:
        """Choose one of the orders in these states."""
        found = [order for order in self.orders if order.state in states]
        return found[number % len(found)] if found else None

    def worked(self, number: int) -> tuple[Order, Work] | None:
        """Choose a piece of work of a confirmed order."""
        found = [
            (order, work)
            for order in self.orders
            if order.state == "confirmed"
            for work in order.planned
        ]
        return found[number % len(found)] if found else None

    def free_of(self, works: list[Work]) -> None:
        """Give back all that is left of some work."""
        for work in works:
            for part in work.parts:
                self.cells[part.sku, work.node_id].promised -= part.left
                part.given_up += part.left

    # Checkout

    @rule(
        wanted=st.lists(st.tuples(skus, quantities, st.booleans()), min_size=1, max_size=3),
        east=st.booleans(),
    )
    def order(self, wanted: list[tuple[str, int, bool]], *, east: bool) -> None:
        """Allocate a basket and leave it held."""
        self.allocate(wanted, east=east)

    def allocate(self, wanted: list[tuple[str, int, bool]], *, east: bool) -> None:
        """Allocate a basket; all that there is must be given, and nothing that there is not."""
        order_id = f"{self.name}-{len(self.orders)}"
        lines = [
            {"line_id": str(number), "sku": self.sku(sku), "quantity": quantity}
            | ({"method": "pickup", "pickup_node": STORE} if collect else {})
            for number, (sku, quantity, collect) in enumerate(wanted, 1)
        ]
        postal_code = "10001" if east else "90001"
        body = basket(
            order_id, lines=lines, destination={"country": "US", "postal_code": postal_code}
        )
        possible = sum(self.most(sku, wanted) for sku in GOODS)
        answer = self.post("/v1/allocations", body)
        if answer.status_code == 409:
            assert problem_type(answer) == "insufficient-stock"
            assert possible == 0
            return
        assert answer.status_code == 201, answer.text
        told = answer.json()
        works = [
            Work(
                "",
                each["node"],
                each["method"],
                [Part(line["line_id"], kind_of(line), line["quantity"]) for line in each["lines"]],
            )
            for each in told["fulfillments"]
        ]
        short = sum(each["quantity"] for each in told["shortfalls"])
        assert short == sum(quantity for _, quantity, _ in wanted) - possible
        for work in works:
            for part in work.parts:
                cell = self.cells[part.sku, work.node_id]
                assert part.quantity <= cell.free
                cell.promised += part.quantity
        self.orders.append(Order(order_id, told["allocation_id"], "held", works))

    def most(self, sku: str, wanted: list[tuple[str, int, bool]]) -> int:
        """Return how many units of a sku can be given at most: collected at one store, or shipped."""
        collected = sum(units for each, units, collect in wanted if each == sku and collect)
        shipped = sum(units for each, units, collect in wanted if each == sku and not collect)
        # What only lies at nodes that cannot hand over can still be shipped.
        everywhere = sum(self.cells[sku, node_id].free for node_id in NODES)
        at_store = min(collected, self.cells[sku, STORE].free)
        return at_store + min(shipped, everywhere - at_store)

    @rule(sku=skus, quantity=quantities, collect=st.booleans())
    def buy(self, sku: str, quantity: int, *, collect: bool) -> None:
        """Allocate and pay at once."""
        known = len(self.orders)
        self.allocate([(sku, quantity, collect)], east=True)
        if len(self.orders) > known:
            self.confirm(-1)

    @rule(number=numbers)
    def confirm(self, number: int) -> None:
        """Make an order firm; its parts become work."""
        order = self.chosen(number, "held")
        if order is None:
            return
        answer = self.post(f"/v1/allocations/{order.allocation_id}/confirm")
        assert answer.status_code == 200, answer.text
        order.state = "confirmed"
        told = self.told_work(order)
        assert sorted((work.node_id, work.method) for work in order.planned) == sorted(
            (each["node_id"], each["method"]) for each in told
        )
        order.planned = [self.work_of(each) for each in told]

    def told_work(self, order: Order) -> list[dict[str, Any]]:
        """Return an order's work as the API tells it."""
        answer = self.wait(self.caller.get(f"/v1/orders/{order.order_id}"))
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["fulfillment_orders"]
        return found

    def work_of(self, told: dict[str, Any]) -> Work:
        """Return new work as the model keeps it."""
        return Work(
            told["fulfillment_order_id"],
            told["node_id"],
            told["method"],
            [Part(each["line_id"], kind_of(each), each["quantity"]) for each in told["lines"]],
        )

    @rule(number=numbers)
    def release(self, number: int) -> None:
        """Leave a basket."""
        order = self.chosen(number, "held")
        if order is not None:
            answer = self.post(f"/v1/allocations/{order.allocation_id}/release")
            assert answer.status_code == 200, answer.text
            order.state = "released"
            self.free_of(order.planned)

    @rule(number=numbers)
    def cancel(self, number: int) -> None:
        """Cancel an order; the answer says what becomes of each piece of work."""
        order = self.chosen(number, "held", "confirmed")
        if order is None:
            return
        answer = self.post(f"/v1/allocations/{order.allocation_id}/cancel")
        if answer.status_code == 409:
            assert problem_type(answer) == "illegal-state"
            return
        assert answer.status_code == 200, answer.text
        if order.state == "held":
            order.state = "cancelled"
            self.free_of(order.planned)
            return
        outcomes = {
            each["fulfillment_order_id"]: each["outcome"]
            for each in answer.json()["fulfillment_orders"]
        }
        self.free_of([work for work in order.planned if outcomes[work.work_id] == "cancelled"])

    # Nodes

    @rule(number=numbers, action=st.sampled_from(ACTIONS), half=st.booleans())
    def try_anything(self, number: int, action: str, *, half: bool) -> None:
        """Take any step of any work: what is not allowed changes nothing."""
        found = self.worked(number)
        if found is not None:
            self.step(*found, self.look(found[1]), action, half=half)

    @rule(number=numbers, choice=st.integers(0, 9), half=st.booleans())
    def go_on(self, number: int, choice: int, *, half: bool) -> None:
        """Take a step that is allowed, of the work that was begun last or of any other."""
        found = self.worked(-1 if number % 2 else number)
        if found is not None:
            before = self.look(found[1])
            if before["allowed"]:
                action = before["allowed"][choice % len(before["allowed"])]
                self.step(*found, before, action, half=half)

    @rule(number=numbers, half=st.booleans())
    def get_it_done(self, number: int, *, half: bool) -> None:
        """Bring work that is not done a step nearer to the customer."""
        open_work = [
            (order, work)
            for order in self.orders
            if order.state == "confirmed"
            for work in order.planned
            if sum(part.left for part in work.parts)
        ]
        if not open_work:
            return
        order, work = open_work[number % len(open_work)]
        before = self.look(work)
        for action in ("hand-over", "ship", "ready", "pick"):
            if action in before["allowed"]:
                self.step(order, work, before, action, half=half)
                return

    def step(
        self, order: Order, work: Work, before: dict[str, Any], action: str, *, half: bool
    ) -> None:
        """Take a step, and let it have its effect on the model if it was taken."""
        body = self.body_of(action, before, half=half)
        answer = self.post(f"/v1/fulfillment-orders/{work.work_id}/{action}", body, "operator")
        if answer.status_code != 200:
            assert answer.status_code in {409, 422}, answer.text
            if action not in before["allowed"]:
                assert problem_type(answer) == "illegal-state"
            return
        assert action in before["allowed"], action
        self.effect(order, work, action, body, answer.json())

    def look(self, work: Work) -> dict[str, Any]:
        """Return work as a checkout sees it, with its code."""
        answer = self.wait(self.caller.get(f"/v1/fulfillment-orders/{work.work_id}"))
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def body_of(self, action: str, seen: dict[str, Any], *, half: bool) -> dict[str, Any] | None:
        """Return the body of a step; by half it names one line and one unit of it."""
        if action not in WITH_BODY:
            return None
        body: dict[str, Any] = {"code": seen["pickup_code"] or ""} if action == "hand-over" else {}
        if action in {"reject", "short-pick"}:
            # A reason that corrects no stock: what was found missing is another test's matter.
            body["reason"] = "other"
        if half and action in {"pick", "ship", "hand-over"}:
            line = seen["lines"][0]
            body["lines"] = [{"line_id": line["line_id"], "part": line["part"], "quantity": 1}]
        return body

    def effect(
        self,
        order: Order,
        work: Work,
        action: str,
        body: dict[str, Any] | None,
        told: dict[str, Any],
    ) -> None:
        """Let a step that was taken have its effect on the model."""
        named = (body or {}).get("lines")
        if action == "pick":
            for part in work.parts if named is None else work.parts[:1]:
                ready = part.quantity - part.given_up
                part.picked = ready if named is None else part.picked + 1
                assert part.picked <= ready
        elif action in {"ship", "hand-over"}:
            for part in work.parts if named is None else work.parts[:1]:
                units = part.picked - part.gone if named is None else 1
                part.gone += units
                assert part.gone <= part.picked
                cell = self.cells[part.sku, work.node_id]
                cell.on_hand -= units
                cell.promised -= units
        elif action in {"no-show", "accept-cancellation"}:
            self.free_of([work])
        elif action in {"reject", "short-pick"}:
            self.give_up(order, work, told["units"], picked_too=action == "reject")

    def give_up(
        self, order: Order, work: Work, fates: list[dict[str, Any]], *, picked_too: bool
    ) -> None:
        """Follow units that a node has given up: to another node, or into the queue at none."""
        given_up = 0
        for part in work.parts:
            units = part.left if picked_too else part.quantity - part.picked - part.given_up
            self.cells[part.sku, work.node_id].promised -= units
            part.given_up += units
            given_up += units
        assert sum(fate["quantity"] for fate in fates) == given_up
        known = {each.work_id for each in order.planned}
        new = {
            each["fulfillment_order_id"]: self.work_of(each)
            for each in self.told_work(order)
            if each["fulfillment_order_id"] not in known
        }
        for fate in fates:
            if fate["became"] == "moved":
                assert fate["node_id"] != work.node_id
                cell = self.cells[kind_of(fate), fate["node_id"]]
                assert fate["quantity"] <= cell.free
                cell.promised += fate["quantity"]
                assert fate["fulfillment_order_id"] in new
        moved = sum(fate["quantity"] for fate in fates if fate["became"] == "moved")
        assert moved == sum(part.quantity for each in new.values() for part in each.parts)
        order.planned += new.values()

    @rule(number=numbers, quantity=quantities, node_id=st.sampled_from(("ST-EAST", "ST-WEST")))
    def bring_back(self, number: int, quantity: int, node_id: str) -> None:
        """Bring units back to any store; never more than have left."""
        found = self.worked(number)
        if found is None:
            return
        order, work = found
        part = work.parts[0]
        same = [
            each
            for other in order.planned
            for each in other.parts
            if (each.line_id, each.sku) == (part.line_id, part.sku)
        ]
        out = sum(each.gone - each.returned for each in same)
        answer = self.post(
            "/v1/returns",
            {
                "order_id": order.order_id,
                "node_id": node_id,
                "received": True,
                "lines": [
                    {
                        "line_id": part.line_id,
                        "quantity": quantity,
                        "reason": "too small",
                        "disposition": "restock",
                    }
                ],
            },
            f"store {node_id}",
        )
        assert (answer.status_code < 300) == (quantity <= out), answer.text
        if answer.status_code < 300:
            self.cells[part.sku, node_id].on_hand += quantity
            for each in same:
                units = min(quantity, each.gone - each.returned)
                each.returned += units
                quantity -= units

    # Stock

    @rule(sku=skus, node_id=nodes, quantity=quantities)
    def receive(self, sku: str, node_id: str, quantity: int) -> None:
        """Receive goods."""
        self.move(sku, node_id, "receive", quantity)

    @rule(sku=skus, node_id=nodes, quantity=quantities)
    def sell(self, sku: str, node_id: str, quantity: int) -> None:
        """Sell at the till what nobody was promised."""
        if quantity <= self.cells[sku, node_id].free:
            self.move(sku, node_id, "sale", quantity)

    @rule(sku=skus, quantity=quantities)
    def reserve_at_the_counter(self, sku: str, quantity: int) -> None:
        """Hold for the customer at the counter what is free there."""
        body = {"node_id": STORE, "sku": self.sku(sku), "quantity": quantity}
        answer = self.post("/v1/reservations", body, f"store {STORE}")
        cell = self.cells[sku, STORE]
        assert (answer.status_code == 201) == (quantity <= cell.free), answer.text
        if answer.status_code == 201:
            cell.promised += quantity
            self.counter[answer.json()["reservation_id"]] = (sku, quantity)

    @rule(number=numbers)
    def release_at_the_counter(self, number: int) -> None:
        """Give back what the customer did not want."""
        if not self.counter:
            return
        name = list(self.counter)[number % len(self.counter)]
        answer = self.post(f"/v1/reservations/{name}/release", None, f"store {STORE}")
        assert answer.status_code == 200, answer.text
        sku, quantity = self.counter.pop(name)
        self.cells[sku, STORE].promised -= quantity

    # What must hold after every step

    @invariant()
    def stock_agrees_with_the_model(self) -> None:
        """Compare every stock record."""
        expected = {at: (cell.on_hand, cell.promised) for at, cell in self.cells.items()}
        assert self.wait(self.read_stock()) == expected

    @invariant()
    def work_agrees_with_the_model(self) -> None:
        """Compare what became of each unit of the order that was touched last."""
        for order in self.orders[-1:]:
            if order.state != "confirmed":
                continue
            for told in self.told_work(order):
                work = next(
                    each for each in order.planned if each.work_id == told["fulfillment_order_id"]
                )
                for part, line in zip(work.parts, told["lines"], strict=True):
                    assert line["picked"] - (line["shipped"] + line["collected"]) >= 0
                    assert line["shipped"] + line["collected"] == part.gone
                    assert line["rejected"] + line["cancelled"] == part.given_up
                    assert line["returned"] == part.returned

    @invariant()
    def audits_are_silent(self) -> None:
        """The records agree with each other."""
        self.wait(assert_all_agrees(self.database))


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    """Yield an event loop of the test's own, since Hypothesis calls its rules one after another."""
    with asyncio.Runner() as runner:
        yield runner


@asynccontextmanager
async def playing(settings: Settings) -> AsyncIterator[tuple[Caller, Database]]:
    """Yield a caller of the running application with a key of each part, and its database."""
    if settings.database_url is None:
        raise ValueError("the settings of a test name its database")
    database = Database(settings.database_url, settings, connections_max=10)
    app = create_app(settings)
    await furnish(database)
    secrets = {
        "checkout": await keys.create(database, "checkout", (), None),
        "planner": await keys.create(database, "planner", (), None),
        "operator": await keys.create(database, "operator", (), None),
        "store ST-EAST": await keys.create(database, "store", ("ST-EAST",), None),
        "store ST-WEST": await keys.create(database, "store", ("ST-WEST",), None),
    }
    transport = httpx.ASGITransport(cast("Any", app), raise_app_exceptions=False)
    async with (
        started(app),
        httpx.AsyncClient(transport=transport, base_url="http://nom.test") as client,
    ):
        yield Caller(client, secrets, app.runtime), database
    await database.close()


def test_any_sequence_of_calls_leaves_every_unit_where_the_model_has_it(
    runner: asyncio.Runner, settings: Settings
) -> None:
    """Nobody thinks of a cancel between a reject and a return of the same unit; this does."""
    stack = AsyncExitStack()
    caller, database = runner.run(stack.enter_async_context(playing(settings)))

    class Machine(WholeLife):
        pass

    Machine.runner, Machine.caller, Machine.database = runner, caller, database
    try:
        run_state_machine_as_test(
            Machine,
            settings=hypothesis_settings(
                max_examples=EXAMPLES,
                stateful_step_count=STEPS,
                deadline=None,
                derandomize=True,
                # Every step is calls and audits; a failing sequence is read as it was found.
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            ),
        )
    finally:
        runner.run(stack.aclose())
