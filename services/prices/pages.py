"""Prices of many skus packed into one row: what a worker takes over within moments.

As rows of a table, 831,352 prices took a worker seconds to read. A page has what is known of some
skus side by side, in arrays that are put into place as they are.
"""

import zlib
from collections.abc import Sequence
from datetime import date

import msgspec
import numpy as np
from numpy.typing import NDArray

from services.prices.records import Priced

__all__ = ["Item", "Page", "Part", "packed", "priced_in", "read_page"]


class Item(msgspec.Struct, frozen=True, array_like=True):
    """What prices need to know of an item."""

    category: str
    unit_margin_minor: int | None
    unit_price_minor: int | None = None
    markdown_on: date | None = None
    markdown_price_minor: int | None = None
    style: str | None = None


class Page(msgspec.Struct, frozen=True, array_like=True):
    """Some skus in order of name, each with so many records, as it is kept."""

    skus: list[str]
    items: list[Item]
    """Each kind of item once."""
    kinds: bytes
    """`<i4 [S]`: which of `items` each sku is."""
    counts: bytes
    """`<i4 [S]`: records of each sku; R in all."""
    node_ids: list[str]
    nodes: bytes
    """`<i4 [R]`: which of `node_ids` each record is at."""
    per_day: bytes
    """`<f4 [R]`: units that walk-ins want."""
    days: bytes
    """`<f4 [R]`: until the next delivery."""
    orders_minor: bytes
    """`<i4 [R]`: what a unit is worth to orders to come."""


class Part(msgspec.Struct, frozen=True, eq=False):
    """A page with its arrays."""

    skus: list[str]
    items: list[Item]
    """By sku; equal ones are the same."""
    counts: NDArray[np.int32]
    node_ids: list[str]
    nodes: NDArray[np.int32]
    per_day: NDArray[np.float32]
    days: NDArray[np.float32]
    orders_minor: NDArray[np.int32]


def packed(rows: Sequence[tuple[str, Item, Sequence[Priced]]]) -> bytes:
    """Return what a page keeps of some skus and their records."""
    places: dict[str, int] = {}
    kinds: dict[Item, int] = {}
    flat = [record for _, _, records in rows for record in records]
    page = Page(
        skus=[sku for sku, _, _ in rows],
        kinds=_ints([kinds.setdefault(item, len(kinds)) for _, item, _ in rows]),
        items=[*kinds],
        counts=_ints([len(records) for _, _, records in rows]),
        nodes=_ints([places.setdefault(record.node_id, len(places)) for record in flat]),
        node_ids=[*places],
        per_day=np.array([record.per_day for record in flat], "<f4").tobytes(),
        days=np.array([record.days for record in flat], "<f4").tobytes(),
        orders_minor=_ints([record.orders_minor for record in flat]),
    )
    return zlib.compress(msgspec.msgpack.encode(page), 1)


def _ints(values: Sequence[int]) -> bytes:
    return np.array(values, "<i4").tobytes()


def read_page(body: bytes) -> Part:
    """Return what was packed."""
    page = msgspec.msgpack.decode(zlib.decompress(body), type=Page)
    kinds = np.frombuffer(page.kinds, "<i4").tolist()
    return Part(
        page.skus,
        [page.items[kind] for kind in kinds],
        np.frombuffer(page.counts, "<i4"),
        page.node_ids,
        np.frombuffer(page.nodes, "<i4"),
        np.frombuffer(page.per_day, "<f4"),
        np.frombuffer(page.days, "<f4"),
        np.frombuffer(page.orders_minor, "<i4"),
    )


def priced_in(part: Part, skus: Sequence[str]) -> dict[str, tuple[Item, list[Priced]]]:
    """Return what a page says of those of these skus that it has."""
    ends = np.cumsum(part.counts)
    found = {}
    for sku in skus:
        place = int(np.searchsorted(np.array(part.skus), sku)) if part.skus else 0
        if place < len(part.skus) and part.skus[place] == sku:
            own = slice(int(ends[place] - part.counts[place]), int(ends[place]))
            columns = (each[own].tolist() for each in (part.per_day, part.days, part.orders_minor))
            node_ids = [part.node_ids[node] for node in part.nodes[own].tolist()]
            records = [Priced(*row) for row in zip(node_ids, *columns, strict=True)]
            found[sku] = part.items[place], records
    return found
