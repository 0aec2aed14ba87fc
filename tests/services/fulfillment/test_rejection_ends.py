"""However nodes say no, it ends: every unit is shipped, cancelled, or waits in one open exception."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any, cast

import httpx
import msgspec
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from services import keys
from services.app import create_app
from services.database import Database
from services.fulfillment.corrections import end_exclusions
from services.settings import Settings
from tests.services.caller import Caller
from tests.services.conftest import started
from tests.services.fulfillment.rejection_calls import decide, hurry, queue, sweep
from tests.services.fulfillment.work_calls import (
    assert_all_agrees,
    done,
    events_of,
    look,
    shipped,
    step,
)
from tests.services.place import furnish, stock

NODES = ("WH-EAST", "WH-WEST", "ST-EAST", "ST-WEST")
SKUS = ("MUG", "LAMP")
STEPS_MAX = 60
"""Far more than four nodes and three orders can need."""
LIVE = ("open", "in_progress", "packed")

stocks = st.fixed_dictionaries(
    {(sku, node_id): st.integers(0, 4) for sku in SKUS for node_id in NODES}
)
baskets = st.lists(
    st.lists(st.tuples(st.sampled_from(SKUS), st.integers(1, 3)), min_size=1, max_size=2),
    min_size=1,
    max_size=3,
)
reasons = st.sampled_from(["not_found", "damaged", "wrong_item", "no_capacity", "other"])
answers = st.tuples(
    st.sampled_from(["reject", "reject", "short-pick", "part", "ship", "count", "nothing"]),
    reasons,
)


class World(msgspec.Struct):
    """A running application and those who call it."""

    caller: Caller
    database: Database
    settings: Settings
    orders: int = 0


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    """Yield an event loop of the test's own, since Hypothesis calls its examples one by one."""
    with asyncio.Runner() as runner:
        yield runner


async def begin(settings: Settings, stack: AsyncExitStack) -> World:
    """Start the application on a furnished network; orders pass three nodes at most."""
    settings = msgspec.structs.replace(settings, attempts_per_line_max=3)
    if settings.database_url is None:
        raise ValueError("the settings of a test name its database")
    database = Database(settings.database_url, settings, connections_max=20)
    stack.push_async_callback(database.close)
    await furnish(database)
    secrets = {
        role: await keys.create(database, role, (), None)
        for role in ("checkout", "planner", "operator")
    }
    app = create_app(settings)
    await stack.enter_async_context(started(app))
    transport = httpx.ASGITransport(cast("Any", app), raise_app_exceptions=False)
    client = httpx.AsyncClient(transport=transport, base_url="http://nom.test")
    await stack.enter_async_context(client)
    return World(Caller(client, secrets, app.runtime), database, settings)


def test_every_unit_ends_shipped_cancelled_or_in_one_open_exception(
    settings: Settings, runner: asyncio.Runner
) -> None:
    """Random stock, random orders, nodes that say no as they like, and people who give up last."""
    stack = AsyncExitStack()
    world = runner.run(begin(settings, stack))

    @hypothesis_settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
    @given(stocks, baskets, st.lists(answers, min_size=STEPS_MAX, max_size=STEPS_MAX))
    def end_well(
        on_hand: dict[tuple[str, str], int],
        orders: list[list[tuple[str, int]]],
        said: list[tuple[str, str]],
    ) -> None:
        runner.run(live(world, on_hand, orders, said))

    end_well()
    runner.run(stack.aclose())


async def live(
    world: World,
    on_hand: dict[tuple[str, str], int],
    orders: list[list[tuple[str, int]]],
    said: list[tuple[str, str]],
) -> None:
    """Play one story to its end, the audit silent after each step."""
    await stock(world.database, on_hand)
    await world.caller.catch_up()
    wanted = await place(world, orders)
    for turn, (what, reason) in enumerate(said):
        works = await live_work(world, list(wanted))
        if not works:
            break
        work = works[turn % len(works)]
        if what == "count":
            line = work["lines"][0]
            await stock(world.database, {(line["sku"], work["node_id"]): 0})
        else:
            await say(world, work, what, reason)
        await sweep(world.database, world.settings)
        await assert_all_agrees(world.database)
        await assert_accounted(world, wanted)
    for work in await live_work(world, list(wanted)):
        await say(world, work, "reject", "other")
    assert await live_work(world, list(wanted)) == [] or len(said) < STEPS_MAX
    await give_up(world)
    await assert_accounted(world, wanted)
    await assert_all_agrees(world.database)


