"""How Alembic reaches the database: asynchronously, one process at a time."""

import asyncio

from alembic import context
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from inventory import feed_tables, pool_tables, slot_tables
from services.database import lock_for_migration
from services.events import tables as event_tables
from services.fulfillment import exceptions_tables, hindsight_tables
from services.fulfillment import tables as fulfillment_tables
from services.goods import tables as goods_tables
from services.partners import tables as partner_tables
from services.people import tables as people_tables
from services.prices import tables as price_tables
from services.returns import tables as return_tables
from services.tables import metadata

DESCRIBED_IN = (
    event_tables,
    exceptions_tables,
    feed_tables,
    fulfillment_tables,
    goods_tables,
    hindsight_tables,
    partner_tables,
    people_tables,
    pool_tables,
    price_tables,
    return_tables,
    slot_tables,
)
"""Modules that describe tables beside `services.tables`; importing them is what counts."""


def is_described(name: str | None, kind: str, _parents: object) -> bool:
    """Tell whether the metadata should know an object: partitions come and go by themselves."""
    parts = [
        table
        for table in metadata.tables.values()
        if table.dialect_options["postgresql"]["partition_by"]
    ]
    if kind != "table" or name in metadata.tables:
        return True
    return not any((name or "").startswith(f"{table.name}_") for table in parts)


def run(connection: Connection) -> None:
    """Apply the outstanding migrations in one transaction."""
    context.configure(
        connection=connection,
        target_metadata=metadata,
        compare_type=True,
        include_name=is_described,
    )
    with context.begin_transaction():
        context.run_migrations()


async def migrate() -> None:
    """Connect, wait for a migration under way elsewhere, and migrate."""
    engine = create_async_engine(context.config.attributes["url"], poolclass=NullPool)
    async with engine.connect() as connection:
        await lock_for_migration(connection)
        await connection.run_sync(run)
        await connection.commit()
    await engine.dispose()


asyncio.run(migrate())
