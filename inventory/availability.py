"""What can be promised: available now, and available to promise (ATP) by date."""

from collections.abc import Iterator, Sequence
from datetime import date
from itertools import groupby

import asyncpg
import msgspec

from inventory import pool_records, records
from inventory.buffers import Rules, buffer_at, read_rules
from inventory.pools import find_quotas
from inventory.quotas import Quota, protected
from inventory.reserve import SUPPLY_GRACE_DAYS


class SupplyCell(msgspec.Struct, frozen=True):
    """Units expected at a record that may be promised from their date on."""

    supply_id: str
    expected_on: date
    """Today for what is late and within its grace."""
    quantity_promisable: int


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """One stock record as a channel may see it."""

    sku: str
    node_id: str
    on_hand: int
    reserved: int
    unavailable: int
    shortage: int
    buffer: int
    buffer_rule: str | None
    """Which rule set the buffer, as named in `buffers.PRECEDENCE`; none when no rule applies."""
    available: int
    """`on_hand - reserved - unavailable - buffer - protected`, never below zero."""
    supply: tuple[SupplyCell, ...] = ()
    protected: int = 0
    """Units kept for pools of other channels."""


class AtpStep(msgspec.Struct, frozen=True, kw_only=True):
    """From `available_on` on, `quantity` units in all can be promised from one record."""

    sku: str
    node_id: str
    available_on: date | None
    """None for what is available now."""
    quantity: int


async def read_cells(
    connection: asyncpg.Connection,
    skus: Sequence[str],
    *,
    channel: str,
    node_ids: Sequence[str] | None = None,
    today: date | None = None,
) -> list[Cell]:
    """Return the stock records of these skus at enabled nodes, by sku and node.

    The values are committed ones and may be stale a moment later; `reserve` alone decides. Supply
    more than `SUPPLY_GRACE_DAYS` past its date is left out; what day it is says `today`, else the
    database's clock in UTC.
    """
    stock = await records.read_stock(connection, skus, node_ids)
    arrivals = await records.read_supply(
        connection, skus, node_ids, today=today, grace_days=SUPPLY_GRACE_DAYS
    )
    rules = await read_rules(connection, skus, channel)
    supply = {key: list(rows) for key, rows in groupby(arrivals, key=lambda row: (row[0], row[1]))}
    pooled = [(row["sku"], row["node_id"]) for row in stock if row["pooled"]]
    quotas = await find_quotas(connection, pooled)
    pools = await pool_records.find_pools(connection, [channel]) if pooled else {}
    own = pools.get(channel)
    return [
        shared(
            _cell(row, supply.get((row[0], row[1]), []), rules, channel),
            quotas.get((row[0], row[1]), ()),
            own,
        )
        for row in stock
    ]


async def atp_by_date(
    connection: asyncpg.Connection,
    skus: Sequence[str],
    *,
    channel: str,
    node_ids: Sequence[str] | None = None,
    today: date | None = None,
) -> list[AtpStep]:
    """Return what each record can promise by date, rising with every arrival.

    On hand plus supply, less the promises already made in order of their dates: what an earlier
    backorder waits for is not offered to a later order.
    """
    cells = await read_cells(connection, skus, channel=channel, node_ids=node_ids, today=today)
    return [step for cell in cells for step in _steps(cell)]


def _cell(
    row: asyncpg.Record, arrivals: Sequence[asyncpg.Record], rules: Rules, channel: str
) -> Cell:
    sku, node_id, on_hand, reserved, unavailable, shortage, _ = row
    buffer, rule = buffer_at(rules, sku, node_id, channel)
    free = on_hand - reserved - unavailable
    return Cell(
        sku=sku,
        node_id=node_id,
        on_hand=on_hand,
        reserved=reserved,
        unavailable=unavailable,
        shortage=shortage,
        buffer=buffer,
        buffer_rule=rule,
        available=max(free - buffer, 0),
        supply=promisable(free, [(row[2], row[3], row[4]) for row in arrivals]) if arrivals else (),
    )


def shared(cell: Cell, quotas: Sequence[Quota], pool_id: str | None) -> Cell:
    """Return a record without what its quotas keep from a channel, which takes from `pool_id`."""
    if not quotas:
        return cell
    free = cell.on_hand - cell.reserved - cell.unavailable - cell.buffer
    kept = protected(free, quotas, pool_id)
    return msgspec.structs.replace(cell, protected=kept, available=max(free - kept, 0))


def promisable(free: int, arrivals: Sequence[tuple[str, date, int]]) -> tuple[SupplyCell, ...]:
    """Return what each arrival adds to the units that can be promised, in order of their dates.

    `free` is what the record has now; arrivals are (supply_id, expected_on, units free). A record
    that is short, or an arrival promised beyond what it will bring, takes from the other arrivals:
    those units belong to promises already made. So what can be promised by a date is the smallest
    balance from that date on.
    """
    balance = min(free, 0)
    balances = [balance := balance + arrival[2] for arrival in arrivals]
    by_date = [max(min(balances[i:]), 0) for i in range(len(balances))]
    gains = [after - before for before, after in zip([0, *by_date], by_date, strict=False)]
    return tuple(
        SupplyCell(supply_id, expected_on, gain)
        for (supply_id, expected_on, _), gain in zip(arrivals, gains, strict=True)
        if gain
    )


def _steps(cell: Cell) -> Iterator[AtpStep]:
    """Add a cell's arrivals up, one step for each date."""
    quantity = cell.available
    yield AtpStep(sku=cell.sku, node_id=cell.node_id, available_on=None, quantity=quantity)
    for expected_on, arrivals in groupby(cell.supply, key=lambda arrival: arrival.expected_on):
        quantity += sum(arrival.quantity_promisable for arrival in arrivals)
        yield AtpStep(
            sku=cell.sku, node_id=cell.node_id, available_on=expected_on, quantity=quantity
        )
