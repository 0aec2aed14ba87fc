"""A small network, and a way to import a few rows into it."""

from collections.abc import AsyncIterator, Awaitable, Sequence
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID, uuid4

import asyncpg
import msgspec
import pytest

from inventory.items import Item, put_items
from inventory.nodes import Node, put_nodes
from inventory.reserve import Demand, Take, reserve
from services.feeds.imports import Order, Outcome, import_file
from services.feeds.rejects import Rejected
from services.feeds.rows import KINDS

CALENDAR = "weekdays"


class Import(Protocol):
    """Imports a file, given as its text or as the objects of its lines."""

    def __call__(
        self, kind: str, content: str | Sequence[dict[str, object]], **options: Any
    ) -> Awaitable[Outcome]:
        """Return what came of it."""


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """Yield a connection of its own to the fresh database."""
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


@pytest.fixture
async def network(connection: asyncpg.Connection) -> asyncpg.Connection:
    """Yield the connection to a database that has two nodes and three items."""
    await connection.execute(
        "INSERT INTO calendar (calendar_id, weekdays) VALUES ($1, '{1,2,3,4,5}')", CALENDAR
    )
    await put_nodes(connection, [node("N1"), node("N2")])
    await put_items(connection, [Item(sku=sku, weight_grams=100) for sku in ("A", "B", "C")])
    return connection


@pytest.fixture
def rejects(tmp_path: Path) -> Path:
    """Return the path of the rejects file."""
    return tmp_path / "rejects.jsonl"


@pytest.fixture
def run_import(database_url: str, tmp_path: Path, rejects: Path) -> Import:
    """Return a function that imports rows over a connection of its own."""

    async def run(kind: str, content: str | Sequence[dict[str, object]], **options: Any) -> Outcome:
        path = tmp_path / f"{kind}.{'csv' if isinstance(content, str) else 'jsonl'}"
        if isinstance(content, str):
            write_once(path, content.encode())
        else:
            write_once(path, msgspec.json.Encoder().encode_lines(content))
        connection = await asyncpg.connect(database_url)
        try:
            return await import_file(
                connection, order(kind, path, rejects, **options), lambda _phase, _share: None
            )
        finally:
            await connection.close()

    return run


def write_once(path: Path, content: bytes) -> None:
    """Write a file unless it has that content: running an import again leaves the file alone."""
    if not path.exists() or path.read_bytes() != content:
        path.write_bytes(content)


def is_absent(path: Path) -> bool:
    """Tell whether there is no such file."""
    return not path.exists()


def order(kind: str, path: Path, rejects: Path, **options: Any) -> Order:
    """Return the order to import a file as the command would."""
    defaults: dict[str, Any] = {"form": path.suffix[1:], "source": path.name, "rejects": rejects}
    return Order(kind=KINDS[kind], path=path, **(defaults | options))


def node(node_id: str) -> Node:
    """Return a store that is like any other."""
    return Node(
        node_id=node_id,
        kind="store",
        country="US",
        latitude=41.9,
        longitude=-87.6,
        time_zone="America/Chicago",
        calendar_id=CALENDAR,
        cut_off=time(16),
    )


def read_rejects(path: Path) -> list[Rejected]:
    """Return the rejected rows in a rejects file."""
    decode = msgspec.json.Decoder(Rejected).decode
    return [decode(line) for line in path.read_bytes().splitlines()] if path.exists() else []


async def stock(connection: asyncpg.Connection) -> dict[tuple[str, str], int]:
    """Return on hand by sku and node."""
    rows = await connection.fetch("SELECT sku, node_id, on_hand FROM stock ORDER BY 1, 2")
    return {(row[0], row[1]): row[2] for row in rows}


async def ledger(connection: asyncpg.Connection) -> dict[tuple[str, str], int]:
    """Return the sum of movements by sku and node, counted apart from the stock table."""
    rows = await connection.fetch(
        "SELECT sku, node_id, sum(CASE kind WHEN 'count_gain' THEN quantity"
        " WHEN 'receive' THEN quantity WHEN 'count_loss' THEN -quantity"
        " WHEN 'sale' THEN -quantity END)::bigint FROM movement GROUP BY 1, 2 ORDER BY 1, 2"
    )
    return {(row[0], row[1]): row[2] for row in rows}


def demand(
    sku: str, node_id: str, quantity: int, now: datetime, supply_id: str | None = None
) -> Demand:
    """Return what a checkout asks for: some units at one node, held for a quarter of an hour."""
    take = Take(
        reservation_id=uuid4(),
        line_id="1",
        sku=sku,
        node_id=node_id,
        quantity=quantity,
        supply_id=supply_id,
        promise_on=now.date() + timedelta(days=90),
    )
    return Demand(
        holder_kind="allocation",
        holder_id=uuid4(),
        actor="checkout",
        expires_at=now + timedelta(minutes=15),
        takes=(take,),
    )


async def hold(connection: asyncpg.Connection, wanted: Demand) -> UUID:
    """Reserve what is wanted, which must be there; return its holder."""
    async with connection.transaction():
        refused = await reserve(connection, [wanted])
    assert refused == [None]
    return wanted.holder_id
