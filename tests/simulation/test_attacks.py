"""What a hostile or broken client can send, and what it must not achieve."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import httpx
import pytest

from services import keys
from services.database import Database
from tests.services.caller import basket, problem_type
from tests.simulation.served import Served
from tests.simulation.test_races import assert_audit_is_silent, left, offer

PATIENCE_S = 60
SLOW_CALLERS = 100
KEYS = 2_000
KEYS_AT_ONCE = 50

INJECTIONS = [
    "'; DROP TABLE allocation; --",
    '" OR 1=1 --',
    "$1); DELETE FROM stock; --",
    "{MUG,NULL}",
    "%s%(x)s{0}{{7*7}}",
    "\\x27\\",
    "../../etc/passwd",
    "<script>alert(1)</script>",
    "NULL",
]
IDS = {
    "emoji": "🛒🧦\U0001f469\u200d\U0001f467",
    "right to left": "\u200f\u0637\u0644\u0628 \u0661\u0662\u0663",
    "right to left, overridden": "\u202eabc\u202c",
    "100 characters": "x" * 100,
    "100 characters of four bytes": "🧦" * 100,
    "composed": "caf\u00e9",
    "decomposed": "cafe\u0301",
    "spaces at both ends": "  padded  ",
    "line separator": "a\u2028b",
    "not a character": "a\ufdd0\uffff",
    "slash and question mark": "a/b?c=d#e",
} | {f"injection {number}": text for number, text in enumerate(INJECTIONS)}


@pytest.fixture
async def client(service: Served) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client of the service."""
    async with httpx.AsyncClient(base_url=service.address, timeout=PATIENCE_S) as client:
        yield client


async def raw(service: Served, request: bytes) -> bytes:
    """Send bytes on a connection of their own and return what comes until the other side hangs up.

    A side that neither answers nor hangs up fails the test.
    """
    host, _, port = service.address.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        async with asyncio.timeout(PATIENCE_S):
            answer = asyncio.create_task(reader.read())
            try:
                writer.write(request)
                await writer.drain()
            except ConnectionError:
                pass
            try:
                return await answer
            except ConnectionError:
                return b""
    finally:
        writer.close()


# --- ids


@pytest.mark.parametrize("name", IDS)
async def test_an_order_id_of_any_characters_comes_back_as_it_was_sent(
    client: httpx.AsyncClient, service: Served, database: Database, name: str
) -> None:
    """Ids belong to the shop: nothing in them is code, and none is taken for another."""
    await offer(database, {("ID-TEST", "WH-EAST"): 1_000})
    order_id = IDS[name]
    first = await client.post(
        "/v1/allocations",
        json=basket(order_id, ("ID-TEST", 1)),
        headers=service.headers("checkout", str(uuid4())),
    )
    assert first.status_code == 201, first.text
    assert first.json()["order_id"] == order_id
    path = f"/v1/allocations/{first.json()['allocation_id']}"
    again = await client.get(path, headers=service.headers("checkout", "-"))
    assert again.json()["order_id"] == order_id
    confirmed = await client.post(
        f"{path}/confirm", headers=service.headers("checkout", str(uuid4()))
    )
    assert confirmed.status_code == 200, confirmed.text


@pytest.mark.parametrize("text", INJECTIONS)
async def test_code_in_any_string_of_an_order_is_only_a_string(
    client: httpx.AsyncClient, service: Served, database: Database, text: str
) -> None:
    """Every field is sent with code in it; the answer names the field, and the tables stay."""
    for change in (
        {"channel": text},
        {"destination": {"country": "US", "postal_code": text[:20]}},
        {"policy": {"strategy": text}},
        {"lines": [{"line_id": text, "sku": "MUG", "quantity": 1}]},
        {"lines": [{"line_id": "1", "sku": text, "quantity": 1}]},
        {"lines": [{"line_id": "1", "sku": "MUG", "quantity": 1, "pickup_node": text}]},
        {"hold_for": text},
    ):
        answer = await client.post(
            "/v1/allocations",
            json=basket(str(uuid4()), ("MUG", 1)) | change,
            headers=service.headers("checkout", text.encode("unicode_escape").decode()),
        )
        assert answer.status_code in {201, 409, 422}, answer.text
    for path in ("/v1/items/{}", "/v1/nodes/{}", "/v1/stock?sku={}", "/v1/nodes?cursor={}"):
        address = path.format(httpx.QueryParams({"_": text})["_"].replace("/", "%2F"))
        answer = await client.get(address, headers=service.headers("planner", "-"))
        assert answer.status_code in {200, 400, 404}, answer.text
    async with database.connect() as connection:
        assert await connection.fetchval("SELECT count(*) FROM stock") > 0


