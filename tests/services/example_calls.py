"""Plays the example calls of the API document on a real service, or records them anew.

To record: `python -m tests.services.example_calls`.
"""

import asyncio
import re
from typing import Any
from uuid import uuid4

import httpx
import msgspec

from services.http.examples import RECORDED, Call, recorded
from tests.simulation.served import Served, served

DEMONSTRATION_STORE = "new-york"
METRICS_SHOWN = 3
IDS = ("allocation_id", "reservation_id")


async def play(service: Served) -> list[Call]:
    """Make every example call and return each as it went, with the ids that it got."""
    known: dict[str, str] = {}
    played = []
    async with httpx.AsyncClient(base_url=service.address, timeout=30) as client:
        for call in recorded():
            path = {name: known.get(name, value) for name, value in call.path.items()}
            response = await send(client, service, msgspec.structs.replace(call, path=path))
            answer = answer_of(response)
            if isinstance(answer, dict):
                known |= {name: answer[name] for name in IDS if name in answer}
            played.append(
                msgspec.structs.replace(call, path=path, status=response.status_code, answer=answer)
            )
    return played


async def send(client: httpx.AsyncClient, service: Served, call: Call) -> httpx.Response:
    """Make one call."""
    method, template = call.call.split(" ")
    headers = {} if call.role is None else service.headers(call.role, str(uuid4()))
    content: dict[str, Any] = {} if call.body is None else {"json": call.body}
    return await client.request(
        method, template.format(**call.path), params=call.query, headers=headers, **content
    )


def answer_of(response: httpx.Response) -> Any:
    """Return the decoded body, or of metrics the first lines."""
    if response.headers["content-type"].startswith("text/plain"):
        return "".join(response.text.splitlines(keepends=True)[:METRICS_SHOWN])
    return response.json()


def shape(value: object) -> object:
    """Return what stays the same when an example is played again: names and kinds of fields."""
    if isinstance(value, dict):
        return {name: shape(each) for name, each in value.items()}
    if isinstance(value, list):
        return [shape(each) for each in value[:1]]
    return "number" if isinstance(value, int | float) else type(value).__name__


async def record() -> None:
    """Play the examples on a new demonstration network and write down how it went."""
    async with served("--demonstration", store_node=DEMONSTRATION_STORE) as service:
        played = await play(service)
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
