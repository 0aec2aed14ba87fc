"""Bringing a view up to what the database says: all of it, what has changed, what one order needs.

Whoever keeps a view calls these one at a time, but for `refresh`, which may run beside any of them.
"""

from collections.abc import Callable, Collection, Sequence
from datetime import date, timedelta
from itertools import islice

import asyncpg
import msgspec

from inventory import pool_records, records
from inventory.book import transpose
from inventory.changes import Changes, Cursor, Keys, read_cursor
from inventory.copied import StockParser
from inventory.view import StockView
from inventory.viewed import Loaded

KEYS_MAX = 2_000
"""Rows read by one statement, so that the event loop gets its turn in between."""
PAST_DAYS = 1
"""How far back capacity is read: a node's date may be a day behind."""

Watch = Callable[[int], None]
"""Is told how many stock records have been read so far."""


class Reading(msgspec.Struct):
    """A load that has been read and not been put in place."""

    loaded: Loaded
    cursor: Cursor


async def read_all(
    connection: asyncpg.Connection, view: StockView, today: date, watch: Watch
) -> Reading:
    """Read everything a view holds, in one snapshot; the cursor follows on from it.

    The connection is in a repeatable read transaction, and the view notes what is applied meanwhile
    (`begin_load`).
    """
    await records.forbid_timeout(connection)
    cursor = await read_cursor(connection)
    for row in await records.view_nodes(connection):
        view.number(row[0])
    loaded = Loaded()
    parser = StockParser(loaded, view.slot, view.number)

    async def sink(piece: bytes) -> None:
        await parser.take(piece)
        watch(loaded.records)

    await records.copy_stock(connection, sink)
    parser.parse()
    watch(loaded.records)
    loaded.supply = [tuple(row) for row in await records.view_open_supply(connection)]
    since = today - timedelta(days=PAST_DAYS)
    loaded.capacity = [tuple(row) for row in await records.view_capacity_from(connection, since)]
    loaded.buffers = [tuple(row) for row in await records.view_buffers(connection)]
    loaded.channels = [tuple(row) for row in await pool_records.view_channels(connection)]
    loaded.quotas = [tuple(row) for row in await pool_records.view_quotas(connection)]
    after = ""
    while rows := await records.view_items(connection, after, KEYS_MAX):
        loaded.items += [tuple(row) for row in rows]
        after = rows[-1][0]
    return Reading(loaded, cursor)


async def apply_changes(
    connection: asyncpg.Connection, view: StockView, changes: Changes, today: date
) -> None:
    """Read the rows that have changed and put them into the view."""
    keys = changes.keys
    for part in parts(keys.get("stock", ())):
        view.apply_stock(await records.find_viewed_stock(connection, transpose(part)))
    for part in parts(keys.get("supply", ())):
        view.apply_supply(await records.find_viewed_supply(connection, transpose(part)))
    for part in parts(keys.get("capacity", ())):
        rows = await records.find_viewed_capacity(connection, transpose(part))
        since = today - timedelta(days=PAST_DAYS)
        view.apply_capacity([row for row in rows if row["work_on"] >= since])
    for part in parts(keys.get("item", ())):
        skus = [key[0] for key in part]
        view.apply_items(await records.find_viewed_items(connection, skus), replace=True)
    for part in parts(keys.get("buffer", ())):
        rules = await records.find_viewed_buffers(connection, transpose(part))
        view.apply_buffers([(key[0], key[1], key[2]) for key in part], rules)
    for part in parts(keys.get("pool", ())):
        pool_ids = [key[0] for key in part]
        view.apply_pools(pool_ids, await pool_records.find_viewed_channels(connection, pool_ids))
    for part in parts(keys.get("quota", ())):
        view.apply_quotas(await pool_records.find_viewed_quotas(connection, transpose(part)))


async def refresh(connection: asyncpg.Connection, view: StockView, skus: Collection[str]) -> None:
    """Read stock, rights and supply of these skus fresh, and items that the view does not know."""
    wanted = list(skus)
    stock, has_quotas, has_supply = await records.find_viewed_skus(connection, wanted)
    view.apply_stock(stock)
    if has_quotas:
        view.apply_quotas(await pool_records.find_viewed_rights(connection, wanted))
    if has_supply:
        view.apply_supply(await records.find_viewed_arrivals(connection, wanted))
    unknown = [sku for sku in wanted if view.item(sku) is None]
    if unknown:
        view.apply_items(await records.find_viewed_items(connection, unknown), replace=False)


def parts(keys: Keys | tuple[()]) -> Sequence[list[tuple[str, ...]]]:
    """Return keys in their order, in lists of at most `KEYS_MAX`."""
    ordered = iter(sorted(keys))
    found = []
    while part := list(islice(ordered, KEYS_MAX)):
        found.append(part)
    return found
