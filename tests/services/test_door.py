"""What stands before the framework: the calls answered without it, and overload."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import redirect_stdout
from io import BytesIO, TextIOWrapper
from typing import Any, cast

import httpx
import pytest
from msgspec.structs import replace

from services.database import Database
from services.http.door import Door
from services.observe import Observed
from services.orders.idempotency import Answer
from services.settings import Settings
from tests.services.caller import Caller, basket, problem_type
from tests.services.test_allocations import assert_audit_is_silent
from tests.services.test_failures import (
    PATIENCE_MS,
    occupy_lanes,
    send,
    stock_locked,
    until_queued,
)

QUEUE = 4
READS = 2
BURST = 40
BUSY = QUEUE // 2 + 1
"""Orders that make the queue more than half full."""
ORDER = basket("o-1", ("MUG", 1))
QUOTE = {name: value for name, value in ORDER.items() if name != "order_id"}


@pytest.fixture
def settings(database_url: str) -> Settings:
    """Return settings with a short queue, under which a lock may be held as long as it takes."""
    return Settings.from_environment(
        {
            "DATABASE_URL": database_url,
            "NOM_LOCK_TIMEOUT_MS": PATIENCE_MS,
            "NOM_STATEMENT_TIMEOUT_MS": PATIENCE_MS,
            "NOM_DEADLINE_MS": PATIENCE_MS,
            "NOM_QUEUE_ORDERS_MAX": str(QUEUE),
            "NOM_READS_MAX": str(READS),
        }
    )


@pytest.fixture
async def framework(app: Door, caller: Caller) -> AsyncIterator[Caller]:
    """Yield the same caller on the other way in, through the framework."""
    transport = httpx.ASGITransport(cast("Any", Observed(app.app, app.journal)))
    async with httpx.AsyncClient(transport=transport, base_url="http://nom.test") as client:
        yield Caller(client, caller.keys, caller.runtime)


def told(response: httpx.Response) -> tuple[int, dict[str, str], Any]:
    """Return what an answer says, without what differs from one to the next."""
    headers = {
        name: value
        for name, value in response.headers.items()
        if name not in {"x-request-id", "content-length"}
    }
    body = response.json()
    body.pop("age_ms", None)
    if "solver" in body:
        body["solver"].pop("elapsed_us")
    return response.status_code, headers, body


# --- one call, two ways in

POSTS: dict[str, tuple[str, Any, str]] = {
    "a quote": ("/v1/quotes", QUOTE, "checkout"),
    "a quote that cannot be given": ("/v1/quotes", QUOTE | {"lines": []}, "checkout"),
    "a quote for an unknown sku": ("/v1/quotes", basket("", ("NO", 1)), "checkout"),
    "a quote for nobody": ("/v1/quotes", QUOTE, "partner"),
    "no object": ("/v1/quotes", None, "checkout"),
    "an order from a stranger": ("/v1/allocations", ORDER, "planner"),
    "an order held too long": ("/v1/allocations", ORDER | {"hold_for": "P9D"}, "checkout"),
    "an order with a line twice": (
        "/v1/allocations",
        ORDER | {"lines": ORDER["lines"] * 2},
        "checkout",
    ),
    "an order for more than there is": (
        "/v1/allocations",
        basket("o-1", ("LAMP", 99), policy={"ship_complete": True}),
        "checkout",
    ),
    "a quantity in text": (
        "/v1/quotes",
        QUOTE | {"lines": [QUOTE["lines"][0] | {"quantity": "2"}]},
        "checkout",
    ),
    "availability": (
        "/v1/availability",
        {"skus": ["MUG", "LAMP"], "destination": ORDER["destination"], "matrix": True},
        "store",
    ),
    "availability of too much": ("/v1/availability", {"skus": ["MUG"] * 201}, "store"),
}


@pytest.mark.parametrize("name", POSTS)
async def test_a_body_gets_the_same_answer_on_both_ways_in(
    caller: Caller, framework: Caller, name: str
) -> None:
    """A caller must not notice that the ordinary request takes a shorter way."""
    path, body, role = POSTS[name]
    direct = await caller.post(path, body, role=role, key=f"direct {name}")
    around = await framework.post(path, body, role=role, key=f"around {name}")
    assert told(direct) == told(around)


QUERIES = {
    "one sku": "sku=MUG",
    "a destination": "sku=MUG&sku=LAMP&country=US&postal_code=10001",
    "coordinates": "sku=MUG&country=US&postal_code=1&latitude=40.7&longitude=-74",
    "nodes, a channel and the matrix": "sku=MUG&node_id=WH-EAST&channel=web&matrix=true",
    "a list before and after": "sku=MUG&matrix=false&sku=LAMP",
    "a list with an escape in it": "sku=MUG&sku=L%41MP&sku=SOFA",
    "a list that ends in nothing": "sku=MUG&",
    "a sku that is too long": f"sku=MUG&sku={'x' * 101}",
    "percent signs and pluses": "sku=M%55G&channel=a+b%20c",
    "a parameter nobody knows": "sku=MUG&color=red",
    "nothing": "",
    "an empty sku": "sku=",
    "an unknown sku": "sku=NO",
    "a destination without its country": "sku=MUG&postal_code=10001",
    "no country": "sku=MUG&country=us",
    "no number": "sku=MUG&country=US&latitude=north",
    "a past date": "sku=MUG&on=2001-01-01",
    "no date": "sku=MUG&on=tomorrow",
    "no truth": "sku=MUG&matrix=perhaps",
    "a channel twice": "sku=MUG&channel=web&channel=app",
    "bytes that are no text": "sku=%ff",
    "too many skus": "&".join(["sku=MUG"] * 201),
}


@pytest.mark.parametrize("name", QUERIES)
async def test_a_query_gets_the_same_answer_on_both_ways_in(
    caller: Caller, framework: Caller, name: str
) -> None:
    """The address is read by other code than the framework's, which must not show."""
    path = f"/v1/availability?{QUERIES[name]}"
    assert told(await caller.get(path)) == told(await framework.get(path))


