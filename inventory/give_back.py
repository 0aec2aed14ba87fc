"""Part of what a holder has goes back, or elsewhere: the rest keeps its name and its place.

A node that cannot fill its part of an order gives up that part alone. What goes elsewhere takes its
new place first: until that has worked the old one stays, so a customer never has neither.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import Literal
from uuid import UUID

import asyncpg
import msgspec

from inventory import records
from inventory.book import transpose
from inventory.locks import CapacityKey, Locked, StockKey, SupplyKey, lock
from inventory.pegging import split_id
from inventory.pools import QuotaKey, change_quotas
from inventory.reserve import CapacityTake, Demand, Refusal, changes, reserve

LIVE = ("held", "confirmed")


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """Units of one line that a holder gives up at one node."""

    line_id: str
    sku: str
    node_id: str
    quantity: int
    supply_id: str | None = None
    """What they waited for when they were promised. Units that still wait for it are given up
    first; without it those that are on hand."""


class NotHeldError(ValueError):
    """A holder has fewer units than it should give up; nothing was changed."""

    def __init__(self, part: Part, held: int) -> None:
        super().__init__(
            f"line {part.line_id} holds {held} of {part.sku} at {part.node_id} and cannot give up "
            f"{part.quantity}"
        )
        self.part = part
        self.held = held


class Promised(msgspec.Struct):
    """A live reservation, as far as it has not been given up."""

    sku: str
    reservation_id: UUID
    node_id: str
    line_id: str
    quantity: int
    supply_id: str | None
    pool_id: str | None = None
    pool_units: int = 0
    given: int = 0

    @property
    def pool_units_left(self) -> int:
        """Units from its pool that it keeps: what is given up is what came from elsewhere first."""
        return min(self.pool_units, self.quantity - self.given)


class Freed(msgspec.Struct, frozen=True):
    """What is given up, and where it goes back to."""

    promises: list[Promised]
    stock: Counter[StockKey]
    """Negative, as the counters change; so is supply."""
    supply: Counter[SupplyKey]
    spared: Sequence[CapacityTake]
    left: int
    """Units that the holder still has."""


async def lock_promises(
    connection: asyncpg.Connection, holder: UUID, records_of: Collection[StockKey] = ()
) -> None:
    """Lock what a holder has, and the promises that wait for supply at some stock records.

    Whoever corrects a stock record in the transaction in which it gives units back calls this
    first, since reservations come before stock in the order of locks.
    """
    skus, node_ids = ([key[at] for key in records_of] for at in (0, 1))
    await records.lock_promises(connection, holder, skus, node_ids)


async def give_back(
    connection: asyncpg.Connection,
    holder: UUID,
    parts: Sequence[Part],
    *,
    spared: Sequence[CapacityTake] = (),
) -> None:
    """Give back part of what a holder has, held or confirmed, all of it or nothing.

    A reservation that is given up whole is released; of one given up in part the rest keeps its
    name. `spared` is what the nodes no longer have to do: its units where a node's capacity counts
    units, its orders where it counts orders, at most what is held of it. A holder that has nothing
    left gives back all its capacity, but for nodes that have dispatched for it: that work was done.

    Raises ValueError for a quantity below 1, NotHeldError where the holder has less.
    """
    freed = await _choose(connection, holder, parts, spared)
    capacity = await _held_capacity(connection, holder, freed)
    locked = await lock(connection, stock=freed.stock, supply=freed.supply, capacity=capacity)
    await _write(connection, holder, freed, capacity, locked)


async def move(
    connection: asyncpg.Connection,
    holder: UUID,
    parts: Sequence[Part],
    demand: Demand,
    *,
    spared: Sequence[CapacityTake] = (),
    state: Literal["held", "confirmed"] = "confirmed",
) -> Refusal | None:
    """Take `demand` for a holder and give up `parts` for it, both or neither; None when done.

    The destination is taken through the guarded step before the source is freed. After a refusal
    nothing has changed and nothing more is locked than before. `spared` is as in `give_back`.
    Raises ValueError when the demand is not the holder's own, and what `give_back` raises.
    """
    if demand.holder_id != holder:
        raise ValueError(f"{demand.holder_id} cannot take what {holder} gives up")
    try:
        async with connection.transaction():
            await _move(connection, demand, await _choose(connection, holder, parts, spared), state)
    except _NoRoomError as no:
        return no.refusal
    return None


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """What one holder gives up, and what it takes instead."""

    holder: UUID
    parts: Sequence[Part]
    demand: Demand
    spared: Sequence[CapacityTake] = ()


async def exchange(connection: asyncpg.Connection, exchanges: Sequence[Exchange]) -> Refusal | None:
    """Let holders that wait for what others of them have change places, all or none of them.

    Everything both ends touch is locked first. Then all sources are freed and all destinations
    taken through the guarded step, which nobody can come in between; a refusal undoes all of it.
    Raises ValueError where a demand is not its holder's own or a holder is named twice, and what
    `give_back` raises.
    """
    holders = sorted(each.holder for each in exchanges)
    if len(set(holders)) < len(holders) or any(
        each.demand.holder_id != each.holder for each in exchanges
    ):
        raise ValueError(f"each of {holders} exchanges once, and for itself")
    try:
        async with connection.transaction():
            await records.lock_reservations(connection, holders, LIVE)
            await _exchange(connection, exchanges)
    except _NoRoomError as no:
        return no.refusal
    return None


async def _exchange(connection: asyncpg.Connection, exchanges: Sequence[Exchange]) -> None:
    freed = [await _choose(connection, each.holder, each.parts, each.spared) for each in exchanges]
    held = [
        await _held_capacity(connection, each.holder, own)
        for each, own in zip(exchanges, freed, strict=True)
    ]
    demands = [each.demand for each in exchanges]
    slots = {(c.node_id, c.work_on, c.slot) for each in demands for c in each.capacity}
    if slots:
        await records.ensure_capacity(connection, *transpose(sorted(slots)))
    takes = [take for each in demands for take in each.takes]
    locked = await lock(
        connection,
        stock={key for own in freed for key in own.stock}
        | {(each.sku, each.node_id) for each in takes},
        supply={key for own in freed for key in own.supply}
        | {(each.sku, each.supply_id) for each in takes if each.supply_id is not None},
        capacity={key for own in held for key in own} | slots,
    )
    for each, own, rooms in zip(exchanges, freed, held, strict=True):
        await _write(connection, each.holder, own, rooms, locked, keeps=True)
    refused = [each for each in await reserve(connection, demands, state="confirmed") if each]
    if refused:
        raise _NoRoomError(refused[0])


class _NoRoomError(Exception):
    """Ends the savepoint of a move whose destination does not fit."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal)
        self.refusal = refusal


