"""Taking stock: one guarded step for all lines of all orders in a batch.

Lock, decide, write. Rows are locked in one order, orders are admitted whole or not at all in the
order they came, by the locked values alone, and counters and reservations are written together.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime
from typing import Literal
from uuid import UUID

import asyncpg
import msgspec

from inventory import records
from inventory.locks import CapacityKey, Locked, StockKey, SupplyKey, lock
from inventory.pools import NO_SHARES, QuotaKey, Shares, change_quotas, read_shares
from inventory.quotas import limit

SUPPLY_GRACE_DAYS = 3
"""Days after its date for which supply that has not arrived is still promised from."""


class Take(msgspec.Struct, frozen=True, kw_only=True):
    """Units of one order line from one source at one node."""

    reservation_id: UUID
    line_id: str
    sku: str
    node_id: str
    quantity: int
    buffer: int = 0
    """Units to leave untouched at this record; limits travel with the line."""
    supply_id: str | None = None
    """The supply to peg to; on hand when absent."""
    promise_on: date
    """The local date promised; decides whose turn it is when stock comes in or runs short."""


class CapacityTake(msgspec.Struct, frozen=True, kw_only=True):
    """Work for one node on one local date; the capacity row says which of the two counts."""

    node_id: str
    work_on: date
    slot: str = "day"
    orders: int
    units: int


class Demand(msgspec.Struct, frozen=True, kw_only=True):
    """Everything one holder needs, all of it or nothing."""

    holder_kind: Literal["allocation", "staff", "transfer"]
    holder_id: UUID
    actor: str
    expires_at: datetime
    takes: tuple[Take, ...]
    capacity: tuple[CapacityTake, ...] = ()
    channel: str = ""
    """Takes first from its own pool, and leaves what other pools have a right to."""
    promised: bool = False
    """Whether its units were promised before, so that no pool's right comes first."""


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """The first cell in which a demand did not fit, and by how much.

    `unknown` means that there is no such stock record, or no such supply at the node.
    """

    what: Literal["stock", "supply", "capacity", "unknown"]
    needed: int
    available: int
    node_id: str
    sku: str | None = None
    supply_id: str | None = None
    work_on: date | None = None
    slot: str | None = None


class Needs(msgspec.Struct, frozen=True):
    """A demand summed by cell, because two lines can each fit alone and not together."""

    stock: dict[StockKey, tuple[int, int]]
    """Units, and the largest buffer any of the lines must leave."""
    supply: dict[SupplyKey, tuple[int, str, date]]
    """Units, the node they are expected at, and the earliest date promised from them."""
    capacity: dict[CapacityKey, tuple[int, int]]
    """Orders and units."""
    channel: str = ""
    promised: bool = False


class Taken(msgspec.Struct):
    """What the walk has given to the demands admitted so far."""

    stock: Counter[StockKey]
    supply: Counter[SupplyKey]
    capacity: Counter[CapacityKey]
    quotas: Counter[QuotaKey]


async def reserve(
    connection: asyncpg.Connection,
    demands: Sequence[Demand],
    *,
    state: Literal["held", "confirmed"] = "held",
) -> list[Refusal | None]:
    """Reserve what fits, each demand whole or not at all; answers stand in the demands' order.

    None means admitted. Demands are walked in order and the walk goes on after a refusal, so at the
    end no refused demand would fit in what is left. Capacity counts where the node has a limit for
    the date or a default.

    Raises ValueError for a demand that no stock could answer (nothing to take, a quantity below
    one, a reservation named twice) before any statement is sent; asyncpg.UniqueViolationError
    when a reservation of that name exists, which fails the whole batch.
    """
    needs, locked, shares, refusals = await _admit(connection, demands)
    fits = [index for index, refusal in enumerate(refusals) if refusal is None]
    if fits:
        await _write(connection, [demands[i] for i in fits], shares, state)
        await _write_capacity(connection, [(demands[i].holder_id, needs[i]) for i in fits], locked)
    return refusals


async def admitted(
    connection: asyncpg.Connection, demands: Sequence[Demand]
) -> list[Refusal | None]:
    """Lock what the demands need and say of each whether it fits, as `reserve` does.

    Only the supply they are pegged to is taken. The caller writes the rest in this transaction:
    stock, capacity and reservations. Raises ValueError as `reserve` does.
    """
    if not demands:
        return []
    *_, refusals = await _admit(connection, demands)
    supply: Counter[SupplyKey] = Counter()
    for demand, refusal in zip(demands, refusals, strict=True):
        if refusal is None:
            for take in demand.takes:
                if take.supply_id is not None:
                    supply[take.sku, take.supply_id] += take.quantity
    if supply:
        await records.change_promises(connection, changes(Counter()), changes(supply))
    return refusals