async def test_a_header_that_comes_twice_harms_nobody(caller: Caller) -> None:
    """Proxies add their own line to what is there already."""
    headers = [*caller.headers("checkout").items(), ("Via", "1.1 a"), ("Via", "1.1 b")]
    answer = await caller.client.post("/v1/quotes", headers=headers, json=QUOTE)
    assert answer.status_code == 200


async def test_a_repetition_is_recognized_whichever_way_it_comes(
    caller: Caller, framework: Caller
) -> None:
    """A caller's proxy may write a header differently the second time."""
    first = await caller.post("/v1/allocations", ORDER, key="k")
    again = await framework.post("/v1/allocations", ORDER, key="k")
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert again.headers["idempotency-replayed"] == "true"
    once_more = await caller.post("/v1/allocations", ORDER, key="k")
    assert told(once_more) == told(again)


async def test_a_body_in_parts_is_put_together(caller: Caller) -> None:
    """A large basket arrives in several packets, with or without a length announced."""

    async def parts() -> AsyncIterator[bytes]:
        yield b'{"lines": [{"line_id": "1", "sku": "MUG", '
        yield b'"quantity": 1}], "destination": {"country": "US", '
        yield b'"postal_code": "10001"}}'

    headers = caller.headers("checkout") | {"Content-Type": "application/json"}
    length = str(sum([len(part) async for part in parts()]))
    for announced in ({}, {"Content-Length": length}):
        response = await caller.client.post(
            "/v1/quotes", content=parts(), headers=headers | announced
        )
        assert response.status_code == 200, response.text


async def test_a_request_answered_here_has_its_line_and_its_count(caller: Caller) -> None:
    """An operator must find it like any other."""
    headers = caller.headers("checkout") | {"X-Request-Id": "seen-at-the-door"}
    written = BytesIO()
    with redirect_stdout(TextIOWrapper(written)):
        answer = await caller.client.post("/v1/allocations", headers=headers, json=ORDER)
        await asyncio.sleep(0)
        lines = written.getvalue().splitlines()
    assert answer.headers["x-request-id"] == "seen-at-the-door"
    assert uuid_like((await caller.post("/v1/quotes", QUOTE)).headers["x-request-id"])
    (line,) = [json.loads(each) for each in lines if b"seen-at-the-door" in each]
    assert line["at"].endswith("Z")
    assert {
        name: line[name] for name in ("method", "path", "status", "role", "order_id", "lines")
    } == {
        "method": "POST",
        "path": "/v1/allocations",
        "status": 201,
        "role": "checkout",
        "order_id": "o-1",
        "lines": 1,
    }
    metrics = await caller.get("/metrics", role="operator")
    assert 'nom_requests_total{method="POST",path="/v1/allocations",status="201"}' in metrics.text


