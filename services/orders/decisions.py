"""Decision records, read back with the facts they refer to, and decided again."""

import asyncio
import zlib
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from inventory.items import get_items
from inventory.nodes import get_nodes
from routing.bundles import needs_of
from routing.explain import Decision, explain, nodes_told, replay
from routing.plan import Plan
from routing.record import digest_of, expand
from routing.voice import Voice, on
from services.database import Database
from services.orders import records
from services.orders.answers import AllocationAnswer, SlotAnswer
from services.orders.rearranged import decisions_of, named_by, read_moves, told
from services.orders.unrecorded import why_unrecorded
from services.problems import Refused

PRICING_MS = 50
"""Time for what a replay needs of the nodes that are not in a plan which was not proven."""


class Replayed(msgspec.Struct, frozen=True):
    """A recorded plan beside the one that comes out when the order is decided again."""

    recorded: Plan
    again: Plan

    @property
    def is_same(self) -> bool:
        """Whether they are the same to the last byte."""
        encode = msgspec.msgpack.encode
        return encode(self.recorded) == encode(self.again)


async def find_decision(
    connection: asyncpg.Connection, allocation_id: UUID, also: str | None = None
) -> Decision:
    """Return why an allocation's plan is what it is; raises `not-found` saying why it is not kept.

    A node named by `also` can be asked about even if it had nothing of the order.
    """
    record, body = await read(connection, allocation_id)
    return expand(record, body, also)


async def replayed(connection: asyncpg.Connection, allocation_id: UUID) -> Replayed:
    """Decide an allocation again from what is stored of it; raises `not-found`."""
    record, body = await read(connection, allocation_id)
    return await asyncio.to_thread(decide_again, record, body)


async def moves_replayed(connection: asyncpg.Connection, allocation_id: UUID) -> list[Replayed]:
    """Decide the moves of an allocation again, the first first; none where it never moved."""
    return [
        await asyncio.to_thread(decide_again, each.move.record, each.body)
        for each in await read_moves(connection, allocation_id)
    ]


async def read(connection: asyncpg.Connection, allocation_id: UUID) -> tuple[bytes, bytes]:
    """Return a decision record and the facts it refers to; raises `not-found`."""
    record = await records.find_decision(connection, allocation_id)
    if record is None:
        raise Refused("not-found", await why_unrecorded(connection, allocation_id))
    body = await records.find_terrain(connection, digest_of(record))
    if body is None:
        raise RuntimeError(f"allocation {allocation_id} refers to facts that are not kept")
    return record, zlib.decompress(body)


async def explained(
    database: Database, allocation_id: UUID, node_id: str | None, currency: str
) -> dict[str, Any]:
    """Return the explanation of an allocation, by the names of today, and of a node in it.

    Last come the moves that were made of it before its release. Where nothing is recorded, a
    sentence says why. Raises `not-found`.
    """
    async with database.connect() as connection:
        if await records.find_decision(connection, allocation_id) is None:
            return unrecorded(await why_unrecorded(connection, allocation_id), node_id)
        decision = await find_decision(connection, allocation_id, node_id)
        moves = await read_moves(connection, allocation_id)
        later = decisions_of(moves)
        voice = await voice_for(connection, decision, node_id, currency, named_by(moves, later))
        row = await records.find_allocation(connection, allocation_id)
    # In a thread, since counterfactuals are solved when they are asked for.
    said = await asyncio.to_thread(explain, decision, node_id=node_id, voice=voice)
    said["recorded"] = True
    said["moves"] = [
        await asyncio.to_thread(told, move, each, voice)
        for move, each in zip(moves, later, strict=True)
    ]
    chosen = msgspec.json.decode(row.body, type=AllocationAnswer).slots if row else None
    if chosen:
        said["slots"] = msgspec.to_builtins(chosen)
        said["sentences"] += [slot_said(each) for each in chosen]
    return said


def unrecorded(why: str, node_id: str | None) -> dict[str, Any]:
    """Return the explanation of an allocation of which nothing is recorded, and of a node in it."""
    said: dict[str, Any] = {"recorded": False, "sentences": [why], "moves": []}
    if node_id is not None:
        said["why_not"] = f"So nothing is known of {node_id} in it."
    return said


def slot_said(slot: SlotAnswer) -> str:
    """Return in words what a slot asked of the plan, and whether it is kept."""
    window = f"{slot.slot_id}, {slot.opens:%H:%M} to {slot.closes:%H:%M}"
    said = (
        f"The customer chose a slot on {on(slot.on)} ({window}), so all that comes in it had to be "
        "there by that day."
    )
    if slot.kept:
        return said
    return f"{said} It could not be kept when the dates changed, and its place was given back."


async def voice_for(
    connection: asyncpg.Connection,
    decision: Decision,
    node_id: str | None,
    currency: str,
    also: Sequence[str] = (),
) -> Voice:
    """Return the names of what a decision tells of, and of other nodes."""
    skus = sorted(
        {line.sku for line in decision.problem.lines} | {*needs_of(decision.problem.lines)}
    )
    nodes = await get_nodes(connection, sorted({*nodes_told(decision, node_id), *also}))
    return Voice(
        currency=currency,
        nodes={node.node_id: node.name for node in nodes},
        items={item.sku: item.name for item in await get_items(connection, skus)},
    )


def decide_again(record: bytes, body: bytes) -> Replayed:
    """Decide a recorded order again, on what was seen then and the master data of then.

    A proven plan is proven again, and comes out the same. One that ran into its time limit is put
    together again from its parts, at the same cost and with the same status.
    """
    decision = expand(record, body, pricing_ms=PRICING_MS)
    return Replayed(decision.plan, replay(decision))
