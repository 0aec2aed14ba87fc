"""What happened is read from any position on, by each role as far as it concerns it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import msgspec
import pytest

from services import keys
from services.database import Database
from services.events import streams
from services.events.log import Wanted
from services.events.sequencer import number_events
from services.problems import Refused
from services.settings import Settings
from tests.services.caller import Caller, basket
from tests.simulation.served import Served, furnished

PATIENCE_S = 20


async def read(caller: Caller, role: str, **params: Any) -> list[dict[str, Any]]:
    """Return the events that a role sees."""
    answer = await caller.get("/v1/events", role=role, params=params)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["events"]
    return found


async def allocate(caller: Caller, order_id: str, role: str = "checkout") -> str:
    """Hold a mug for an order; return the allocation's id."""
    held = await caller.post("/v1/allocations", basket(order_id, ("MUG", 1)), role=role)
    assert held.status_code == 201, held.text
    allocation_id: str = held.json()["allocation_id"]
    return allocation_id


async def test_events_are_read_from_a_position_on(caller: Caller, database: Database) -> None:
    """A program that was down goes on where it stopped."""
    allocation_id = await allocate(caller, "web-1")
    await caller.post(f"/v1/allocations/{allocation_id}/release")
    await number_events(database)
    first = (await caller.get("/v1/events", role="operator", params={"limit": 1})).json()
    assert [each["kind"] for each in first["events"]] == ["allocation.held"]
    assert (first["reached"], first["latest"]) == (1, 2)
    rest = (await caller.get("/v1/events", role="operator", params={"after": 1})).json()
    assert [each["kind"] for each in rest["events"]] == ["allocation.released"]
    assert rest["events"][0] | {"event_id": "", "happened_at": "", "actor": ""} == {
        "position": 2,
        "event_id": "",
        "kind": "allocation.released",
        "subject": "web-1",
        "actor": "",
        "happened_at": "",
        "payload": {"allocation_id": allocation_id},
    }
    none = (await caller.get("/v1/events", role="operator", params={"after": 2})).json()
    assert (none["events"], none["reached"], none["latest"]) == ([], 2, 2)


async def test_each_role_sees_what_concerns_it(caller: Caller, database: Database) -> None:
    """The log of a whole network is nobody's business but its operator's."""
    await allocate(caller, "web-1")
    await allocate(caller, "till-1", role="store")
    held = await caller.post(
        "/v1/reservations", {"node_id": "ST-EAST", "sku": "MUG", "quantity": 1}, role="store"
    )
    assert held.status_code == 201
    await number_events(database)
    by_role = {role: [each["subject"] for each in await read(caller, role)] for role in keys.ROLES}
    reservation_id = held.json()["reservation_id"]
    assert by_role == {
        "checkout": ["web-1"],
        "store": ["till-1", reservation_id],
        "partner": [],
        "planner": ["web-1", "till-1", reservation_id],
        "operator": ["web-1", "till-1", reservation_id],
    }


async def test_a_partner_sees_what_happens_where_it_works(
    caller: Caller, database: Database
) -> None:
    """Its nodes come from the network, so a node it loses is gone within seconds."""
    async with database.transaction() as connection:
        await connection.execute("UPDATE node SET partner_id = 'carrier' WHERE node_id = 'ST-EAST'")
    caller.runtime.keyring.seen.clear()
    await caller.post(
        "/v1/reservations", {"node_id": "ST-EAST", "sku": "MUG", "quantity": 1}, role="store"
    )
    await number_events(database)
    assert [each["kind"] for each in await read(caller, "partner")] == ["reservation.held"]


async def test_kinds_and_actors_narrow_what_is_read(caller: Caller, database: Database) -> None:
    """An auditor asks what somebody did, a program for the three kinds it knows."""
    allocation_id = await allocate(caller, "web-1")
    await caller.post(f"/v1/allocations/{allocation_id}/confirm")
    await allocate(caller, "till-1", role="store")
    await number_events(database)
    confirmed = await read(caller, "operator", kinds=["allocation.confirmed"])
    assert [each["subject"] for each in confirmed] == ["web-1"]
    family = await read(caller, "operator", kinds=["allocation.*", "reservation.held"])
    assert {each["kind"] for each in family} == {"allocation.held", "allocation.confirmed"}
    store = next(each["actor"] for each in family if each["subject"] == "till-1")
    mine = await read(caller, "operator", actor=store)
    assert [each["subject"] for each in mine] == ["till-1"]
    assert await read(caller, "operator", actor="staff:nobody") == []


# --- streams


