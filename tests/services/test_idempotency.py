"""One key, one effect, however often and however fast it is sent."""

import asyncio

import msgspec

from services.database import Database
from services.keys import Principal
from services.orders.idempotency import claim
from services.orders.request import AllocationRequest
from tests.services.caller import Caller, basket, problem_type
from tests.services.test_allocations import assert_audit_is_silent, available


async def test_a_repeated_request_gets_the_first_answer_and_holds_nothing_more(
    caller: Caller, database: Database
) -> None:
    """The caller timed out and asks again."""
    first = await caller.post("/v1/allocations", basket("o-1", ("MUG", 2)), key="k")
    second = await caller.post("/v1/allocations", basket("o-1", ("MUG", 2)), key="k")
    assert (first.status_code, second.status_code) == (201, 201)
    assert second.json() == first.json()
    assert second.headers["idempotency-replayed"] == "true"
    assert await available(database, "MUG", "WH-EAST") == 98


def test_how_a_body_was_written_does_not_count() -> None:
    """A caller's retry may write its JSON anew; it is the same request as long as it says the same."""
    decode = msgspec.json.Decoder(AllocationRequest).decode
    order = basket("o-1", ("MUG", 2), hold_for="PT5M")
    other_way = dict(reversed(order.items())) | {"channel": "web", "policy": {"backorder": False}}
    body = decode(msgspec.json.encode(order))
    same = decode(msgspec.json.format(msgspec.json.encode(other_way), indent=3))
    another = decode(msgspec.json.encode(order | {"hold_for": "PT6M"}))
    principal = Principal("key", "checkout", (), None)
    claims = [claim(principal, "POST", "/v1/allocations", "k", each) for each in (body, same)]
    assert claims[0] == claims[1]
    assert claim(principal, "POST", "/v1/allocations", "k", another) != claims[0]


async def test_fifty_repetitions_at_once_have_one_effect(
    caller: Caller, database: Database
) -> None:
    """The caller's own retries race with each other."""
    order = basket("o-1", ("MUG", 2))
    responses = await asyncio.gather(
        *(caller.post("/v1/allocations", order, key="k") for _ in range(50))
    )
    assert {response.status_code for response in responses} == {201}
    assert len({response.json()["allocation_id"] for response in responses}) == 1
    assert await available(database, "MUG", "WH-EAST") == 98
    await assert_audit_is_silent(database)


async def test_an_order_under_another_key_gets_its_live_allocation(
    caller: Caller, database: Database
) -> None:
    """A checkout that lost its key does not buy twice."""
    first = await caller.post("/v1/allocations", basket("o-1", ("MUG", 2)))
    second = await caller.post("/v1/allocations", basket("o-1", ("MUG", 2)))
    assert second.status_code == 200
    assert second.json()["allocation_id"] == first.json()["allocation_id"]
    other = await caller.post("/v1/allocations", basket("o-1", ("MUG", 3)))
    assert (other.status_code, problem_type(other)) == (409, "order-already-allocated")
    assert await available(database, "MUG", "WH-EAST") == 98


async def test_an_order_under_another_key_is_told_how_its_allocation_stands_now(
    caller: Caller,
) -> None:
    """The hold was extended meanwhile; the time it would have ended is no longer true."""
    order = basket("o-1", ("MUG", 2), hold_for="PT5M")
    first = (await caller.post("/v1/allocations", order)).json()
    path = f"/v1/allocations/{first['allocation_id']}"
    extended = (await caller.post(f"{path}/extend", {"hold_for": "PT15M"})).json()
    again = (await caller.post("/v1/allocations", order)).json()
    assert again["expires_at"] == extended["expires_at"] > first["expires_at"]


async def test_one_order_sent_at_once_under_twenty_keys_is_allocated_once(
    caller: Caller, database: Database
) -> None:
    """Two browser tabs, one basket."""
    order = basket("o-1", ("MUG", 2))
    responses = await asyncio.gather(*(caller.post("/v1/allocations", order) for _ in range(20)))
    assert {response.status_code for response in responses} == {200, 201}
    assert len({response.json()["allocation_id"] for response in responses}) == 1
    assert await available(database, "MUG", "WH-EAST") == 98


async def test_a_refusal_for_lack_of_stock_is_repeated_under_its_key(
    caller: Caller, database: Database
) -> None:
    """The story a caller was told does not change when it asks again; a new key asks anew."""
    order = basket("o-1", ("LAMP", 25), policy={"ship_complete": True})
    first = await caller.post("/v1/allocations", order, key="k")
    async with database.transaction() as connection:
        await connection.execute("UPDATE stock SET on_hand = on_hand + 100 WHERE sku = 'LAMP'")
    second = await caller.post("/v1/allocations", order, key="k")
    third = await caller.post("/v1/allocations", order)
    assert (first.status_code, second.status_code, third.status_code) == (409, 409, 201)
    assert second.json() == first.json()


async def test_a_confirm_repeated_at_once_has_one_effect(
    caller: Caller, database: Database
) -> None:
    """Payment providers call back more than once."""
    held = (await caller.post("/v1/allocations", basket("o-1", ("MUG", 1)))).json()
    path = f"/v1/allocations/{held['allocation_id']}/confirm"
    responses = await asyncio.gather(*(caller.post(path) for _ in range(10)))
    assert {response.status_code for response in responses} == {200}
    async with database.connect() as connection:
        events = await connection.fetchval(
            "SELECT count(*) FROM event WHERE kind = 'allocation.confirmed'"
        )
    assert events == 1
