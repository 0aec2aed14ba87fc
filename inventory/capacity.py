"""Moving a holder's work at a node to a later date, when its own date can no longer be kept."""

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from uuid import UUID

import asyncpg

from inventory import records
from inventory.locks import CapacityKey, Locked, lock


async def move_capacity(
    connection: asyncpg.Connection,
    holder: UUID,
    moves: Mapping[tuple[str, date], Sequence[date]],
) -> dict[tuple[str, date], date]:
    """Move what `holder` holds at each (node_id, work_on) to the first of the dates with room.

    Returns the date taken for each; where no date has room, or nothing is held because the node has
    no limit, it is the first one and the capacity held stays where it is. The caller holds a lock
    on the holder's own record, so nobody else changes its holds.
    """
    taken = {at: dates[0] for at, dates in moves.items()}
    for row in await records.find_capacity_holds(connection, holder):
        at = (row["node_id"], row["work_on"])
        if at not in moves:
            continue
        slot, quantity = row["slot"], row["quantity"]
        keys = [(at[0], day, slot) for day in (at[1], *moves[at])]
        await records.ensure_capacity(connection, *map(list, zip(*keys, strict=True)))
        locked = await lock(connection, capacity=set(keys))
        chosen = first_with_room(keys[1:], quantity, locked)
        if chosen is None:
            continue
        taken[at] = chosen[1]
        if chosen[1] != at[1]:
            await records.end_capacity_hold(connection, holder, *keys[0])
            await records.give_back_capacity(connection, columns(keys[0], quantity))
            await records.take_capacity(
                connection, columns(chosen, quantity), [*map(list, hold(chosen, holder, quantity))]
            )
    return taken


async def exchange_places(
    connection: asyncpg.Connection,
    holder: UUID,
    given: Collection[CapacityKey],
    taken: Collection[CapacityKey],
) -> CapacityKey | None:
    """Give up the places that a holder has in slots for places in others, all of it or nothing.

    Returns the first row that is full, and then nothing has changed. What the holder has not is not
    given up. The caller holds a lock on the holder's own record, so nobody else changes its holds.
    """
    keys = {*given, *taken}
    if not keys:
        return None
    await records.ensure_capacity(connection, *map(list, zip(*keys, strict=True)))
    locked = await lock(connection, capacity=keys)
    rows = await records.find_capacity_holds(connection, holder)
    held = {(row[0], row[1], row[2]): row[3] for row in rows}
    wanted = sorted(key for key in taken if key not in held)
    for key in wanted:
        row = locked.capacity.get(key)
        if row is None or row.maximum - row.used < 1:
            return key
    for key in sorted(set(given) & held.keys() - set(taken)):
        await records.end_capacity_hold(connection, holder, *key)
        await records.give_back_capacity(connection, columns(key, held[key]))
    for key in wanted:
        await records.take_capacity(connection, columns(key, 1), [*map(list, hold(key, holder, 1))])
    return None


def first_with_room(
    keys: Sequence[CapacityKey], quantity: int, locked: Locked
) -> CapacityKey | None:
    """Return the first row that is unlimited or has `quantity` left under the lock."""
    for key in keys:
        row = locked.capacity.get(key)
        if row is None or row.maximum - row.used >= quantity:
            return key
    return None


def columns(key: CapacityKey, quantity: int) -> list[list[object]]:
    """Return one change of `used` as the arrays its statement takes."""
    return [[part] for part in (*key, quantity)]


def hold(key: CapacityKey, holder: UUID, quantity: int) -> list[tuple[object]]:
    """Return one hold as the arrays its statement takes."""
    return [(part,) for part in (*key, holder, quantity)]
