"""Items: the records that describe what is stocked."""

from collections.abc import Iterable, Sequence
from datetime import date

import asyncpg
import msgspec

from inventory import records
from inventory.tables import ANY


class Component(msgspec.Struct, frozen=True):
    """What one kit has of one sku."""

    sku: str
    quantity: int


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """What a sku is; sizes and weight are those of one unit."""

    sku: str
    name: str = ""
    category: str = ""
    weight_grams: int
    length_mm: int | None = None
    width_mm: int | None = None
    height_mm: int | None = None
    requires: tuple[str, ...] = ()
    """Capabilities a node must have to handle it."""
    unit_margin_minor: int | None = None
    """What is lost when somebody wants one where there is none; a share of its price without."""
    components: tuple[Component, ...] = ()
    """Of a kit, which is not stocked itself: what each is made up of."""
    unit_price_minor: int | None = None
    """What one is sold for, before any markdown."""
    markdown_on: date | None = None
    """From when it is sold for less, or not at all; only with `markdown_price_minor`."""
    markdown_price_minor: int | None = None
    """What it is sold for then; 0 at the end of its life."""
    style: str | None = None
    """What it is a size of: items of one style are sizes of one thing."""
    size: str | None = None


async def put_items(
    connection: asyncpg.Connection, items: Sequence[Item], *, keep_kits: bool = False
) -> None:
    """Insert or replace items; the last of a repeated sku wins.

    With `keep_kits` items that exist keep what they are made up of, whatever is said here.
    Raises ValueError for a sku that buffer rules use for "every sku", asyncpg.CheckViolationError
    for values outside the table's limits.
    """
    unique = {item.sku: item for item in items}
    if ANY in unique:
        raise ValueError(f"'{ANY}' means every sku in buffer rules; choose another sku")
    given = msgspec.json.encode(list(unique.values())).decode()
    await records.put_items(connection, given, keep_kits=keep_kits)


async def get_items(connection: asyncpg.Connection, skus: Sequence[str]) -> list[Item]:
    """Return those of these items that exist, in order of their sku."""
    return [_item(row) for row in await records.read_items(connection, skus, "", None)]


async def list_items(
    connection: asyncpg.Connection, *, after: str = "", limit: int | None = None
) -> list[Item]:
    """Return items in order of their sku, at most `limit` from the one after `after`."""
    return [_item(row) for row in await records.read_items(connection, None, after, limit)]


async def missing_items(connection: asyncpg.Connection, skus: Iterable[str]) -> set[str]:
    """Return those of these skus for which no item exists."""
    wanted = set(skus)
    return wanted - {row[0] for row in await records.find_items(connection, list(wanted))}


async def kits_among(connection: asyncpg.Connection, skus: Iterable[str]) -> set[str]:
    """Return those of these skus that are kits."""
    return {row[0] for row in await records.find_kits(connection, list(set(skus)))}


async def kits_with(connection: asyncpg.Connection, sku: str) -> set[str]:
    """Return the kits that a sku is in."""
    return {row[0] for row in await records.find_kits_with(connection, sku)}


def _item(row: asyncpg.Record) -> Item:
    components = msgspec.json.decode(row["components"], type=tuple[Component, ...])
    return Item(**{**row, "requires": tuple(row["requires"]), "components": components})
