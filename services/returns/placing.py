"""Where units of an order could come from, some of them being its own already.

Planned outside any transaction by the same means that give rejected work another node: rows read
now, the strategy that decided the order. Nothing is held by it.
"""

import asyncio
from collections.abc import Mapping
from datetime import date, datetime, timedelta

import msgspec

from inventory.availability import Cell
from services.database import Database
from services.fulfillment import resource
from services.fulfillment.resource import Facts, Found, Need
from services.orders.answers import FulfillmentAnswer, fulfillment_answer, priced
from services.orders.request import SHIPMENTS_MAX
from services.planning.network import Network, Zone
from services.settings import Settings

PROMISE_DAYS = 3_650
"""So far ahead that no plan is late: nothing has been promised yet."""

Own = Mapping[tuple[str, str], int]
"""Units that the order has at (sku, node_id) and would give up for the plan."""


class Means(msgspec.Struct, frozen=True):
    """What planning works with."""

    database: Database
    network: Network
    settings: Settings


def fresh(need: Need, now: datetime) -> Need:
    """Return a need for which nothing has been promised, however many parcels it takes."""
    return msgspec.structs.replace(
        need,
        promise_latest=now.date() + timedelta(days=PROMISE_DAYS),
        parcels=SHIPMENTS_MAX,
    )


async def place(means: Means, need: Need, zone: Zone | None, own: Own) -> Found:
    """Return the best plan for a need to a zone; what the order has itself may be used."""
    async with means.database.connect() as connection:
        facts = await resource.read_facts(connection, means.network, need)
    facts = with_own(facts, own)
    facts = msgspec.structs.replace(facts, divisor=means.settings.dimensional_divisor)
    if need.method == "ship":
        facts = msgspec.structs.replace(facts, zone=zone)
    return await asyncio.to_thread(
        resource.best, means.network, fresh(need, facts.now), facts, means.settings.resource_ms
    )


def with_own(facts: Facts, own: Own) -> Facts:
    """Return facts in which the order's own units are there for it."""
    cells = [
        msgspec.structs.replace(
            cell, available=max(free_of(cell) + own.get((cell.sku, cell.node_id), 0), 0)
        )
        if own.get((cell.sku, cell.node_id))
        else cell
        for cell in facts.cells
    ]
    return msgspec.structs.replace(facts, cells=cells)


def free_of(cell: Cell) -> int:
    """Return the units beyond the buffer, below zero where the buffer is not filled."""
    return cell.on_hand - cell.reserved - cell.unavailable - cell.buffer


def fulfillments(
    found: Found, prices: Mapping[tuple[str, str], int], currency: str
) -> tuple[FulfillmentAnswer, ...]:
    """Return a plan as it is told, its lines named as the order names them."""
    named = tuple(
        msgspec.structs.replace(
            each,
            lines=tuple(
                msgspec.structs.replace(line, line_id=found.wants[int(line.line_id)].line_id)
                for line in each.lines
            ),
        )
        for each in (fulfillment_answer(one, currency) for one in found.plan.fulfillments)
    )
    return priced(named, prices)


def latest(found: Found) -> date | None:
    """Return the last date that a plan promises; none for a plan that places nothing."""
    return max((each.promise.latest for each in found.plan.fulfillments), default=None)