async def _admit(
    connection: asyncpg.Connection, demands: Sequence[Demand]
) -> tuple[list[Needs], Locked, Shares, list[Refusal | None]]:
    """Lock what the demands need, in the order of locks, and walk them."""
    _check(demands)
    needs = [sum_demand(demand) for demand in demands]
    capacity = {key for need in needs for key in need.capacity}
    if capacity:
        await records.ensure_capacity(connection, *map(list, zip(*capacity, strict=True)))
    locked = await lock(
        connection,
        stock={key for need in needs for key in need.stock},
        supply={key for need in needs for key in need.supply},
        capacity=capacity,
    )
    shares = await read_shares(connection, locked, {each.channel for each in demands})
    return needs, locked, shares, admit(needs, locked, shares)


def sum_demand(demand: Demand) -> Needs:
    """Sum a demand by cell.

    A line pegged to supply needs nothing of the stock record, but locks it: whoever brings stock in
    holds that lock while it looks for waiting pegs, and must not miss one.
    """
    stock: dict[StockKey, tuple[int, int]] = {}
    supply: dict[SupplyKey, tuple[int, str, date]] = {}
    capacity: dict[CapacityKey, tuple[int, int]] = {}
    for take in demand.takes:
        at = (take.sku, take.node_id)
        units, buffer = stock.get(at, (0, 0))
        if take.supply_id is None:
            stock[at] = (units + take.quantity, max(buffer, take.buffer))
            continue
        stock[at] = (units, buffer)
        source = (take.sku, take.supply_id)
        units, _, promise_on = supply.get(source, (0, "", take.promise_on))
        supply[source] = (units + take.quantity, take.node_id, min(promise_on, take.promise_on))
    for work in demand.capacity:
        slot = (work.node_id, work.work_on, work.slot)
        orders, units = capacity.get(slot, (0, 0))
        capacity[slot] = (orders + work.orders, units + work.units)
    return Needs(stock, supply, capacity, demand.channel, demand.promised)


def admit(
    needs: Sequence[Needs], locked: Locked, shares: Shares = NO_SHARES
) -> list[Refusal | None]:
    """Walk demands in order and admit each that fits in what the ones before it have left."""
    taken = Taken(Counter(), Counter(), Counter(), Counter())
    refusals: list[Refusal | None] = []
    for need in needs:
        refusal = (
            _refuse_stock(need, locked, taken, shares)
            or _refuse_supply(need, locked, taken)
            or _refuse_capacity(need, locked, taken)
        )
        refusals.append(refusal)
        if refusal is None:
            for at, (units, _) in need.stock.items():
                taken.stock[at] += units
                if shares.quotas:
                    _use(at, units, need.channel, shares, taken.quotas)
            for source, (units, _, _) in need.supply.items():
                taken.supply[source] += units
            for slot, work in need.capacity.items():
                taken.capacity[slot] += _work(slot, work, locked)
    return refusals


def _use(
    at: StockKey, units: int, channel: str, shares: Shares, taken: Counter[QuotaKey]
) -> tuple[QuotaKey, int] | None:
    """Take units from the channel's own pool, as many as it has left; return how many those are.

    The rest comes from the common stock.
    """
    key = shares.own_key(at, channel)
    own, _ = shares.left(at, channel, taken)
    if key is None or min(units, own) < 1:
        return None
    taken[key] += min(units, own)
    return key, min(units, own)


def _refuse_stock(need: Needs, locked: Locked, taken: Taken, shares: Shares) -> Refusal | None:
    for at, (units, buffer) in need.stock.items():
        row = locked.stock.get(at)
        free = row.free - taken.stock[at] - buffer if row else 0
        if at in shares.quotas and not need.promised:
            free = limit(free, *shares.left(at, need.channel, taken.quotas))
        if units > max(free, 0):
            return Refusal(
                what="stock" if row else "unknown",
                sku=at[0],
                node_id=at[1],
                needed=units,
                available=max(free, 0),
            )
    return None


