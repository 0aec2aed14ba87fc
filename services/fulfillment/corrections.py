"""What a rejection says about stock: the record is corrected, and the node left out for a while.

Runs in the transaction of the rejection, after the units were given back, so that a correction
never counts the promise that has just gone.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import uuid5

import asyncpg
import msgspec

from inventory.buffers import exclude, readmit
from inventory.ledger import Movement, record
from inventory.locks import StockKey, lock
from inventory.tables import ANY
from services import records as shared_records
from services.database import Database
from services.fulfillment import exceptions_records as records
from services.fulfillment.events import Units
from services.fulfillment.exceptions_records import Rejection
from services.fulfillment.reasons import Reason
from services.fulfillment.records import Work
from services.ids import new_id
from services.shortages import tell_shortages

SWEEP_LIMIT = 500
"""Exclusions ended in one transaction."""


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What a node, or we in its place, say of the units that are given up."""

    reasons: Mapping[int, Reason]
    """By part."""
    matrix_version: int = 0
    note: str = ""
    actor: str


def corrected(work: Work, said: Said) -> list[StockKey]:
    """Return the stock records that what was said will correct."""
    return sorted(
        {
            (line.sku, work.order.node_id)
            for line in work.lines
            if line.part in said.reasons and said.reasons[line.part].correction != "none"
        }
    )


async def follow(
    connection: asyncpg.Connection,
    work: Work,
    units: Units,
    said: Said,
) -> None:
    """Do what the reasons demand: rejections kept, stock corrected, the node left out."""
    rejections = [
        Rejection(
            order_id=work.order.order_id,
            rejection_id=new_id(),
            fulfillment_order_id=work.order.fulfillment_order_id,
            line_id=line.line_id,
            sku=line.sku,
            node_id=work.order.node_id,
            quantity=units[line.part],
            reason=said.reasons[line.part].reason,
            matrix_version=said.matrix_version,
            cascade=cascade_of(said.reasons[line.part]),
            note=said.note,
            actor=said.actor,
        )
        for line in work.lines
        if units.get(line.part)
    ]
    await records.insert_rejections(connection, rejections)
    by_name = {each.reason: each for each in said.reasons.values()}
    named = [(each, by_name[each.reason]) for each in rejections]
    await correct(connection, named, said.actor)
    await leave_out(connection, named, said.actor)


def cascade_of(reason: Reason) -> str | None:
    """Return what is still to be rejected along; the line itself is."""
    return None if reason.cascade == "line" else reason.cascade


async def correct(
    connection: asyncpg.Connection, named: Sequence[tuple[Rejection, Reason]], actor: str
) -> None:
    """Record what rejections say of the stock records; each record is corrected by one reason.

    Where two reasons speak of one record, the one that writes off everything counts. What is picked
    for others is in somebody's hands, and not written off with the shelf.
    """
    wanted: dict[StockKey, list[tuple[Rejection, Reason]]] = {}
    for each, reason in named:
        if reason.correction != "none":
            wanted.setdefault((each.sku, each.node_id), []).append((each, reason))
    if not wanted:
        return
    locked = await lock(connection, stock=wanted.keys())
    movements = []
    for key, said in sorted(wanted.items()):
        row = locked.stock.get(key)
        there = row.on_hand - row.unavailable if row else 0
        every = [pair for pair in said if pair[1].correction == "all"]
        if every:
            quantity = there - await records.units_in_hand(connection, *key)
        else:
            quantity = min(sum(each.quantity for each, _ in said), there)
        if quantity > 0:
            movements.append(movement_of(*(every or said)[0], quantity, actor))
    shortages = (await record(connection, movements)).shortages
    await tell_shortages(connection, shortages, actor)


def movement_of(each: Rejection, reason: Reason, quantity: int, actor: str) -> Movement:
    """Return the movement that corrects a record after a rejection."""
    return Movement(
        movement_id=uuid5(each.rejection_id, "correction"),
        sku=each.sku,
        node_id=each.node_id,
        kind=reason.movement,
        quantity=quantity,
        happened_at=None,
        actor=actor,
        reference=str(each.fulfillment_order_id),
        reason=reason.reason,
    )


async def leave_out(
    connection: asyncpg.Connection, named: Sequence[tuple[Rejection, Reason]], actor: str
) -> None:
    """Promise nothing more from where the reasons say so, for as long as they say."""
    now = await shared_records.database_now(connection)
    places: dict[tuple[str, str], tuple[datetime, str]] = {}
    for each, reason in named:
        if reason.exclude_for:
            place = (each.node_id, ANY if reason.exclude == "node" else each.sku)
            until = now + reason.exclude_for
            places[place] = max(places.get(place, (until, reason.reason)), (until, reason.reason))
    for place, (until, name) in sorted(places.items()):
        await records.put_exclusions(connection, [place], [until], name, actor)
    if places:
        await exclude(connection, [(sku, node_id) for node_id, sku in sorted(places)])
        await shared_records.insert_events(
            connection,
            [
                excluded(place, until, name, actor)
                for place, (until, name) in sorted(places.items())
            ],
        )


def excluded(
    place: tuple[str, str], until: datetime, reason: str, actor: str
) -> shared_records.Event:
    """Return the event of an exclusion."""
    node_id, sku = place
    return shared_records.Event(
        new_id(),
        "node.excluded",
        node_id,
        actor,
        {
            "node_id": node_id,
            "sku": None if sku == ANY else sku,
            "until": until.isoformat(),
            "reason": reason,
        },
    )


async def end_exclusions(database: Database) -> int:
    """Promise again from where the time of an exclusion is over; say how many there were."""

    async def work(connection: asyncpg.Connection) -> int:
        now = await shared_records.database_now(connection)
        ended = await records.end_exclusions(connection, now, SWEEP_LIMIT)
        if ended:
            await readmit(connection, [(sku, node_id) for node_id, sku in ended])
        return len(ended)

    return await database.run(work)
