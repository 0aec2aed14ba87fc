"""Nodes: the places that can supply or hand over goods, their switch and their capacity."""

from collections.abc import Iterable, Sequence
from datetime import date, time
from typing import Literal

import asyncpg
import msgspec

from inventory import records


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """One place that can supply or hand over goods."""

    node_id: str
    kind: Literal["warehouse", "store", "supplier", "partner"]
    name: str = ""
    country: str
    latitude: float
    longitude: float
    time_zone: str
    """IANA name; `cut_off` and work dates are local to it."""
    calendar_id: str
    cut_off: time
    handling_days: int = 0
    capabilities: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    """Names by which strategies take nodes together, such as `outlet`."""
    handling_order_minor: int = 0
    handling_unit_minor: int = 0
    enabled: bool = True
    """Only for a node that does not exist yet; afterwards `set_enabled` alone changes it."""
    capacity_unit: Literal["orders", "units"] | None = None
    capacity_planned: int | None = None
    capacity_maximum: int | None = None
    """Default for a day whose capacity nobody has set; unlimited when absent."""
    partner_id: str | None = None
    """The company that works there, which is told of its work; our own people when absent."""
    overload_minor: int | None = None
    """Price of a fulfillment beyond what is planned for its date; the strategy's when absent."""


class Capacity(msgspec.Struct, frozen=True, kw_only=True):
    """What a node can do on one local date: beyond `planned` costs, beyond `maximum` is refused."""

    node_id: str
    work_on: date
    slot: str = "day"
    unit: Literal["orders", "units"]
    planned: int | None = None
    maximum: int


class CapacityLeft(msgspec.Struct, frozen=True, kw_only=True):
    """What a node has left on one local date; below zero where the limit was lowered later."""

    node_id: str
    work_on: date
    slot: str
    unit: Literal["orders", "units"]
    remaining: int
    planned_remaining: int | None


async def put_nodes(connection: asyncpg.Connection, nodes: Sequence[Node]) -> None:
    """Insert or replace nodes; the last of a repeated id wins.

    A node that exists keeps its switch, so that loading master data again does not turn on a node
    that someone has turned off. Days whose capacity row exists keep their figures. Raises
    asyncpg.CheckViolationError for values outside the table's limits.
    """
    unique = {node.node_id: node for node in nodes}
    await records.put_nodes(connection, msgspec.json.encode(list(unique.values())).decode())


async def get_nodes(connection: asyncpg.Connection, node_ids: Sequence[str]) -> list[Node]:
    """Return those of these nodes that exist, in order of their id."""
    return [_node(row) for row in await records.read_nodes(connection, node_ids, "", None)]


async def list_nodes(
    connection: asyncpg.Connection, *, after: str = "", limit: int | None = None
) -> list[Node]:
    """Return nodes in order of their id, at most `limit` from the one after `after`."""
    return [_node(row) for row in await records.read_nodes(connection, None, after, limit)]


async def set_enabled(connection: asyncpg.Connection, node_id: str, *, enabled: bool) -> bool:
    """Switch a node on or off for new work; false when there is no such node."""
    return await records.set_enabled(connection, node_id, enabled=enabled) == "UPDATE 1"


async def missing_nodes(connection: asyncpg.Connection, node_ids: Iterable[str]) -> set[str]:
    """Return those of these nodes that do not exist."""
    wanted = set(node_ids)
    return wanted - {row[0] for row in await records.find_nodes(connection, list(wanted))}


async def put_capacity(connection: asyncpg.Connection, rows: Sequence[Capacity]) -> None:
    """Insert or replace capacity; the last of a repeated key wins.

    A maximum below what is used is lawful: nothing more is taken until it fits. Raises ValueError
    when the unit of a row in use would change, since its holds were counted in the other.
    """
    unique = {(row.node_id, row.work_on, row.slot): row for row in rows}
    if not unique:
        return
    columns = [(*key, row.unit, row.planned, row.maximum) for key, row in unique.items()]
    put = await records.put_capacity(connection, list(zip(*columns, strict=True)))
    for kept in unique.keys() - {tuple(row) for row in put}:
        raise ValueError(
            f"capacity of {kept[0]} on {kept[1]} ({kept[2]}) is in use and cannot change its unit "
            f"to {unique[kept].unit}; release the work first or keep the unit"
        )


async def read_capacity(
    connection: asyncpg.Connection, node_ids: Sequence[str], from_on: date, days: int
) -> list[CapacityLeft]:
    """Return what these nodes have left on each of `days` dates, by node, date and slot.

    A date without an entry is unlimited. Dates nobody has used yet show the node's default.
    """
    rows = await records.read_capacity(connection, node_ids, from_on, days)
    return [CapacityLeft(**row) for row in rows]


async def read_set_capacity(
    connection: asyncpg.Connection, node_ids: Sequence[str], from_on: date, days: int
) -> list[CapacityLeft]:
    """Return the same for those dates alone that somebody has set or used."""
    rows = await records.read_set_capacity(connection, node_ids, from_on, days)
    return [CapacityLeft(**row) for row in rows]


def _node(row: asyncpg.Record) -> Node:
    lists = {name: tuple(row[name]) for name in ("capabilities", "groups")}
    return Node(**{**row, **lists})
