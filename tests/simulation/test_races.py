"""Races over real HTTP on separate connections, against a service with two worker processes."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from inventory.audit import audit
from inventory.items import Item, put_items
from services import keys, records
from services.database import Database
from tests.services.caller import basket, problem_type
from tests.services.place import stock
from tests.simulation.served import Served, client_of_each_worker

CALLERS = 200
BASKET_CALLERS = 64
BASKETS_EACH = 5
SEED = 7
PATIENCE_S = 120
POLLS = 1_000
POLL_S = 0.02
NETWORK_S = 2.5
"""Longer than two polls of the network, after which every worker knows its newest version."""
REFUSALS = {"insufficient-stock", "contended"}


class Crowd:
    """Callers with a connection each."""

    def __init__(self, service: Served, client: httpx.AsyncClient) -> None:
        """Remember how to send."""
        self.service = service
        self.client = client
        self.sent = 0

    async def post(self, path: str, body: object, role: str = "checkout") -> httpx.Response:
        """Send a POST under a key of its own."""
        self.sent += 1
        headers = self.service.headers(role, f"crowd-{id(self)}-{self.sent}")
        return await self.client.post(path, json=body, headers=headers)


@asynccontextmanager
async def crowd_of(service: Served, size: int) -> AsyncIterator[Crowd]:
    """Yield `size` callers, none of whom shares a connection."""
    limits = httpx.Limits(max_connections=size, max_keepalive_connections=size)
    async with httpx.AsyncClient(
        base_url=service.address, timeout=PATIENCE_S, limits=limits
    ) as client:
        yield Crowd(service, client)


async def offer(database: Database, on_hand: dict[tuple[str, str], int]) -> None:
    """Put items and their stock into the network."""
    async with database.transaction() as connection:
        await put_items(
            connection, [Item(sku=sku, name=sku, weight_grams=100) for sku, _ in on_hand]
        )
    await stock(database, on_hand)


async def left(database: Database, sku: str) -> int:
    """Return what nobody holds of a sku."""
    async with database.connect() as connection:
        units: int = await connection.fetchval(
            "SELECT sum(on_hand - reserved)::int FROM stock WHERE sku = $1", sku
        )
    return units


async def assert_audit_is_silent(database: Database) -> None:
    """Fail when counters, movements and reservations disagree."""
    async with database.connect() as connection:
        assert await audit(connection) == []


async def test_of_200_callers_for_one_unit_one_gets_it_and_199_are_told_why(
    service: Served, database: Database
) -> None:
    """The last pair of shoes, announced in a newsletter."""
    await offer(database, {("SHOES", "WH-EAST"): 1})
    async with crowd_of(service, CALLERS) as crowd:
        answers = await asyncio.gather(
            *(
                crowd.post("/v1/allocations", basket(f"shoes-{number}", ("SHOES", 1)))
                for number in range(CALLERS)
            )
        )
    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: CALLERS - 1}
    assert {problem_type(each) for each in answers if each.status_code == 409} <= REFUSALS
    assert await left(database, "SHOES") == 0
    await assert_audit_is_silent(database)


async def test_two_line_baskets_fill_the_stock_and_no_refused_one_would_still_fit(
    service: Served, database: Database
) -> None:
    """A flash sale through two channels ends with nothing oversold, half held, or left behind."""
    skus = ["F-1", "F-2", "F-3", "F-4"]
    await offer(database, {(sku, f"WH-{side}"): 50 for sku in skus for side in ("EAST", "WEST")})
    held: list[tuple[dict[str, Any], dict[str, Any]]] = []
    refused: list[dict[str, Any]] = []
    async with crowd_of(service, BASKET_CALLERS) as crowd:

        async def shop(number: int) -> None:
            chance = random.Random(SEED * 1_000 + number)
            for serial in range(BASKETS_EACH):
                order = flash_order(f"flash-{number}-{serial}", skus, chance)
                answer = await persist(crowd, order)
                if answer.status_code == 201:
                    held.append((answer.json(), order))
                else:
                    assert problem_type(answer) == "insufficient-stock", answer.text
                    refused.append(order)

        await asyncio.gather(*(shop(number) for number in range(BASKET_CALLERS)))
        remaining = {sku: await left(database, sku) for sku in skus}
        print(f"{len(held)} held, {len(refused)} refused, {remaining} left")
        assert refused
        for order in refused:
            assert any(remaining[line["sku"]] < line["quantity"] for line in order["lines"]), order
        assert {answer["status"] for answer, _ in held} == {"held"}
        for answer, order in held:
            assert units_of(promised_lines(answer)) == units_of(order["lines"])
        for sku in skus:
            await sell_out(crowd, database, sku)
    await assert_audit_is_silent(database)


def flash_order(order_id: str, skus: list[str], chance: random.Random) -> dict[str, Any]:
    """Return an order of two lines, all or nothing, through one of two channels."""
    lines = [(sku, chance.randint(1, 3)) for sku in chance.sample(skus, 2)]
    channel = chance.choice(["web", "marketplace"])
    return basket(order_id, *lines, policy={"ship_complete": True}, channel=channel)


async def persist(crowd: Crowd, order: dict[str, Any]) -> httpx.Response:
    """Send an order, again under a new key while others are quicker, and return the answer."""
    while True:
        answer = await crowd.post("/v1/allocations", order)
        if answer.status_code == 201 or problem_type(answer) != "contended":
            return answer


def promised_lines(answer: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the lines an answer holds stock for."""
    return [line for each in answer["fulfillments"] for line in each["lines"]]