async def _move(
    connection: asyncpg.Connection,
    demand: Demand,
    freed: Freed,
    state: Literal["held", "confirmed"],
) -> None:
    # Both ends are locked at once and in order: of two orders that change places, each would
    # otherwise hold the end that the other waits for.
    held = await _held_capacity(connection, demand.holder_id, freed)
    slots = {(each.node_id, each.work_on, each.slot) for each in demand.capacity}
    if slots:
        await records.ensure_capacity(connection, *transpose(sorted(slots)))
    takes = demand.takes
    locked = await lock(
        connection,
        stock=freed.stock.keys() | {(each.sku, each.node_id) for each in takes},
        supply=freed.supply.keys()
        | {(each.sku, each.supply_id) for each in takes if each.supply_id is not None},
        capacity=held.keys() | slots,
    )
    refusal = (await reserve(connection, [demand], state=state))[0]
    if refusal is not None:
        raise _NoRoomError(refusal)
    await _write(connection, demand.holder_id, freed, held, locked, keeps=True)


async def _choose(
    connection: asyncpg.Connection,
    holder: UUID,
    parts: Sequence[Part],
    spared: Sequence[CapacityTake],
) -> Freed:
    """Lock what the holder has and say which of it is given up; raises as `give_back` does."""
    if any(each.quantity < 1 for each in parts):
        raise ValueError("every part that is given up has a quantity of at least 1")
    await records.lock_reservations(connection, [holder], LIVE)
    promises = [Promised(*row) for row in await records.find_held(connection, holder)]
    stock: Counter[StockKey] = Counter()
    supply: Counter[SupplyKey] = Counter()
    for part in parts:
        for promise, units in _give(part, promises):
            promise.given += units
            if promise.supply_id is None:
                stock[promise.sku, promise.node_id] -= units
            else:
                supply[promise.sku, promise.supply_id] -= units
    left = sum(each.quantity - each.given for each in promises)
    return Freed([each for each in promises if each.given], stock, supply, spared, left)


