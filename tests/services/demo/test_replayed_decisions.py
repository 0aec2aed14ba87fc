"""A thousand stored decisions, decided again: the same thousand plans come out."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, cast
from uuid import UUID

import asyncpg
import httpx
import msgspec
import pytest

from services import keys
from services.app import create_app
from services.database import Database
from services.demo.goods import OpeningStock
from services.demo.load import load
from services.demo.network import DemoNetwork
from services.demo.orders import orders
from services.orders.answers import AllocationAnswer, quote_answer
from services.orders.decisions import Replayed, replayed
from services.orders.request import AllocationRequest, RequestLine, RequestPolicy
from services.settings import Settings
from tests.services.caller import Caller
from tests.services.conftest import started

DECISIONS = 1_000
BASKETS = 260
LINES_MAX = 25
TIMES = 6
"""How often each basket is ordered, with other wishes each time."""
AT_ONCE = 2
PATIENCE_S = 1_200
"""The test takes a minute on a quiet machine."""
PATIENCE_MS = 120_000
"""No order is given up because the machine of the tests is slow."""
ZONES = 12
"""Of the 148, so that loading takes seconds."""
LONGEST = 16
HASTY_MS = 5
"""The least time an order is given under load: long baskets run into it."""
replace = msgspec.structs.replace


def baskets(network: DemoNetwork) -> list[AllocationRequest]:
    """Return the first baskets of the year, with strategy, parcels and dates drawn for each."""
    today = datetime.now(UTC).date()
    chance = Random(17)
    return [
        wishing(each.request, chance)
        for time in range(TIMES)
        for each in orders(network, BASKETS, today, run=f"replayed-{time}")
        if len(each.request.lines) <= LINES_MAX
    ]


def wishing(request: AllocationRequest, chance: Random) -> AllocationRequest:
    """Return a basket as some customer of some channel would send it."""
    policy = RequestPolicy(
        ship_complete=chance.random() < 0.1,
        shipments_max=chance.choice((None, None, None, 1, 2, 3)),
        backorder=chance.random() < 0.3,
        strategy=chance.choice((None, "cheapest", "fastest", "fewest_parcels")),
    )
    somewhere = request.destination is not None
    lines = tuple(wanting(line, chance, somewhere=somewhere) for line in request.lines)
    return replace(request, lines=lines, policy=policy)


def wanting(line: RequestLine, chance: Random, *, somewhere: bool) -> RequestLine:
    """Return a line, now and then of far more than anybody has, or one that may be shipped too."""
    if chance.random() < 0.08:
        line = replace(line, quantity=min(9_000, line.quantity * chance.choice((3, 40, 900))))
    if somewhere and line.method == "pickup" and chance.random() < 0.4:
        line = replace(line, method="any")
    return line


def furnished(network: DemoNetwork) -> DemoNetwork:
    """Return the network with few zones and the items of these baskets, its warehouses limited."""
    wanted = {line.sku for request in baskets(network) for line in request.lines}
    stock = network.stock
    kept = [index for index, sku in enumerate(stock.skus) if sku in wanted]
    zones = network.zones[:ZONES]
    zone_ids = {zone.zone_id for zone in zones}
    return replace(
        network,
        items=[item for item in network.items if item.sku in wanted],
        zones=zones,
        lanes=[lane for lane in network.lanes if lane.zone_id in zone_ids],
        nodes=[
            replace(node, capacity_unit=unit, capacity_maximum=maximum)
            if node.kind == "warehouse"
            else node
            for node, (unit, maximum) in zip(
                network.nodes, [("orders", 40), ("units", 300)] * len(network.nodes), strict=False
            )
        ],
        stock=OpeningStock(
            skus=[stock.skus[index] for index in kept],
            node_ids=[stock.node_ids[index] for index in kept],
            quantities=[stock.quantities[index] for index in kept],
        ),
    )


def expected(network: DemoNetwork) -> list[dict[str, Any]]:
    """Return supply of every third item at a warehouse, within three weeks."""
    today = datetime.now(UTC).date()
    chance = Random(18)
    warehouses = [node.node_id for node in network.nodes if node.kind == "warehouse"]
    return [
        {
            "sku": item.sku,
            "supply_id": f"po-{item.sku}",
            "node_id": chance.choice(warehouses),
            "expected_on": str(today + timedelta(days=chance.randint(1, 20))),
            "quantity": chance.randint(1, 60),
        }
        for item in network.items[::3]
    ]


@asynccontextmanager
async def calling(settings: Settings, secrets: dict[str, str]) -> AsyncIterator[Caller]:
    """Yield a caller of an application with these settings."""
    app = create_app(settings)
    # Litestar's ASGI types are narrower than httpx's, which are plain mappings.
    transport = httpx.ASGITransport(cast("Any", app), raise_app_exceptions=False)
    async with (
        started(app),
        httpx.AsyncClient(transport=transport, base_url="http://nom.test") as client,
    ):
        yield Caller(client, secrets, app.runtime)


async def send(caller: Caller, requests: list[AllocationRequest]) -> list[AllocationAnswer]:
    """Send baskets, some at once; return the answers of those that hold something."""
    found = []
    for first in range(0, len(requests), AT_ONCE):
        answers = await asyncio.gather(
            *(
                caller.post("/v1/allocations", msgspec.to_builtins(each))
                for each in requests[first : first + AT_ONCE]
            )
        )
        assert {each.status_code for each in answers} <= {201, 409}
        found += [
            msgspec.json.decode(each.content, type=AllocationAnswer)
            for each in answers
            if each.status_code == 201
        ]
    return found


async def all_replayed(database: Database, allocation_ids: list[UUID]) -> list[Replayed]:
    """Decide allocations again, each from what is stored of it, as `nom replay` does."""
    async with database.connect() as connection:
        return [await replayed(connection, each) for each in allocation_ids]


def assert_the_same(told: AllocationAnswer, found: Replayed) -> None:
    """Fail unless a plan came out again, and is the one that the checkout was told."""
    plan = found.recorded
    assert (found.again.status, found.again.cost) == (plan.status, plan.cost), told.allocation_id
    assert found.is_same, told.allocation_id
    shown = quote_answer(plan, 0, 0, told.cost.total.currency)
    assert shown.fulfillments == told.fulfillments
    assert (shown.cost, shown.shortfalls) == (told.cost, told.shortfalls)


def kinds(told: AllocationAnswer) -> Iterator[str]:
    """Yield what is special about a decision."""
    methods = {each.method for each in told.fulfillments}
    yield told.solver.status
    yield "mixed" if len(methods) > 1 else methods.pop()
    if told.shortfalls:
        yield "short"
    if len(told.fulfillments) > 2:
        yield "split"
    if any(line.supply_id for each in told.fulfillments for line in each.lines):
        yield "backorder"
    if told.cost.lateness.amount_minor:
        yield "late"


@pytest.fixture
async def secrets(network: DemoNetwork, database_url: str, database: Database) -> dict[str, str]:
    """Load the network; return keys."""
    part = furnished(network)
    assert await load(database_url, Settings(), part, lambda *_: None)
    return {role: await keys.create(database, role, (), None) for role in ("checkout", "planner")}


@pytest.mark.slow
@pytest.mark.timeout(PATIENCE_S)
async def test_a_thousand_stored_decisions_are_decided_the_same_again(
    network: DemoNetwork, settings: Settings, database: Database, secrets: dict[str, str]
) -> None:
    """An auditor may ask of any order, in any later year, why it went where it went.

    Real baskets with all that a checkout may wish for, on nodes that fill up; the longest of them
    decided in such haste that not all are proven.
    """
    asked = sorted(baskets(network), key=lambda each: len(each.lines))
    usual, longest = asked[:-LONGEST], asked[-LONGEST:]
    Random(19).shuffle(usual)
    patient = replace(settings, deadline_ms=PATIENCE_MS)
    async with calling(patient, secrets) as caller:
        supply = {"supply": expected(furnished(network))}
        announced = await caller.post("/v1/supply", supply, role="planner")
        assert announced.status_code == 200, announced.text
        await caller.catch_up()
        told = await send(caller, usual)
    hasty = replace(patient, decision_ms=HASTY_MS, decision_min_ms=HASTY_MS)
    async with calling(hasty, secrets) as caller:
        told = (await send(caller, longest) + told)[:DECISIONS]
    assert len(told) == DECISIONS
    seen = Counter(kind for each in told for kind in kinds(each))

    for each, found in zip(
        told, await all_replayed(database, [each.allocation_id for each in told]), strict=True
    ):
        assert_the_same(each, found)

    assert min(seen[kind] for kind in ("ship", "pickup", "mixed", "split", "short", "late")) > 20
    assert seen["backorder"] > 20
    assert seen["feasible"] + seen["greedy"] > 0, "no decision met its time limit"
    await change_everything(database)
    for each, found in zip(
        told[::20],
        await all_replayed(database, [each.allocation_id for each in told[::20]]),
        strict=True,
    ):
        assert_the_same(each, found)


async def change_everything(database: Database) -> None:
    """Change all master data that a plan could depend on, and the stock."""
    async with database.transaction() as connection:
        await tear_up(connection)


async def tear_up(connection: asyncpg.Connection) -> None:
    """Set other prices, cut-offs and days, and take lanes and weights away."""
    for statement in (
        'UPDATE tariff SET brackets = \'[{"weight_grams_max": 1, "price_minor": 9}]\'',
        "UPDATE node SET cut_off = '00:01', handling_days = 9, time_zone = 'Asia/Tokyo'",
        "UPDATE item SET weight_grams = weight_grams + 1",
        "DELETE FROM lane",
        "UPDATE network_version SET version = version + 1",
    ):
        await connection.execute(statement)