def units_of(lines: list[dict[str, Any]]) -> Counter[str]:
    """Return the units of lines by sku."""
    units: Counter[str] = Counter()
    for line in lines:
        units[line["sku"]] += line["quantity"]
    return units


async def sell_out(crowd: Crowd, database: Database, sku: str) -> None:
    """Sell what is left one by one, and not one more."""
    remaining = await left(database, sku)
    answers = await asyncio.gather(
        *(
            persist(crowd, basket(f"rest-{sku}-{number}", (sku, 1)))
            for number in range(remaining + 3)
        )
    )
    assert Counter(each.status_code for each in answers) == Counter({201: remaining, 409: 3})
    assert await left(database, sku) == 0


async def test_the_counter_and_the_web_never_promise_the_same_unit(
    service: Served, database: Database
) -> None:
    """A customer at the counter and forty on the web want what stands on one shelf."""
    await offer(database, {("SHELF", "ST-EAST"): 30})
    counter = {"node_id": "ST-EAST", "sku": "SHELF", "quantity": 1}
    async with crowd_of(service, 80) as crowd:
        answers = await asyncio.gather(
            *(crowd.post("/v1/reservations", counter, role="store") for _ in range(40)),
            *(persist(crowd, basket(f"shelf-{number}", ("SHELF", 1))) for number in range(40)),
        )
    won = [answer.status_code for answer in answers].count(201)
    assert {problem_type(each) for each in answers if each.status_code != 201} <= REFUSALS
    assert won == 30
    assert await left(database, "SHELF") == 0
    await assert_audit_is_silent(database)


async def test_an_expired_hold_is_sold_on_another_worker(
    service: Served, database: Database
) -> None:
    """A basket that was left keeps its unit no longer than it was promised."""
    await offer(database, {("LAST", "WH-EAST"): 1})
    async with client_of_each_worker(service) as (here, there):
        held = await here.post(
            "/v1/allocations",
            json=basket("left", ("LAST", 1), hold_for="PT2S"),
            headers=service.headers("checkout", "left"),
        )
        assert held.status_code == 201, held.text
        expires_at = datetime.fromisoformat(held.json()["expires_at"])
        for number in range(POLLS):
            sold = await there.post(
                "/v1/allocations",
                json=basket(f"next-{number}", ("LAST", 1)),
                headers=service.headers("checkout", f"next-{number}"),
            )
            if sold.status_code == 201:
                break
            await asyncio.sleep(POLL_S)
        late_s = (datetime.now(UTC) - expires_at).total_seconds()
    print(f"sold {late_s:.3f} s after it expired")
    assert sold.status_code == 201
    assert 0 <= late_s < 10
    await assert_audit_is_silent(database)