@pytest.mark.parametrize(
    "body",
    [
        rb'{"order_id": "\ud800", "lines": [{"line_id": "1", "sku": "MUG", "quantity": 1}]}',
        rb'{"order_id": "a\u0000b", "lines": [{"line_id": "1", "sku": "MUG", "quantity": 1}]}',
        rb'{"order_id": "a", "lines": [{"line_id": "1", "sku": "MUG", "quantity": 1e400}]}',
        rb'{"order_id": "a", "lines": [{"line_id": "1", "sku": "MUG", "quantity": NaN}]}',
        rb'{"order_id": "a", "lines": [{"line_id": "1", "sku": "MUG", "quantity": true}]}',
        rb'{"order_id": 7, "lines": {}}',
        b"\xef\xbb\xbf{}",
        b"\x00",
        b"null",
        b'"order"',
    ],
)
async def test_json_that_is_almost_right_is_refused_by_name(
    client: httpx.AsyncClient, service: Served, body: bytes
) -> None:
    """Half a surrogate pair, a number beyond all numbers, a byte order mark: never a 500."""
    answer = await client.post(
        "/v1/allocations",
        content=body,
        headers=service.headers("checkout", str(uuid4())) | {"Content-Type": "application/json"},
    )
    assert answer.status_code in {400, 422}, answer.text
    assert problem_type(answer) in {
        "malformed-json",
        "invalid-field",
        "quantity-not-whole",
        "quantity-too-large",
    }


async def test_thousands_of_idempotency_keys_for_one_order_have_one_effect(
    client: httpx.AsyncClient, service: Served, database: Database
) -> None:
    """A caller with a broken generator of keys asks for the same order again and again."""
    await offer(database, {("MANY", "WH-EAST"): 5})
    order = basket("many-keys", ("MANY", 2))
    allocations = set()
    for start in range(0, KEYS, KEYS_AT_ONCE):
        answers = await asyncio.gather(
            *(
                client.post(
                    "/v1/allocations", json=order, headers=service.headers("checkout", f"k-{key}")
                )
                for key in range(start, start + KEYS_AT_ONCE)
            )
        )
        assert {answer.status_code for answer in answers} <= {200, 201}
        allocations |= {answer.json()["allocation_id"] for answer in answers}
    assert len(allocations) == 1
    assert await left(database, "MANY") == 3
    await assert_audit_is_silent(database)


# --- other people's things


async def test_a_store_learns_nothing_of_another_store_s_reservations(
    client: httpx.AsyncClient, service: Served, database: Database
) -> None:
    """What is not yours and what does not exist look the same."""
    await offer(database, {("OWN", "ST-EAST"): 5, ("OWN", "ST-WEST"): 5})
    other = await keys.create(database, "store", ("ST-WEST",), None)
    theirs = await client.post(
        "/v1/reservations",
        json={"node_id": "ST-WEST", "sku": "OWN", "quantity": 1},
        headers={"Authorization": f"Bearer {other}", "Idempotency-Key": "k"},
    )
    assert theirs.status_code == 201, theirs.text
    reservation_id = theirs.json()["reservation_id"]

    async def answers(reservation_id: str) -> list[tuple[int, str]]:
        path = f"/v1/reservations/{reservation_id}"
        headers = service.headers("store", str(uuid4()))
        told = [
            await client.get(path, headers=headers),
            await client.post(f"{path}/release", headers=headers),
            await client.post(f"{path}/extend", json={"hold_for": "P1D"}, headers=headers),
        ]
        return [(each.status_code, each.text.replace(reservation_id, "ID")) for each in told]

    invented = str(uuid4())
    assert await answers(reservation_id) == await answers(invented)
    assert await left(database, "OWN") == 9
    reserved = await client.post(
        "/v1/reservations",
        json={"node_id": "ST-WEST", "sku": "OWN", "quantity": 1},
        headers=service.headers("store", str(uuid4())),
    )
    assert reserved.status_code == 404


async def test_the_same_idempotency_key_under_another_api_key_is_another_request(
    client: httpx.AsyncClient, service: Served, database: Database
) -> None:
    """Nobody gets an answer that was meant for somebody else by guessing a key."""
    await offer(database, {("SAME", "WH-EAST"): 10})
    other = await keys.create(database, "checkout", (), None)
    mine = await client.post(
        "/v1/allocations",
        json=basket("mine", ("SAME", 1)),
        headers=service.headers("checkout", "order-1"),
    )
    theirs = await client.post(
        "/v1/allocations",
        json=basket("theirs", ("SAME", 1)),
        headers={"Authorization": f"Bearer {other}", "Idempotency-Key": "order-1"},
    )
    assert (mine.status_code, theirs.status_code) == (201, 201)
    assert mine.json()["allocation_id"] != theirs.json()["allocation_id"]


# --- the wire

BODY = json.dumps(
    {"lines": [{"line_id": "1", "sku": "MUG", "quantity": 1}], "destination": {"country": "US"}}
)
SMUGGLED = "GET /metrics HTTP/1.1\r\nHost: x\r\nX-Request-Id: smuggled\r\n\r\n"
AMBIGUOUS = {
    "two kinds of length": f"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{SMUGGLED}",
    "two lengths": f"Content-Length: {len(SMUGGLED)}\r\nContent-Length: 0\r\n\r\n{SMUGGLED}",
    "a coding nobody knows": f"Transfer-Encoding: xchunked\r\n\r\n{SMUGGLED}",
    "a length that is no number": f"Content-Length: +0\r\n\r\n{SMUGGLED}",
    "a chunk of no size": f"Transfer-Encoding: chunked\r\n\r\nzz\r\n{SMUGGLED}",
    "a header folded over two lines": f"X-Note: a\r\n Content-Length: 0\r\n\r\n{SMUGGLED}",
    "a space before the colon": f"Content-Length : 0\r\n\r\n{SMUGGLED}",
}


