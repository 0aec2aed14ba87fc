"""Writing master data: checked against what it refers to, and seen by every process soon after.

Every function is one transaction that counts the network's version up, so that each worker takes
the change over at its next look. Nothing here deletes: a node is switched off, a lane or tariff
replaced.
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence

import asyncpg
import msgspec

from inventory import buffers, items, nodes
from inventory.buffers import Buffer
from inventory.items import Item
from inventory.nodes import Capacity, Node
from inventory.slots import Slot
from inventory.slots import put_slots as write_slots
from inventory.tables import ANY
from routing.problem import Calendar, Tariff
from services.database import Database
from services.planning import records
from services.planning.records import Zone, ZoneLane
from services.problems import Refused

NAMED_MAX = 5
"""Missing references that an error names; the rest is counted."""


class DefaultCapacity(msgspec.Struct, frozen=True, kw_only=True):
    """What a node can do on any day that has no figures of its own; unlimited without unit."""

    unit: str | None = None
    planned: int | None = None
    maximum: int | None = None


def verify_distinct(name: str, keys: Iterable[Hashable]) -> None:
    """Raise `duplicate-entry` when a key stands in one list twice, as which one counts is a guess."""
    for key, times in Counter(keys).items():
        if times > 1:
            raise Refused(
                "duplicate-entry", f"{name} {key} is in the list {times} times; send it once."
            )


def verify_known(kind: str, name: str, missing: Iterable[str]) -> None:
    """Raise the problem `kind` when something is missing, naming the first few."""
    found = sorted(missing)
    if found:
        rest = f" and {len(found) - NAMED_MAX} more" if len(found) > NAMED_MAX else ""
        raise Refused(
            kind, f"There is no {name} {', '.join(found[:NAMED_MAX])}{rest}; send it first."
        )


async def put_node(database: Database, node: Node, *, enabled: bool | None) -> Node:
    """Add or replace a node, and switch it when `enabled` is given; return it as it is now.

    Raises `unknown-reference` when its calendar does not exist.
    """

    async def work(connection: asyncpg.Connection) -> Node:
        await records.bump_version(connection)
        missing = await records.missing_calendars(connection, [node.calendar_id])
        verify_known("unknown-reference", "calendar", missing)
        await nodes.put_nodes(connection, [node])
        if enabled is not None:
            await nodes.set_enabled(connection, node.node_id, enabled=enabled)
        return await get_node(connection, node.node_id)

    return await database.run(work)


async def get_node(connection: asyncpg.Connection, node_id: str) -> Node:
    """Return a node; raises `not-found`."""
    found = await nodes.get_nodes(connection, [node_id])
    if not found:
        raise Refused("not-found", f"There is no node {node_id}.")
    return found[0]


async def get_item(connection: asyncpg.Connection, sku: str) -> Item:
    """Return an item; raises `not-found`."""
    found = await items.get_items(connection, [sku])
    if not found:
        raise Refused("not-found", f"There is no item {sku}.")
    return found[0]


async def switch_node(database: Database, node_id: str, *, enabled: bool) -> None:
    """Open or close a node for new work; raises `not-found`. What it has promised stays."""

    async def work(connection: asyncpg.Connection) -> None:
        await records.bump_version(connection)
        if not await nodes.set_enabled(connection, node_id, enabled=enabled):
            raise Refused("not-found", f"There is no node {node_id}.")

    await database.run(work)


async def put_capacity(
    database: Database,
    node_id: str,
    default: DefaultCapacity | None,
    days: Sequence[Capacity],
) -> None:
    """Set what a node can do in a day: by default, when `default` is given, and on single days.

    Raises `duplicate-entry`, `not-found`, and `illegal-state` when the unit of a day would change
    whose capacity is in use.
    """
    verify_distinct("work_on", ((str(day.work_on), day.slot) for day in days))

    async def work(connection: asyncpg.Connection) -> None:
        await records.bump_version(connection)
        node = await get_node(connection, node_id)
        if default is not None:
            changed = msgspec.structs.replace(
                node,
                capacity_unit=default.unit,
                capacity_planned=default.planned,
                capacity_maximum=default.maximum,
            )
            await nodes.put_nodes(connection, [changed])
        try:
            await nodes.put_capacity(connection, days)
        except ValueError as error:
            raise Refused("illegal-state", f"{error}.") from error

    await database.run(work)


async def put_items(database: Database, given: Sequence[Item]) -> None:
    """Add or replace items.

    Raises `duplicate-entry`; for a kit, `unknown-sku` and, where one would be in another,
    `invalid-field`.
    """
    verify_distinct("sku", (item.sku for item in given))
    for item in given:
        verify_distinct("component", (part.sku for part in item.components))

    async def work(connection: asyncpg.Connection) -> None:
        for item in given:
            if item.components:
                await verify_kit(connection, item)
        await items.put_items(connection, given)

    await database.run(work)


async def verify_kit(connection: asyncpg.Connection, kit: Item) -> None:
    """Raise unless a kit is made up of items that are none, and is in none itself."""
    skus = {part.sku for part in kit.components}
    verify_known("unknown-sku", "item", await items.missing_items(connection, skus))
    nested = sorted(await items.kits_among(connection, skus - {kit.sku}))
    if kit.sku in skus:
        nested = [kit.sku]
    if nested:
        raise Refused("invalid-field", f"{nested[0]} is a kit; give what it is made up of instead.")
    holders = sorted(await items.kits_with(connection, kit.sku))
    if holders:
        raise Refused(
            "invalid-field", f"{kit.sku} is in the kit {holders[0]} and can be none itself."
        )


async def put_buffers(
    database: Database, given: Sequence[Buffer], dropped: Sequence[tuple[str, str, str]]
) -> None:
    """Set buffer rules and take those away whose (sku, node, channel) is in `dropped`.

    Raises `duplicate-entry`, `unknown-sku` and `unknown-node`.
    """
    keys = [(rule.sku, rule.node_id, rule.channel) for rule in given]
    verify_distinct("rule", [*keys, *dropped])

    async def work(connection: asyncpg.Connection) -> None:
        skus, node_ids = ({key[at] for key in keys} - {ANY} for at in (0, 1))
        verify_known("unknown-sku", "item", await items.missing_items(connection, skus))
        verify_known("unknown-node", "node", await nodes.missing_nodes(connection, node_ids))
        await buffers.put_buffers(connection, given)
        await buffers.delete_buffers(connection, dropped)

    await database.run(work)


async def put_zones(database: Database, zones: Sequence[Zone]) -> None:
    """Add or replace zones; raises `duplicate-entry`."""
    verify_distinct("zone_id", (zone.zone_id for zone in zones))
    await database.run(lambda connection: records.put_zones(connection, zones))


async def put_tariffs(database: Database, tariffs: Sequence[Tariff]) -> None:
    """Add or replace tariffs; raises `duplicate-entry`."""
    verify_distinct("tariff_id", (tariff.tariff_id for tariff in tariffs))
    await database.run(lambda connection: records.put_tariffs(connection, tariffs))


async def put_calendars(database: Database, calendars: Sequence[Calendar]) -> None:
    """Add or replace calendars; raises `duplicate-entry`."""
    verify_distinct("calendar_id", (calendar.calendar_id for calendar in calendars))
    await database.run(lambda connection: records.put_calendars(connection, calendars))


async def put_lanes(database: Database, lanes: Sequence[ZoneLane]) -> None:
    """Add or replace lanes.

    Raises `duplicate-entry`, `unknown-node`, and `unknown-reference` for a zone, tariff or calendar
    that does not exist.
    """
    verify_distinct("lane", ((lane.zone_id, lane.node_id, lane.service) for lane in lanes))

    async def work(connection: asyncpg.Connection) -> None:
        node_ids = {lane.node_id for lane in lanes}
        verify_known("unknown-node", "node", await nodes.missing_nodes(connection, node_ids))
        for name, find, ids in (
            ("zone", records.missing_zones, {lane.zone_id for lane in lanes}),
            ("tariff", records.missing_tariffs, {lane.tariff_id for lane in lanes}),
            ("calendar", records.missing_calendars, {lane.calendar_id for lane in lanes}),
        ):
            wanted = sorted(each for each in ids if each is not None)
            verify_known("unknown-reference", name, await find(connection, wanted))
        await records.put_lanes(connection, lanes)

    await database.run(work)


async def put_slots(database: Database, slots: Sequence[Slot]) -> None:
    """Add or replace slots.

    Raises `duplicate-entry`, `unknown-node`, and `unknown-reference` for a zone that does not exist.
    """
    verify_distinct("slot_id", (slot.slot_id for slot in slots))

    async def work(connection: asyncpg.Connection) -> None:
        await records.bump_version(connection)
        node_ids = {slot.node_id for slot in slots if slot.node_id is not None}
        verify_known("unknown-node", "node", await nodes.missing_nodes(connection, node_ids))
        zone_ids = sorted({zone_id for slot in slots for zone_id in slot.zone_ids})
        missing = await records.missing_zones(connection, zone_ids)
        verify_known("unknown-reference", "zone", missing)
        await write_slots(connection, slots)

    await database.run(work)