async def test_a_revoked_key_stops_working_on_every_worker(
    service: Served, database: Database
) -> None:
    """A key that leaked is dead soon after somebody noticed, wherever it is used."""
    secret = await keys.create(database, "checkout", (), None)
    headers = {"Authorization": f"Bearer {secret}"}
    async with client_of_each_worker(service) as clients:
        for client in clients:
            assert (await client.get("/v1/items/MUG", headers=headers)).status_code == 200
        async with database.transaction() as connection:
            row = await records.find_key(connection, keys.digest(secret))
            assert row is not None
            assert await records.revoke_key(connection, row["key_id"])
        for client in clients:
            await until_answered(client, "/v1/items/MUG", headers, 401)


async def until_answered(
    client: httpx.AsyncClient, path: str, headers: dict[str, str], status: int
) -> None:
    """Ask again and again until the answer has this status."""
    for _ in range(POLLS):
        if (await client.get(path, headers=headers)).status_code == status:
            return
        await asyncio.sleep(POLL_S)
    raise AssertionError(f"{path} is never answered {status}")


async def test_a_node_that_is_switched_off_takes_no_new_work_on_any_worker(
    service: Served, database: Database
) -> None:
    """Water in the warehouse: one call, and no checkout sends another order there."""
    await offer(database, {("PEN", "WH-EAST"): 1_000, ("PEN", "WH-WEST"): 1_000})
    async with client_of_each_worker(service) as clients:
        for client in clients:
            assert await planned_at(client, service) == "WH-EAST"
        try:
            await switch(clients[0], service, enabled=False)
            for client in clients:
                await until_planned_at(client, service, "WH-WEST")
                for _ in range(20):
                    assert await planned_at(client, service) == "WH-WEST"
        finally:
            await switch(clients[0], service, enabled=True)
        for client in clients:
            await until_planned_at(client, service, "WH-EAST")
    # Stock is read anew for each plan, and so switches at once; the network follows a moment later.
    await asyncio.sleep(NETWORK_S)


async def switch(client: httpx.AsyncClient, service: Served, *, enabled: bool) -> None:
    """Switch the eastern warehouse on or off."""
    answer = await client.put(
        "/v1/nodes/WH-EAST/enabled",
        json={"enabled": enabled},
        headers=service.headers("planner", "-"),
    )
    assert answer.status_code == 200, answer.text


async def planned_at(client: httpx.AsyncClient, service: Served) -> str:
    """Return the node a quote would ship from."""
    body = basket("", ("PEN", 1))
    del body["order_id"]
    answer = await client.post("/v1/quotes", json=body, headers=service.headers("checkout", "-"))
    assert answer.status_code == 200, answer.text
    node: str = answer.json()["fulfillments"][0]["node"]
    return node


async def until_planned_at(client: httpx.AsyncClient, service: Served, node: str) -> None:
    """Ask for quotes until they ship from `node`."""
    for _ in range(POLLS):
        if await planned_at(client, service) == node:
            return
        await asyncio.sleep(POLL_S)
    raise AssertionError(f"no quote ever ships from {node}")


@pytest.mark.parametrize(
    "calls", [("cancel", "cancel"), ("release", "cancel"), ("confirm", "cancel")]
)
async def test_a_callback_that_comes_twice_or_crosses_another_frees_the_stock_once(
    service: Served, database: Database, calls: tuple[str, str]
) -> None:
    """Peers gave back twice what was cancelled twice (magento/inventory#2420)."""
    await offer(database, {("TWICE", "WH-EAST"): 20})
    async with client_of_each_worker(service) as clients:
        for number in range(10):
            order_id = f"twice-{'-'.join(calls)}-{number}"
            held = await clients[0].post(
                "/v1/allocations",
                json=basket(order_id, ("TWICE", 2)),
                headers=service.headers("checkout", order_id),
            )
            assert held.status_code == 201, held.text
            path = f"/v1/allocations/{held.json()['allocation_id']}"
            answers = await asyncio.gather(
                *(
                    client.post(
                        f"{path}/{call}",
                        headers=service.headers("checkout", f"{order_id}-{place}"),
                    )
                    for place, (client, call) in enumerate(zip(clients, calls, strict=True))
                )
            )
            told = {answer.status_code for answer in answers}
            assert told <= {200, 409}
            now = (await clients[1].get(path, headers=service.headers("checkout", "-"))).json()[
                "status"
            ]
            assert await left(database, "TWICE") == (20 if now != "confirmed" else 18), now
            assert now in {"cancelled", "released"}
    await assert_audit_is_silent(database)