@pytest.mark.parametrize("name", AMBIGUOUS)
async def test_a_request_with_two_meanings_is_refused_and_hides_no_other(
    service: Served, name: str
) -> None:
    """A proxy that reads it differently would hand one caller's request to another."""
    head = f"POST /v1/quotes HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{AMBIGUOUS[name]}"
    answer = await raw(service, head.encode())
    assert answer.count(b"HTTP/1.1 ") <= 1
    assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 401"))
    assert "smuggled" not in service.service.output


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /health/live HTTP/1.1\r\nHost: x\r\nX-Big: " + b"a" * 30_000_000 + b"\r\n\r\n",
        b"GET /health/live HTTP/1.1\r\nHost: x\r\n" + b"X-A: 1\r\n" * 1_000_000 + b"\r\n",
        b"GET /" + b"a" * 30_000_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
    ids=["a header", "a million headers", "an address"],
)
async def test_a_head_without_end_is_cut_off(
    service: Served, client: httpx.AsyncClient, request_bytes: bytes
) -> None:
    """Thirty megabytes from somebody who has shown no key are not kept in memory."""
    answer = await raw(service, request_bytes)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400")
    assert (await client.get("/health/live")).status_code == 200


SLOW = {
    "silence": b"",
    "half a head": b"POST /v1/quotes HTTP/1.1\r\nHost: x\r\n",
    "half a body": b"POST /v1/quotes HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n"
    b'Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"lines": [',
}


@pytest.mark.parametrize("name", SLOW)
async def test_a_hundred_requests_that_never_end_disturb_nobody_and_are_hung_up_on(
    service: Served, client: httpx.AsyncClient, name: str
) -> None:
    """Connections are few; who holds one without using it loses it."""
    secret = service.secrets["checkout"]
    request = SLOW[name].replace(b"{}", secret.encode(), 1)
    async with waiting(service, request, SLOW_CALLERS) as readers:
        quote = await client.post(
            "/v1/quotes",
            json=basket("", ("MUG", 1)) | {"order_id": None},
            headers=service.headers("checkout", "-"),
        )
        assert quote.status_code == 422
        live = await client.get("/health/live")
        assert live.status_code == 200
        async with asyncio.timeout(PATIENCE_S):
            ends = await asyncio.gather(*(reader.read() for reader in readers))
    assert set(ends) == {b""}
    assert '"status":500' not in service.service.output


@asynccontextmanager
async def waiting(
    service: Served, request: bytes, number: int
) -> AsyncIterator[list[asyncio.StreamReader]]:
    """Yield so many connections on which `request` was sent."""
    host, _, port = service.address.removeprefix("http://").partition(":")
    opened = [await asyncio.open_connection(host, int(port)) for _ in range(number)]
    try:
        for _, writer in opened:
            writer.write(request)
        yield [reader for reader, _ in opened]
    finally:
        for _, writer in opened:
            writer.close()


# --- the log


async def test_every_request_is_logged_once_and_no_key_ever_is(
    service: Served, client: httpx.AsyncClient
) -> None:
    """The line is how an operator finds a request; the key in it would be how a thief does."""
    checkout = service.headers("checkout", "logged-key")
    guess = "nom_checkout_guessed"
    requests: dict[str, tuple[str, str, dict[str, str], Any, int]] = {
        "log-200": ("GET", "/v1/items/MUG", checkout, None, 200),
        "log-400": ("GET", "/v1/items/%00", checkout, None, 400),
        "log-401": ("GET", "/v1/items/MUG", {"Authorization": f"Bearer {guess}"}, None, 401),
        "log-403": ("GET", "/metrics", checkout, None, 403),
        "log-404": ("GET", "/v1/nothing-here", checkout, None, 404),
        "log-405": ("DELETE", "/v1/allocations", checkout, None, 405),
        "log-413": ("POST", "/v1/quotes", checkout, {"lines": "x" * 2_000_000}, 413),
        "log-422": ("POST", "/v1/allocations", checkout, {}, 422),
    }
    for request_id, (method, path, headers, body, status) in requests.items():
        answer = await client.request(
            method, path, headers=headers | {"X-Request-Id": request_id}, json=body
        )
        assert answer.status_code == status, answer.text
        assert answer.headers["x-request-id"] == request_id
    for request_id, (method, _, _, _, status) in requests.items():
        line = json.loads(service.service.wait_for(rf'(\{{[^\n]*"{request_id}"[^\n]*\}})')[1])
        assert (line["method"], line["status"]) == (method, status)
        assert service.service.output.count(f'"{request_id}"') == 1
    for secret in (*service.secrets.values(), guess, "logged-key"):
        assert secret not in service.service.output
    assert re.findall(r"nom_[a-z]+_[\w-]{20,}", service.service.output) == []