def _refuse_supply(need: Needs, locked: Locked, taken: Taken) -> Refusal | None:
    for source, (units, node_id, promise_on) in need.supply.items():
        row = locked.supply.get(source)
        known = row is not None and row.node_id == node_id
        free = 0
        # Supply put off beyond the promise, or overdue for longer than its grace, promises nothing.
        if row and known and row.expected_on <= promise_on and row.days_late <= SUPPLY_GRACE_DAYS:
            free = row.free - taken.supply[source]
        if units > free:
            return Refusal(
                what="supply" if known else "unknown",
                sku=source[0],
                node_id=node_id,
                supply_id=source[1],
                needed=units,
                available=max(free, 0),
            )
    return None


def _refuse_capacity(need: Needs, locked: Locked, taken: Taken) -> Refusal | None:
    for slot, work in need.capacity.items():
        row = locked.capacity.get(slot)
        if row is None:
            continue
        free = row.maximum - row.used - taken.capacity[slot]
        needed = _work(slot, work, locked)
        if needed > free:
            return Refusal(
                what="capacity",
                node_id=slot[0],
                work_on=slot[1],
                slot=slot[2],
                needed=needed,
                available=max(free, 0),
            )
    return None


def _work(slot: CapacityKey, work: tuple[int, int], locked: Locked) -> int:
    """Return what of `work` (orders, units) the capacity row counts; nothing where unlimited."""
    row = locked.capacity.get(slot)
    if row is None:
        return 0
    return work[0] if row.unit == "orders" else work[1]


async def _write(
    connection: asyncpg.Connection, demands: Sequence[Demand], shares: Shares, state: str
) -> None:
    """Raise the counters of the locked rows and insert the reservations, in one statement."""
    stock: Counter[StockKey] = Counter()
    supply: Counter[SupplyKey] = Counter()
    quotas: Counter[QuotaKey] = Counter()
    rows = []
    for demand in demands:
        holder = (demand.holder_kind, demand.holder_id, demand.actor, demand.expires_at, state)
        for take in demand.takes:
            used = None
            if take.supply_id is None:
                at = (take.sku, take.node_id)
                stock[at] += take.quantity
                used = _use(at, take.quantity, demand.channel, shares, quotas)
            else:
                supply[take.sku, take.supply_id] += take.quantity
            rows.append(
                (
                    take.sku,
                    take.reservation_id,
                    take.node_id,
                    take.line_id,
                    take.quantity,
                    take.supply_id,
                    take.promise_on,
                    used[0][2] if used else None,
                    used[1] if used else None,
                    *holder,
                )
            )
    await records.take(connection, changes(stock), changes(supply), list(zip(*rows, strict=True)))
    await change_quotas(connection, quotas)


async def _write_capacity(
    connection: asyncpg.Connection, admitted: Sequence[tuple[UUID, Needs]], locked: Locked
) -> None:
    """Raise `used` where capacity is limited and record who holds it."""
    used: Counter[CapacityKey] = Counter()
    holds = []
    for holder, need in admitted:
        for slot, work in need.capacity.items():
            quantity = _work(slot, work, locked)
            if quantity:
                used[slot] += quantity
                holds.append((*slot, holder, quantity))
    if holds:
        await records.take_capacity(
            connection,
            list(zip(*((*slot, units) for slot, units in used.items()), strict=True)),
            list(zip(*holds, strict=True)),
        )


def changes(amounts: Counter[tuple[str, str]]) -> list[list[object]]:
    """Turn amounts by two-part key into three arrays: first parts, second parts, amounts."""
    return [[key[0] for key in amounts], [key[1] for key in amounts], list(amounts.values())]


def _check(demands: Sequence[Demand]) -> None:
    """Raise ValueError for what could never be admitted, with the numbers in the message."""
    named: set[UUID] = set()
    for demand in demands:
        if not demand.takes:
            raise ValueError(f"holder {demand.holder_id} takes nothing; send at least one take")
        for take in demand.takes:
            if take.quantity < 1 or take.buffer < 0:
                raise ValueError(
                    f"line {take.line_id} takes {take.quantity} of {take.sku} with a buffer of "
                    f"{take.buffer}; a quantity is at least 1 and a buffer at least 0"
                )
            if take.reservation_id in named:
                raise ValueError(f"reservation {take.reservation_id} is named twice in one batch")
            named.add(take.reservation_id)
        for work in demand.capacity:
            if work.orders < 0 or work.units < 0:
                raise ValueError(
                    f"work for {work.node_id} on {work.work_on} counts {work.orders} orders and "
                    f"{work.units} units; neither can be negative"
                )
