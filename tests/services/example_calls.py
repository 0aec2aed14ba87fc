"""Plays the example calls of the API document on a real service, or records them anew.

To record: `python -m tests.services.example_calls`.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import httpx
import msgspec

from services.http.examples import RECORDED, Call, recorded
from services.people import staff
from tests.simulation.served import Served, database_of, served

DEMONSTRATION_STORE = "new-york"
LINES_SHOWN = 5
"""Of an answer that is no JSON: metrics, and a stream of events."""
STAFF, PASSWORD = "ann", "a long walk home"
LIMITS = {
    # A stream that went on would never be answered whole.
    "NOM_EVENT_STREAM_S": "1",
    # Each attempt takes a tenth of a second on purpose.
    "NOM_SIGN_IN_ADDRESS_MAX": "20",
}
IDS = (
    "allocation_id",
    "reservation_id",
    "count_id",
    "transfer_id",
    "return_id",
    "amendment_id",
    "hold_id",
    "pickup_code",
)
NESTED = {
    "fulfillment_order_id": "fulfillment_orders",
    "exception_id": "units",
    "endpoint_id": "endpoint",
}
"""Ids that stand deeper: in the field named here, or in the first entry of its list."""
CODE = "AB2C3D"
"""Stands in the examples for the code that the customer has."""
WORK = "0199a3b0-0000-7000-8000-0000000f0001"
"""Stands in the bodies of examples for the work that a partner tells of."""
ONCE = (
    *("till-2001", "till-2001-x", "web-2001", "web-3001", "web-3002"),
    *("web-4001", "web-4002", "web-4003"),
    *("web-5001", "accepted-5001"),
)
"""Orders of which goods leave: each time the examples are played they need names of their own."""


@asynccontextmanager
async def demonstrated() -> AsyncIterator[Served]:
    """Yield a service on the demonstration network, with somebody who can sign in."""
    store = DEMONSTRATION_STORE
    async with served("--demonstration", store_node=store, **LIMITS) as service:
        async with database_of(service) as database:
            await staff.add(database, STAFF, "store", (store,), PASSWORD)
        yield service


async def play(service: Served, names: Mapping[str, str] | None = None) -> list[Call]:
    """Make every example call and return each as it went, with the ids that it got.

    `names` are those of the orders in `ONCE`; new ones when left out.
    """
    known: dict[str, str] = {}
    run = uuid4().hex[:8]
    orders = names if names is not None else {name: f"{name}-{run}" for name in ONCE}
    played = []
    async with httpx.AsyncClient(base_url=service.address, timeout=30) as client:
        for call in recorded():
            path = {name: known.get(name, value) for name, value in call.path.items()}
            told = {
                CODE: known.get("pickup_code", CODE),
                WORK: known.get("fulfillment_order_id", WORK),
            }
            made = msgspec.structs.replace(
                call,
                path=renamed(path, orders),
                query=renamed(call.query, orders),
                body=renamed(call.body, {**orders, **told}),
            )
            response = await send(client, service, made)
            answer = answer_of(response)
            if isinstance(answer, dict):
                known |= ids_of(answer)
                if "token" in answer:
                    # From here on there are calls in this session; it is told to nobody else.
                    service.secrets[answer["name"]] = answer["token"]
                    answer["token"] = "nom_session_..."
            played.append(
                msgspec.structs.replace(call, path=path, status=response.status_code, answer=answer)
            )
    return played


def ids_of(answer: dict[str, Any]) -> dict[str, str]:
    """Return the ids in an answer that later calls may need."""
    found = {name: answer[name] for name in IDS if answer.get(name)}
    for name, listed in NESTED.items():
        entries = answer.get(listed) or [None]
        entries = entries if isinstance(entries, list) else [entries]
        if isinstance(entries[0], dict) and entries[0].get(name):
            found[name] = entries[0][name]
    return found


def renamed(value: Any, names: Mapping[str, str]) -> Any:
    """Return a value with other names for the orders in it."""
    if isinstance(value, dict):
        return {key: renamed(each, names) for key, each in value.items()}
    if isinstance(value, list):
        return [renamed(each, names) for each in value]
    return names.get(value, value) if isinstance(value, str) else value


async def send(client: httpx.AsyncClient, service: Served, call: Call) -> httpx.Response:
    """Make one call."""
    method, template = call.call.split(" ")
    headers = {} if call.role is None else service.headers(call.role, str(uuid4()))
    content: dict[str, Any] = {} if call.body is None else {"json": call.body}
    return await client.request(
        method, template.format(**call.path), params=call.query, headers=headers, **content
    )


def answer_of(response: httpx.Response) -> Any:
    """Return the decoded body, or the first lines of one that is no JSON."""
    if response.headers.get("content-type", "").startswith("text/"):
        return "".join(response.text.splitlines(keepends=True)[:LINES_SHOWN])
    return response.json() if response.content else None


def shape(value: object) -> object:
    """Return what stays the same when an example is played again: names and kinds of fields."""
    if isinstance(value, dict):
        return {name: shape(each) for name, each in value.items()}
    if isinstance(value, list):
        return [shape(each) for each in value[:1]]
    return "number" if isinstance(value, int | float) else type(value).__name__


async def record() -> None:
    """Play the examples on a new demonstration network and write down how it went."""
    async with demonstrated() as service:
        played = await play(service, names={})
    for each in played:
        print(each.call, each.status)
        if each.status >= 400:
            print(each.answer)
    text = msgspec.json.format(msgspec.json.encode(played), indent=1).decode()
    # Short lists of plain values on one line, so that the file can be read.
    text = re.sub(r"\[\s+([^\[\]{}]{1,80}?)\s+\]", one_line, text)
    RECORDED.write_text(text + "\n")


def one_line(found: re.Match[str]) -> str:
    """Return a short list on one line."""
    return "[" + re.sub(r"\s*\n\s*", " ", found[1]) + "]"


if __name__ == "__main__":
    asyncio.run(record())