async def test_a_defect_is_answered_here_too(app: Door, caller: Caller) -> None:
    """A caller gets a problem document with the id under which the log has the rest."""

    async def fail(*_given: object) -> Answer:
        raise ZeroDivisionError("mistaken")

    at = ("POST", "/v1/quotes")
    app.calls[at] = replace(app.calls[at], work=fail)
    answer = await caller.post("/v1/quotes", QUOTE)
    assert (answer.status_code, problem_type(answer)) == (500, "internal-error")
    assert "mistaken" not in answer.text
    assert uuid_like(answer.headers["x-request-id"])
    assert app.reads == 0


def uuid_like(text: str) -> bool:
    """Tell whether a made-up request id looks like one."""
    return re.fullmatch("[0-9a-f]{32}", text) is not None


# --- overload


async def test_a_full_queue_refuses_an_order_before_its_body_is_read(
    app: Door, caller: Caller, database: Database
) -> None:
    """Reading what will be refused is work that makes the overload worse."""
    sent: list[Any] = []

    async def receive() -> Any:
        raise AssertionError("the body was read")

    async def collect(message: Any) -> None:
        sent.append(message)

    async with stock_locked(database, "MUG"):
        waiting = await occupy_lanes(caller, database)
        waiting += [send(caller, f"o-{number}", ("MUG", 1)) for number in range(QUEUE)]
        await until_queued(caller, QUEUE)
        headers = caller.headers("checkout") | {"Content-Type": "application/json"}
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/v1/allocations",
            "query_string": b"",
            "headers": [(name.lower().encode(), text.encode()) for name, text in headers.items()],
        }
        await app(cast("Any", scope), receive, collect)
    assert sent[0]["status"] == 429
    assert dict(sent[0]["headers"])[b"retry-after"].isdigit()
    assert {answer.status_code for answer in await asyncio.gather(*waiting)} == {201}


async def test_under_overload_orders_are_refused_or_held_and_then_all_is_well(
    caller: Caller, database: Database
) -> None:
    """Ten times what fits: nothing but 201 and 429, and a refused order is welcome a moment later."""
    async with stock_locked(database, "MUG"):
        accepted = await occupy_lanes(caller, database)
        burst = [send(caller, f"o-{number}", ("MUG", 1)) for number in range(BURST)]
        accepted += burst[:QUEUE]
        for answer in await asyncio.gather(*burst[QUEUE:]):
            assert (answer.status_code, problem_type(answer)) == (429, "too-many-requests")
            assert answer.headers["content-type"] == "application/problem+json"
            assert int(answer.headers["retry-after"]) >= 1
            assert "same key" in answer.json()["detail"]
    assert {answer.status_code for answer in await asyncio.gather(*accepted)} == {201}
    again = [await send(caller, f"o-{number}", ("MUG", 1)) for number in range(BURST)]
    assert {answer.status_code for answer in again} == {201}
    assert len({answer.json()["allocation_id"] for answer in again}) == BURST
    await assert_audit_is_silent(database)


async def test_questions_make_room_for_orders(caller: Caller, database: Database) -> None:
    """Who cannot buy has no use for knowing what there is; and the watchman is always answered."""
    async with stock_locked(database, "MUG"):
        waiting = await occupy_lanes(caller, database)
        question = await caller.get("/v1/availability?sku=LAMP")
        assert question.status_code == 200
        waiting += [send(caller, f"o-{number}", ("MUG", 1)) for number in range(BUSY)]
        await until_queued(caller, BUSY)
        for answer in (
            await caller.get("/v1/availability?sku=LAMP"),
            await caller.post("/v1/availability", {"skus": ["LAMP"]}),
        ):
            assert (answer.status_code, problem_type(answer)) == (429, "too-many-requests")
            assert answer.headers["retry-after"].isdigit()
        waiting.append(send(caller, "one more", ("MUG", 1)))
        await until_queued(caller, BUSY + 1)
        for path in ("/health/live", "/health/ready", "/metrics"):
            answer = await caller.get(path, role="operator")
            assert answer.status_code == 200, path
    assert {answer.status_code for answer in await asyncio.gather(*waiting)} == {201}
    question = await caller.get("/v1/availability?sku=LAMP")
    assert question.status_code == 200


async def test_only_so_many_reads_are_under_way_at_once(app: Door, caller: Caller) -> None:
    """Questions alone can be too many as well; what is refused is refused at once."""
    app.reads = READS
    answer = await caller.post("/v1/quotes", QUOTE)
    assert (answer.status_code, problem_type(answer)) == (429, "too-many-requests")
    held = await caller.post("/v1/allocations", ORDER)
    assert held.status_code == 201
    app.reads = 0
    answer = await caller.post("/v1/quotes", QUOTE)
    assert (answer.status_code, app.reads) == (200, 0)