def _give(part: Part, promises: Sequence[Promised]) -> list[tuple[Promised, int]]:
    """Choose the promises that a part comes from; raises NotHeldError when there are not enough."""
    own = [
        each
        for each in promises
        if (each.line_id, each.sku, each.node_id) == (part.line_id, part.sku, part.node_id)
    ]
    # What was asked for first, then what is like it, then the rest.
    own.sort(
        key=lambda each: (
            each.supply_id != part.supply_id,
            (each.supply_id is None) != (part.supply_id is None),
            each.supply_id or "",
        )
    )
    left = part.quantity
    chosen = []
    for promise in own:
        units = min(promise.quantity - promise.given, left)
        if units:
            chosen.append((promise, units))
            left -= units
    if left:
        raise NotHeldError(part, part.quantity - left)
    return chosen


async def _held_capacity(
    connection: asyncpg.Connection, holder: UUID, freed: Freed
) -> dict[CapacityKey, int]:
    """Return what the holder holds of capacity, where some of it may go back."""
    if freed.left and not freed.spared:
        return {}
    rows = await records.find_capacity_holds(connection, holder)
    named = {(each.node_id, each.work_on, each.slot) for each in freed.spared}
    holds: dict[CapacityKey, int] = {(row[0], row[1], row[2]): row[3] for row in rows}
    return {key: units for key, units in holds.items() if key in named or not freed.left}


async def _write(
    connection: asyncpg.Connection,
    holder: UUID,
    freed: Freed,
    held: Mapping[CapacityKey, int],
    locked: Locked,
    *,
    keeps: bool = False,
) -> None:
    """Lower the counters of locked rows and release what was chosen.

    `keeps` tells that the holder has taken something else instead and so has something left.
    """
    await records.change_promises(connection, changes(freed.stock), changes(freed.supply))
    await change_quotas(connection, _quotas(freed.promises))
    await records.release_parts(connection, *_columns(freed.promises))
    if freed.left or keeps:
        back = _worked_off(freed.spared, held, locked)
        await records.lower_capacity_holds(connection, holder, columns(back, 4))
    else:
        ended = await records.end_capacity_holds(connection, [holder])
        back = [(row[0], row[1], row[2], row[3]) for row in ended]
    if back:
        await records.give_back_capacity(connection, columns(back, 4))


def _quotas(promises: Sequence[Promised]) -> Counter[QuotaKey]:
    """Return what goes back to pools, negative, as what is used of them changes."""
    back: Counter[QuotaKey] = Counter()
    for each in promises:
        if each.pool_id is not None and each.pool_units > each.pool_units_left:
            key = (each.sku, each.node_id, each.pool_id)
            back[key] -= each.pool_units - each.pool_units_left
    return back


def _columns(promises: Sequence[Promised]) -> tuple[list[list[object]], ...]:
    """Return what is released whole, what of others is kept, and what is split off, as columns."""
    whole: list[tuple[object, ...]] = []
    kept: list[tuple[object, ...]] = []
    split: list[tuple[object, ...]] = []
    for each in promises:
        sku, name, left = each.sku, each.reservation_id, each.quantity - each.given
        if left:
            kept.append((sku, name, left, each.pool_units_left))
            split.append((sku, name, split_id(name, left, "released"), each.given))
        else:
            whole.append((sku, name))
    return columns(whole, 2), columns(kept, 4), columns(split, 4)


def _worked_off(
    spared: Sequence[CapacityTake], held: Mapping[CapacityKey, int], locked: Locked
) -> list[tuple[str, date, str, int]]:
    """Return what goes back of each capacity row, at most what is held of it."""
    back: Counter[CapacityKey] = Counter()
    for each in spared:
        key = (each.node_id, each.work_on, each.slot)
        row = locked.capacity.get(key)
        if row is not None and key in held:
            back[key] += each.orders if row.unit == "orders" else each.units
    return [(*key, min(units, held[key])) for key, units in back.items() if units]


def columns(rows: Sequence[tuple[object, ...]], width: int) -> list[list[object]]:
    """Turn rows into arrays, `width` of them even where there is no row."""
    return transpose(rows) if rows else [[] for _ in range(width)]
