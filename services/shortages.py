"""Telling of shortages: more promised than a count, a feed or a supplier says is there."""

from collections.abc import Sequence

import asyncpg

from inventory.ledger import Shortage
from inventory.supply import SupplyShortage
from services.ids import new_id
from services.records import Event, insert_events


async def tell_shortages(
    connection: asyncpg.Connection, shortages: Sequence[Shortage], actor: str
) -> None:
    """Append an event for each stock record whose shortage is new or larger."""
    facts = [
        {"sku": each.sku, "node_id": each.node_id, "shortage": each.shortage} for each in shortages
    ]
    await tell(connection, "stock.shortage", facts, actor)


async def tell_supply_shortages(
    connection: asyncpg.Connection, shortages: Sequence[SupplyShortage], actor: str
) -> None:
    """Append an event for each supply that brings less than was promised from it."""
    facts = [
        {"sku": each.sku, "supply_id": each.supply_id, "shortage": each.shortage}
        for each in shortages
    ]
    await tell(connection, "supply.shortage", facts, actor)


async def tell(
    connection: asyncpg.Connection, kind: str, facts: Sequence[dict[str, object]], actor: str
) -> None:
    """Append an event for each fact about a sku, in the transaction that made it one."""
    events = [Event(new_id(), kind, str(fact["sku"]), actor, fact) for fact in facts]
    if events:
        await insert_events(connection, events)
