"""Buffers: units kept back from promises, by sku, node and channel; the most specific rule wins.

An exclusion is a rule above them all: for some time nothing is promised from a record, or from a
node. Being a rule it is honored wherever buffers are, at once and by every process.
"""

from collections.abc import Mapping, Sequence

import asyncpg
import msgspec

from inventory import records
from inventory.tables import ANY

EXCLUDED = "\x01"
"""Stands in a rule's channel for every one of them; no channel can have this name."""
EXCLUDED_UNITS = 1_000_000_000
"""What an exclusion keeps back: more than any record has."""
PRECEDENCE: tuple[tuple[str, tuple[bool, bool, bool | str]], ...] = (
    ("excluded", (True, True, EXCLUDED)),
    ("node excluded", (False, True, EXCLUDED)),
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
a channel. Each says which of its three keys are given; the others match everything. Exclusions
outweigh everything, and stand in the same place for every channel."""

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


async def exclude(connection: asyncpg.Connection, places: Sequence[tuple[str, str]]) -> None:
    """Promise nothing from these (sku, node) for now; `*` as a sku is the whole node.

    A store's own counter, which no buffer binds, may still sell what it finds.
    """
    rules = [
        Buffer(sku=sku, node_id=node_id, channel=EXCLUDED, quantity=EXCLUDED_UNITS)
        for sku, node_id in places
    ]
    await put_buffers(connection, rules)


async def readmit(connection: asyncpg.Connection, places: Sequence[tuple[str, str]]) -> None:
    """End exclusions; what other rules keep back counts again."""
    await delete_buffers(connection, [(sku, node_id, EXCLUDED) for sku, node_id in places])


async def read_rules(
    connection: asyncpg.Connection, skus: Sequence[str], channel: str
) -> dict[tuple[str, str, str], int]:
    """Return the rules that could apply to these skus in this channel."""
    rows = await records.read_buffers(connection, skus, [channel, ANY, EXCLUDED])
    return {(row[0], row[1], row[2]): row[3] for row in rows}


def buffer_at(rules: Rules, sku: str, node_id: str, channel: str) -> tuple[int, str | None]:
    """Return the units kept back at a record and the name of the rule that says so.

    No rule keeps nothing back and has no name.
    """
    if rules:
        for name, (by_sku, by_node, which) in PRECEDENCE:
            key = (sku if by_sku else ANY, node_id if by_node else ANY)
            named = which if isinstance(which, str) else channel if which else ANY
            quantity = rules.get((*key, named))
            if quantity is not None:
                return quantity, name
    return 0, None


class RuleBook:
    """All rules at hand, found by their sku."""

    def __init__(self) -> None:
        """Start without a rule."""
        self.by_sku: dict[str, dict[tuple[str, str, str], int]] = {}

    def put(self, key: tuple[str, str, str], quantity: int) -> None:
        """Add the rule of a key (sku, node, channel), or replace it."""
        self.by_sku.setdefault(key[0], {})[key] = quantity

    def drop(self, key: tuple[str, str, str]) -> None:
        """Take away the rule of a key, if there is one."""
        own = self.by_sku.get(key[0], {})
        own.pop(key, None)
        if not own:
            self.by_sku.pop(key[0], None)

    def at(self, sku: str, node_id: str, channel: str) -> tuple[int, str | None]:
        """Return the units kept back at a record and the name of the rule, as `buffer_at` does."""
        if not self.by_sku:
            return 0, None
        for_all = self.by_sku.get(ANY, {})
        own = self.by_sku.get(sku, {})
        if (sku, node_id, EXCLUDED) in own or (ANY, node_id, EXCLUDED) not in for_all:
            quantity, rule = buffer_at(own, sku, node_id, channel)
            if rule is not None:
                return quantity, rule
        return buffer_at(for_all, sku, node_id, channel)

    def names_nodes(self, sku: str) -> bool:
        """Tell whether any rule that could apply to a sku is about a certain node."""
        return any(key[1] != ANY for name in (sku, ANY) for key in self.by_sku.get(name, ()))