async def place(
    world: World, orders: list[list[tuple[str, int]]]
) -> dict[str, Counter[tuple[str, str]]]:
    """Allocate and confirm orders; return what each was promised, by line."""
    wanted: dict[str, Counter[tuple[str, str]]] = {}
    for lines in orders:
        world.orders += 1
        order_id = f"o-{world.orders}"
        held = await world.caller.post("/v1/allocations", shipped(order_id, *lines))
        if held.status_code != 201:
            continue
        allocation_id = held.json()["allocation_id"]
        confirm = await world.caller.post(f"/v1/allocations/{allocation_id}/confirm")
        assert confirm.status_code == 200, confirm.text
        wanted[order_id] = Counter()
        for fulfillment in confirm.json()["fulfillments"]:
            for line in fulfillment["lines"]:
                wanted[order_id][line["line_id"], line["sku"]] += line["quantity"]
    return wanted


async def work_of(world: World, order_ids: list[str]) -> list[dict[str, Any]]:
    """Return all work of some orders, the first made first."""
    async with world.database.connect() as connection:
        rows = await connection.fetch(
            "SELECT fulfillment_order_id::text AS name FROM fulfillment_order"
            " WHERE order_id = ANY($1::text[]) ORDER BY created_at, fulfillment_order_id",
            order_ids,
        )
    return [await look(world.caller, row["name"]) for row in rows]


async def live_work(world: World, order_ids: list[str]) -> list[dict[str, Any]]:
    """Return the work that nodes still have to do."""
    return [each for each in await work_of(world, order_ids) if each["state"] in LIVE]


async def say(world: World, work: dict[str, Any], what: str, reason: str) -> None:
    """Have a node answer its work in some way."""
    name, caller = work["fulfillment_order_id"], world.caller
    if what == "nothing":
        return
    if what == "ship":
        picked = await step(caller, name, "pick")
        # Units that a count has taken away meanwhile cannot be picked, and are then short.
        if picked.status_code == 200 and (await step(caller, name, "ship")).status_code == 200:
            return
        what = "reject"
    body: dict[str, Any] = {"reason": reason}
    if what == "part":
        line = next(each for each in work["lines"] if left_of(each))
        body["lines"] = [{"line_id": line["line_id"], "part": line["part"], "quantity": 1}]
    answer = await step(caller, name, "short-pick" if what == "short-pick" else "reject", body)
    # A short pick after everything was picked has nothing to say.
    assert answer.status_code in (200, 409), answer.text
    if answer.status_code == 409:
        await done(caller, name, "reject", body)


def left_of(line: dict[str, Any]) -> int:
    """Return the units of a line that its node still has to dispatch."""
    gone = ("shipped", "collected", "rejected", "cancelled")
    left: int = line["quantity"] - sum(line[name] for name in gone)
    return left


async def assert_accounted(world: World, wanted: dict[str, Counter[tuple[str, str]]]) -> None:
    """Fail unless every unit promised is somewhere, and in one place only."""
    for order_id, promised in wanted.items():
        found: Counter[tuple[str, str]] = Counter()
        for work in await work_of(world, [order_id]):
            for line in work["lines"]:
                key = (line["line_id"], line["sku"])
                found[key] += left_of(line) if work["state"] in LIVE else 0
                found[key] += line["shipped"] + line["cancelled"]
        for each in await queue(world.caller, order_id=order_id):
            if each["kind"] in ("unroutable", "attempts"):
                for line in each["lines"]:
                    found[line["line_id"], line["sku"]] += line["quantity"]
        for kind, payload in await events_of(world.database, order_id):
            if kind == "order.units_cancelled":
                for line in payload["lines"]:
                    found[line["line_id"], line["sku"]] += line["quantity"]
        assert +found == +promised, order_id


async def give_up(world: World) -> None:
    """Cancel all that still waits for a decision, and let every node sell again."""
    await hurry(world.database)
    await sweep(world.database, world.settings)
    for each in await queue(world.caller):
        body = {"action": "cancel"}
        answer = await decide(world.caller, each["exception_id"], "override", body)
        # Cancelling the last units of an order ends what else waits for it.
        assert answer.status_code in (200, 409), answer.text
    async with world.database.transaction() as connection:
        await connection.execute("UPDATE exclusion SET until_at = now()")
    await end_exclusions(world.database)
