"""The naive baseline: what one writes in an afternoon, with the usual tools and without tricks.

Litestar, SQLAlchemy's async ORM, one transaction per order: for each line the nearest node that has
it, `SELECT … FOR UPDATE`, count up, commit. It never sells a unit twice. It does not split orders
well, hold them for a time, explain itself, or notice that an order was sent twice.

Run as a module with the numbers of `services.server.Handed`.
"""

import os
import sys
from uuid import UUID, uuid4

import msgspec
import uvicorn
from litestar import Litestar, Request, post
from litestar.datastructures import State
from litestar.exceptions import HTTPException, NotAuthorizedException
from litestar.params import JSONBody
from sqlalchemy import BigInteger, ForeignKey, MetaData, select
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from services.database import driver_url
from services.orders.request import AllocationRequest
from services.server import handed, run

SCHEMA = "naive"
FILL = (
    "CREATE SCHEMA naive",
    "CREATE TABLE naive.node AS SELECT node_id, latitude, longitude FROM node",
    "CREATE TABLE naive.zone AS SELECT postal_prefixes[1] AS digit, latitude, longitude FROM zone",
    """
    CREATE TABLE naive.stock AS
    SELECT sku, node_id, on_hand, 0::bigint AS reserved FROM stock ORDER BY sku, node_id
    """,
    "ALTER TABLE naive.node ADD PRIMARY KEY (node_id)",
    "ALTER TABLE naive.zone ADD PRIMARY KEY (digit)",
    "ALTER TABLE naive.stock ADD PRIMARY KEY (sku, node_id)",
    "CREATE TABLE naive.placed (id uuid PRIMARY KEY, order_id text NOT NULL UNIQUE)",
    """
    CREATE TABLE naive.placed_line (
        placed_id uuid NOT NULL REFERENCES naive.placed, line_id text, sku text NOT NULL,
        node_id text NOT NULL, quantity bigint NOT NULL, PRIMARY KEY (placed_id, line_id)
    )
    """,
    "VACUUM ANALYZE naive.stock",
)
"""Statements that make the baseline's tables, with the stock of the network loaded before."""


class Base(DeclarativeBase):
    """The baseline's tables."""

    metadata = MetaData(schema=SCHEMA)


class Node(Base):
    """A place that has stock."""

    __tablename__ = "node"
    node_id: Mapped[str] = mapped_column(primary_key=True)
    latitude: Mapped[float]
    longitude: Mapped[float]


class Zone(Base):
    """Where customers are, by the first digit of their postal code."""

    __tablename__ = "zone"
    digit: Mapped[str] = mapped_column(primary_key=True)
    latitude: Mapped[float]
    longitude: Mapped[float]


class Stock(Base):
    """One sku at one node."""

    __tablename__ = "stock"
    sku: Mapped[str] = mapped_column(primary_key=True)
    node_id: Mapped[str] = mapped_column(ForeignKey("naive.node.node_id"), primary_key=True)
    on_hand: Mapped[int] = mapped_column(BigInteger)
    reserved: Mapped[int] = mapped_column(BigInteger)


class PlacedLine(Base):
    """Units of an order's line, and where they will come from."""

    __tablename__ = "placed_line"
    placed_id: Mapped[UUID] = mapped_column(ForeignKey("naive.placed.id"), primary_key=True)
    line_id: Mapped[str] = mapped_column(primary_key=True)
    sku: Mapped[str]
    node_id: Mapped[str]
    quantity: Mapped[int] = mapped_column(BigInteger)


class Placed(Base):
    """An order that has its stock."""

    __tablename__ = "placed"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    order_id: Mapped[str]
    lines: Mapped[list[PlacedLine]] = relationship()


class LineAnswer(msgspec.Struct):
    """Where a line comes from."""

    line_id: str
    node_id: str
    quantity: int


class PlacedAnswer(msgspec.Struct):
    """An order that has its stock."""

    id: UUID
    order_id: str
    status: str
    lines: list[LineAnswer]


@post("/v1/allocations")
async def place(
    data: JSONBody[AllocationRequest], request: Request[object, object, State], state: State
) -> PlacedAnswer:
    """Take the stock of an order from the nearest nodes that have it, line by line."""
    if request.headers.get("authorization") != f"Bearer {state.key}":
        raise NotAuthorizedException
    async with state.sessions() as session, session.begin():
        digit = data.destination.postal_code[0] if data.destination else "0"
        zone = await session.get_one(Zone, digit)
        placed = Placed(id=uuid4(), order_id=data.order_id, lines=[])
        session.add(placed)
        # In one order, or two orders of the same goods would wait for each other for ever.
        for line in sorted(data.lines, key=lambda each: each.sku):
            distance = (Node.latitude - zone.latitude) * (Node.latitude - zone.latitude) + (
                Node.longitude - zone.longitude
            ) * (Node.longitude - zone.longitude)
            found = await session.execute(
                select(Stock)
                .join(Node)
                .where(Stock.sku == line.sku, Stock.on_hand - Stock.reserved >= line.quantity)
                .order_by(distance)
                .limit(1)
                .with_for_update(of=Stock)
            )
            stock = found.scalar_one_or_none()
            if stock is None:
                raise HTTPException(status_code=409, detail=f"There is not enough of {line.sku}.")
            stock.reserved += line.quantity
            placed.lines.append(
                PlacedLine(
                    line_id=line.line_id,
                    sku=line.sku,
                    node_id=stock.node_id,
                    quantity=line.quantity,
                )
            )
    lines = [LineAnswer(each.line_id, each.node_id, each.quantity) for each in placed.lines]
    return PlacedAnswer(id=placed.id, order_id=placed.order_id, status="held", lines=lines)


def create_app(url: str, key: str) -> Litestar:
    """Return the application, with the pool that SQLAlchemy makes when asked for nothing else."""
    engine = create_async_engine(driver_url(url))
    sessions = async_sessionmaker(engine, expire_on_commit=False)
    return Litestar(
        route_handlers=[place],
        state=State({"sessions": sessions, "key": key}),
        openapi_config=None,
        logging_config=None,
    )


def main(arguments: list[str]) -> None:
    """Serve until SIGTERM."""
    app = create_app(os.environ["DATABASE_URL"], os.environ["BENCHMARK_KEY"])
    config = uvicorn.Config(app, ws="none", log_config=None, access_log=False)
    run(config, handed(arguments))


if __name__ == "__main__":
    main(sys.argv[1:])
