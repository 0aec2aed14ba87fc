"""Buffers: units kept back from promises, by sku, node and channel; the most specific rule wins."""

from collections.abc import Mapping, Sequence

import asyncpg
import msgspec

from inventory import records
from inventory.tables import ANY

PRECEDENCE = (
    ("sku+node+channel", (True, True, True)),
    ("sku+node", (True, True, False)),
    ("sku+channel", (True, False, True)),
    ("sku", (True, False, False)),
    ("node+channel", (False, True, True)),
    ("node", (False, True, False)),
    ("channel", (False, False, True)),
    ("all", (False, False, False)),
)
"""Names of the rules from the most specific to the least: a sku outweighs a node, a node outweighs
a channel. Each says which of its three keys are given; the others match everything."""

Rules = Mapping[tuple[str, str, str], int]
"""Units kept back, by sku, node and channel, where `*` matches everything."""


class Buffer(msgspec.Struct, frozen=True, kw_only=True):
    """A rule that keeps `quantity` units back; a key that is `*` matches everything."""

    sku: str = ANY
    node_id: str = ANY
    channel: str = ANY
    quantity: int


async def put_buffers(connection: asyncpg.Connection, buffers: Sequence[Buffer]) -> None:
    """Insert or replace buffer rules; the last of a repeated key wins.

    Raises asyncpg.CheckViolationError for a negative quantity.
    """
    rows = {(rule.sku, rule.node_id, rule.channel): rule.quantity for rule in buffers}
    if rows:
        columns = [(*key, quantity) for key, quantity in rows.items()]
        await records.put_buffers(connection, list(zip(*columns, strict=True)))


async def delete_buffers(
    connection: asyncpg.Connection, keys: Sequence[tuple[str, str, str]]
) -> int:
    """Delete rules by sku, node and channel; return how many there were."""
    if not keys:
        return 0
    status = await records.delete_buffers(connection, list(zip(*keys, strict=True)))
    return int(status.removeprefix("DELETE "))


async def read_rules(
    connection: asyncpg.Connection, skus: Sequence[str], channel: str
) -> dict[tuple[str, str, str], int]:
    """Return the rules that could apply to these skus in this channel."""
    rows = await records.read_buffers(connection, skus, channel)
    return {(row[0], row[1], row[2]): row[3] for row in rows}


def buffer_at(rules: Rules, sku: str, node_id: str, channel: str) -> tuple[int, str | None]:
    """Return the units kept back at a record and the name of the rule that says so.

    No rule keeps nothing back and has no name.
    """
    if rules:
        for name, (by_sku, by_node, by_channel) in PRECEDENCE:
            key = (sku if by_sku else ANY, node_id if by_node else ANY)
            quantity = rules.get((*key, channel if by_channel else ANY))
            if quantity is not None:
                return quantity, name
    return 0, None