@pytest.fixture
async def followed(database: Database, settings: Settings) -> AsyncIterator[streams.Streams]:
    """Yield streams of a worker whose limits are small."""
    small = msgspec.structs.replace(
        settings, event_streams_max=2, event_streams_per_key_max=1, event_poll_ms=5
    )
    found = streams.Streams(database, small)
    await found.open()
    yield found
    await found.close()


async def always() -> bool:
    """Let a stream go on."""
    return True


async def until(gathered: list[bytes], part: bytes) -> None:
    """Wait until a stream has said something."""
    async with asyncio.timeout(PATIENCE_S):
        while part not in b"".join(gathered):
            await asyncio.sleep(0.01)


async def gather(stream: AsyncIterator[bytes], gathered: list[bytes]) -> None:
    """Write down what a stream says until it ends."""
    async for part in stream:
        gathered.append(part)  # noqa: PERF401 - others look at it meanwhile


async def test_a_stream_goes_on_as_things_happen_and_ends_with_the_worker(
    followed: streams.Streams, caller: Caller, database: Database
) -> None:
    """A stream that outlived the worker would keep it from stopping."""
    gathered: list[bytes] = []
    await allocate(caller, "web-1")
    await number_events(database)
    listening = asyncio.create_task(gather(followed.stream("key", 0, Wanted(), always), gathered))
    await until(gathered, b'"subject":"web-1"')
    await allocate(caller, "web-2")
    await number_events(database)
    await until(gathered, b'"subject":"web-2"')
    text = b"".join(gathered)
    assert b"id: 2\nevent: allocation.held\ndata: {" in text
    assert text.startswith(b"retry: ")
    followed.end()
    await asyncio.wait_for(listening, PATIENCE_S)
    assert followed.listeners.total() == 0


async def test_there_is_room_for_so_many_streams(followed: streams.Streams) -> None:
    """Each costs memory, and one key must not take all of it."""
    with followed.place("one"):
        with pytest.raises(Refused, match="with this key; 2 and 1 may be"):
            followed.verify_room("one")
        followed.verify_room("two")
        with followed.place("two"), pytest.raises(Refused, match="2 streams are open"):
            followed.verify_room("three")
    followed.verify_room("one")


async def test_a_stream_ends_with_its_key(followed: streams.Streams) -> None:
    """Who may not listen any more must not learn what happens next."""
    answers = iter([True, False])

    async def is_welcome() -> bool:
        return next(answers)

    gathered: list[bytes] = []
    followed.settings = msgspec.structs.replace(followed.settings, key_cache_s=0.01)
    await asyncio.wait_for(
        gather(followed.stream("key", 0, Wanted(), is_welcome), gathered), PATIENCE_S
    )
    assert gathered == [b"retry: 2000\n\n"]


@pytest.mark.slow
async def test_a_stream_over_http_resumes_and_ends_when_the_service_stops() -> None:
    """Its client says how far it has come, and the service does not wait for it to hang up."""
    async with furnished() as service:
        async with httpx.AsyncClient(base_url=service.address, timeout=PATIENCE_S) as client:
            await hold(client, service, "web-1")
            assert await subjects(client, service, 1) == ["web-1"]
            await hold(client, service, "web-2")
            assert await subjects(client, service, 1, {"Last-Event-ID": "1"}) == ["web-2"]
            bad = await client.get(
                "/v1/events/stream",
                headers={**service.headers("operator", "-"), "Last-Event-ID": "x"},
            )
            assert bad.status_code == 400
            async with listening(client, service, {}) as lines:
                await anext(lines)
                assert await asyncio.to_thread(service.stop) == 0
                assert [line async for line in lines]
        assert service.left_over() == []


@asynccontextmanager
async def listening(
    client: httpx.AsyncClient, service: Served, headers: dict[str, str]
) -> AsyncIterator[AsyncIterator[str]]:
    """Yield the lines of a stream of all events."""
    headers = {**service.headers("operator", "-"), **headers}
    async with client.stream("GET", "/v1/events/stream", headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield answer.aiter_lines()


async def subjects(
    client: httpx.AsyncClient, service: Served, count: int, headers: dict[str, str] | None = None
) -> list[str]:
    """Return what the first events of a stream are about."""
    found: list[str] = []
    async with listening(client, service, headers or {}) as lines:
        async for line in lines:
            if line.startswith("data: "):
                found.append(msgspec.json.decode(line.removeprefix("data: "))["subject"])
            if len(found) == count:
                break
    return found


async def hold(client: httpx.AsyncClient, service: Served, order_id: str) -> None:
    """Hold a mug for an order."""
    held = await client.post(
        "/v1/allocations",
        json=basket(order_id, ("MUG", 1)),
        headers=service.headers("checkout", order_id),
    )
    assert held.status_code == 201, held.text
