"""The catalogue of events as the README of services shows it, with a real example of each kind.

`python -m tests.services.events.catalogue_table` plays the example calls of the API document on a
demonstration network and writes down what happened. Kinds that do not happen there are looked for
in a file of events that a run of the tests has kept, where one is named: `NOM_TEST_EVENTS=FILE
pytest tests/services`, then the command with FILE. The rest keep the example they have.
"""

import asyncio
import re
import sys
from pathlib import Path
from typing import Any

import httpx
import msgspec

from services.events.catalogue import KINDS, in_words, verify
from tests.services.example_calls import demonstrated, play

README = Path(__file__).parents[3] / "services" / "README.md"
BEGIN, END = "<!-- begin: events -->\n", "<!-- end: events -->\n"
ROW = re.compile(r"^\| `([a-z_.]+)` \| (.*) \| `(\{.*\})` \|$", re.MULTILINE)
ENTRIES_SHOWN = 1
"""Entries of a list that an example shows."""


def shown() -> str:
    """Return the part of the README between its marks."""
    _, _, rest = README.read_text(encoding="utf-8").partition(BEGIN)
    return rest.partition(END)[0]


def examples() -> dict[str, dict[str, Any]]:
    """Return the payload that the README shows for each kind."""
    return {kind: msgspec.json.decode(text) for kind, _, text in ROW.findall(shown())}


async def played() -> list[tuple[str, dict[str, Any]]]:
    """Return the kind and payload of everything that happens when the example calls are played."""
    found: list[tuple[str, dict[str, Any]]] = []
    async with demonstrated() as service:
        await play(service, names={})
        # Positions come a moment after the events.
        await asyncio.sleep(2)
        headers = service.headers("operator", "-")
        async with httpx.AsyncClient(base_url=service.address, headers=headers) as client:
            reached, latest = 0, 1
            while reached < latest:
                answer = await client.get("/v1/events", params={"after": reached, "limit": 500})
                page = answer.json()
                reached, latest = page["reached"], page["latest"]
                found += [(each["kind"], each["payload"]) for each in page["events"]]
    return found


def kept(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """Return the kind and payload of events that tests have kept in a file."""
    return [tuple(msgspec.json.decode(line)) for line in path.read_bytes().splitlines()]


def best(events: list[tuple[str, dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Return for each kind the payload with the most to say."""
    found: dict[str, dict[str, Any]] = {}
    for kind, payload in events:
        if said(payload) > said(found.get(kind, {})):
            verify(kind, payload)
            found[kind] = payload
    return found


def said(payload: dict[str, Any]) -> int:
    """Return how many fields of a payload say something."""
    return sum(value not in (None, [], "") for value in payload.values())


def table(found: dict[str, dict[str, Any]]) -> str:
    """Return the catalogue as a table in Markdown."""
    lines = ["| kind | in words | payload |\n|---|---|---|\n"]
    for kind in sorted(KINDS):
        example = shortened(found[kind])
        text = msgspec.json.encode(example).decode()
        lines.append(f"| `{kind}` | {in_words(kind, example)} | `{text}` |\n")
    return "".join(lines)


def shortened(value: Any) -> Any:
    """Return a payload with the first entries of its lists, its fields in the catalogue's order."""
    if isinstance(value, dict):
        return {name: shortened(each) for name, each in value.items()}
    if isinstance(value, list):
        return [shortened(each) for each in value[:ENTRIES_SHOWN]]
    return value


def write(paths: list[str]) -> None:
    """Write the catalogue into the README."""
    tested = [event for path in paths for event in kept(Path(path))]
    found = best(tested) | examples() | best(asyncio.run(played()))
    missing = sorted(KINDS.keys() - found.keys())
    if missing:
        raise SystemExit(f"nothing has caused {', '.join(missing)}; name a file of a run of tests")
    text = README.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    README.write_text(before + BEGIN + table(found) + END + after, encoding="utf-8")


if __name__ == "__main__":
    write(sys.argv[1:])
