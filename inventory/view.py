"""What this process knows of stock: values in memory, each as new as the last change heard of.

A view is never the authority. It says what is worth trying; `reserve` decides by the locked rows,
so a stale view costs a retry and never an oversell.

Values come from four sides: the load at the start, the changes that a follower hears of, rows read
again for a certain order, and the values that this process's own commits returned. They may arrive
in any order, because each row carries the version that its last write gave it, and an older one is
ignored. Plans that are not committed yet are pending: what they take counts as gone until they are
settled or given up.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from types import MappingProxyType
from typing import Any

import numpy as np

from inventory.availability import SupplyCell, promisable
from inventory.buffers import RuleBook
from inventory.capacities import Capacities
from inventory.reserve import SUPPLY_GRACE_DAYS
from inventory.slices import NODE, PENDING, Arrays, Ints, Numbers, Slices
from inventory.tables import ANY
from inventory.viewed import (
    DailyDefault,
    ItemFacts,
    Loaded,
    Taking,
    ViewedSupply,
    facts_of,
)
from inventory.viewed_quotas import ViewedQuotas

__all__ = ["DailyDefault", "ItemFacts", "StockView", "Taking"]

KEPT_MAX = 100_000
"""Resolved buffers remembered; beyond it all are forgotten and resolved again as needed."""
NO_RECORD = -1
NOTHING_KEPT: Ints = np.zeros(1, np.int64)
NO_NODES: Numbers = np.zeros(0, np.int32)
NO_UNITS: Ints = np.zeros(0, np.int64)
NO_SUPPLY: Mapping[str, tuple[SupplyCell, ...]] = MappingProxyType({})


class StockView:
    """Stock, supply, capacity, items and buffers as this process knows them; no SQL, no clock."""

    def __init__(self) -> None:
        """Start without a single record."""
        self.numbers: dict[str, int] = {}
        """A number for each node ever seen, from 0 on; none is ever taken back."""
        self.node_ids: list[str] = []
        """Nodes by number."""
        self.seen_at: float | None = None
        """Monotonic seconds at which the last look at the database began; none before the first."""
        self.slots: dict[str, int] = {}
        self.slices = Slices()
        self.facts: list[ItemFacts | None] = []
        self._shared_facts: dict[ItemFacts, ItemFacts] = {}
        self.supplies: dict[str, dict[str, ViewedSupply]] = {}
        self.capacities = Capacities()
        self.rules = RuleBook()
        self.quotas = ViewedQuotas()
        self._kept: dict[tuple[str, str], tuple[int, Ints]] = {}
        """By sku and channel; with the number of records they are of, none where for all alike."""
        self._pending_supply: Counter[tuple[str, str]] = Counter()
        self._replaying: list[tuple[str, list[Any]]] | None = None

    # Reading: each a few microseconds

    def held(self, sku: str, channel: str) -> tuple[Numbers, Ints]:
        """Return the nodes with units of `sku` for `channel`: numbers, rising, and units above 0.

        Buffers, what other channels have a right to and what is pending are taken off. Nodes that
        are switched off are among them.
        """
        slot = self.slots.get(sku)
        if slot is None:
            return NO_NODES, NO_UNITS
        withheld = self.rules.by_sku or sku in self.quotas.by_sku
        return self.slices.free(slot, self.withheld(sku, channel) if withheld else NOTHING_KEPT)

    def held_of(self, skus: Sequence[str], channel: str) -> tuple[Ints, Ints, Ints]:
        """Return by sku how many nodes have units for `channel`; then their numbers, and the units.

        The same as `held` says of each, one after another, for the price of one.
        """
        slots = [self.slots.get(sku, -1) for sku in skus]
        kept = ends = NO_UNITS
        if self.rules.by_sku or not self.quotas.by_sku.keys().isdisjoint(skus):
            own = [
                NO_UNITS if slot < 0 else self.withheld(sku, channel)
                for sku, slot in zip(skus, slots, strict=True)
            ]
            kept, ends = np.concatenate(own), np.cumsum([each.size for each in own])
        return self.slices.free_of(np.array(slots, np.int64), kept, ends)

    def item(self, sku: str) -> ItemFacts | None:
        """Return what is known of an item; none when there is no such item."""
        slot = self.slots.get(sku)
        return None if slot is None else self.facts[slot]

    def has_items(self, skus: Iterable[str]) -> bool:
        """Return whether every one of these items is known."""
        slots, facts = self.slots, self.facts
        for sku in skus:
            slot = slots.get(sku)
            if slot is None or facts[slot] is None:
                return False
        return True

    def supply(self, sku: str, today: date) -> Mapping[str, tuple[SupplyCell, ...]]:
        """Return what may be promised of expected goods, by node and date; pending taken off.

        What is late is expected today, and nothing more than `SUPPLY_GRACE_DAYS` late is offered.
        """
        rows = self.supplies.get(sku)
        if not rows:
            return NO_SUPPLY
        arrivals: dict[str, list[tuple[date, str, date, int]]] = {}
        for supply_id, row in rows.items():
            late = (today - row.expected_on).days
            if row.quantity > row.received and late <= SUPPLY_GRACE_DAYS:
                free = row.free - self._pending_supply[sku, supply_id]
                there_on = max(row.expected_on, today)
                own = arrivals.setdefault(row.node_id, [])
                own.append((row.expected_on, supply_id, there_on, free))
        free_now = self._free_by_node(sku) if arrivals else {}
        found = {
            node_id: promisable(free_now[node_id], [arrival[1:] for arrival in sorted(own)])
            for node_id, own in arrivals.items()
            # Supply is promised from where its sku has a stock record, which the guard locks.
            if node_id in free_now
        }
        return {node_id: cells for node_id, cells in found.items() if cells}

    def buffer(self, sku: str, node_id: str, channel: str) -> tuple[int, str | None]:
        """Return the units kept back at a record from a channel, and the rule that says so."""
        return self.rules.at(sku, node_id, channel)

    def cells(self, sku: str) -> Numbers:
        """Return a sku's records: rows of node number, on hand, reserved, unavailable, pending."""
        slot = self.slots.get(sku)
        return self.slices.cells(slot) if slot is not None else np.zeros((0, 5), np.int32)

    def kept(self, sku: str, channel: str) -> Ints:
        """Return the buffers of a sku in a channel: one for all nodes, or one for each record."""
        slot = self.slots[sku]
        known = self._kept.get((sku, channel))
        if known is None or (known[0] and known[0] != self.slices.length(slot)):
            if len(self._kept) >= KEPT_MAX:
                self._kept.clear()
            known = self._kept[sku, channel] = self._resolve(sku, slot, channel)
        return known[1]

    def withheld(self, sku: str, channel: str) -> Ints:
        """Return the same with what other channels have a right to, as far as it is there."""
        kept = self.kept(sku, channel)
        if sku not in self.quotas.by_sku:
            return kept
        cells = self.slices.cells(self.slots[sku]).tolist()
        return self.quotas.withhold(sku, channel, kept, self.node_ids, cells)

    def is_pending(self, sku: str) -> bool:
        """Return whether a plan under way takes some of a sku."""
        slot = self.slots.get(sku)
        return slot is not None and bool(self.slices.cells(slot)[:, PENDING].any())

    def seen_age_s(self, now: float) -> float:
        """Return how old this view may be at the monotonic instant `now`; endless before a load."""
        return float("inf") if self.seen_at is None else now - self.seen_at

    # Plans under way

    def take(
        self,
        stock: Sequence[tuple[str, str, int]],
        supply: Sequence[tuple[str, str, int]] = (),
        capacity: Sequence[tuple[str, date, str, int, int]] = (),
    ) -> Taking:
        """Count what a plan takes as gone until `give_back` or `settle`.

        Stock is (sku, node_id, units), supply (sku, supply_id, units), capacity (node_id, work_on,
        slot, orders, units).
        """
        slots, numbers = self.slots, self.numbers
        rows = [
            (slots[sku], numbers[node_id], units)
            for sku, node_id, units in stock
            if sku in slots and node_id in numbers
        ]
        taking = Taking(np.array(rows, np.int64).reshape(-1, 3), tuple(supply), tuple(capacity))
        self._add(taking, 1)
        return taking

    def give_back(self, taking: Taking) -> None:
        """End what `take` began, once: the plan was given up or has lost its race."""
        self._add(taking, -1)

    def settle(self, takings: Iterable[Taking]) -> None:
        """End what `take` began for plans that are committed, after the rows they left are applied.

        What they took of supply and capacity the next poll shows; until then a plan may count on it
        in vain.
        """
        ended = list(takings)
        rows = [taking.stock for taking in ended if len(taking.stock)]
        if rows:
            self.slices.add_pending(np.concatenate(rows), -1)
        for taking in ended:
            self._add_awaited(taking, -1)

    # Applying what was read or written

    def apply_stock(self, rows: Sequence[Any]) -> None:
        """Put rows (sku, node_id, on_hand, reserved, unavailable, version) in, unless older."""
        if not rows:
            return
        self._remember("apply_stock", rows)
        skus, node_ids, *counters = zip(*rows, strict=True)
        slots = np.array([self.slot(sku) for sku in skus], np.int64)
        numbers = [self.number(node_id) for node_id in node_ids]
        self.slices.put(slots, np.array([numbers, *counters], np.int64).T.copy())

    def apply_supply(self, rows: Sequence[Any]) -> None:
        """Put rows (sku, supply_id, then the fields of `ViewedSupply`) in, unless older."""
        if not rows:
            return
        self._remember("apply_supply", rows)
        for sku, supply_id, *values in rows:
            row = ViewedSupply(*values)
            known = self.supplies.get(sku, {}).get(supply_id)
            if known is None or row.version >= known.version:
                self.supplies.setdefault(sku, {})[supply_id] = row
                self._touch(sku)

    def apply_capacity(self, rows: Sequence[Any]) -> None:
        """Put rows (node_id, work_on, slot, then the fields of `ViewedCapacity`) in, unless older."""
        if not rows:
            return
        self._remember("apply_capacity", rows)
        self.capacities.apply(rows)

    def apply_items(self, rows: Sequence[Any], *, replace: bool) -> None:
        """Put items in; those known stay without `replace`.

        Rows are sku, weight_grams, requires, and where known the volume and a kit's components.

        Items carry no version: only the follower, whose reads come in order, may replace them.
        """
        if not rows:
            return
        if replace:
            self._remember("apply_items", rows)
        for sku, weight_grams, requires, *more in rows:
            slot = self.slot(sku)
            if replace or self.facts[slot] is None:
                facts = facts_of(weight_grams, tuple(requires), *more)
                self.facts[slot] = self._shared_facts.setdefault(facts, facts)
                self.slices.touch(slot)

    def apply_buffers(self, keys: Iterable[tuple[str, str, str]], rows: Sequence[Any]) -> None:
        """Have of the rules with these keys (sku, node_id, channel) exactly `rows`, with units.

        Buffers carry no version: only the follower, whose reads come in order, may apply them.
        """
        changed = list(keys)
        for key in changed:
            self.rules.drop(key)
        for sku, node_id, channel, units in rows:
            self.rules.put((sku, node_id, channel), units)
            changed.append((sku, node_id, channel))
        for sku in {key[0] for key in changed}:
            self._touch(sku)
        self._kept.clear()

    def apply_pools(self, pool_ids: Sequence[str], rows: Sequence[Any]) -> None:
        """Have of these pools exactly the channels in `rows` (channel, pool_id).

        They carry no version: only the follower, whose reads come in order, may apply them.
        """
        self.quotas.put_channels(pool_ids, rows)
        self.slices.touch_all()

    def apply_quotas(self, rows: Sequence[Any]) -> None:
        """Put rows (sku, node_id, pool_id, then the fields of `ViewedQuota`) in, unless older."""
        if not rows:
            return
        self._remember("apply_quotas", rows)
        for sku in self.quotas.put(rows):
            self._touch(sku)

    # Loading

    def begin_load(self) -> None:
        """Note from here on what is applied, so that a load does not set it back."""
        self._replaying = []

    def abandon_load(self) -> None:
        """Note nothing any more: the load failed, and what the view held before stays."""
        self._replaying = None

    def finish_load(self, loaded: Loaded, arrays: Arrays) -> None:
        """Hold exactly what was loaded, and what has been applied meanwhile; pending stays.

        `arrays` are what `Loaded.build` has made of the stock records.
        """
        self.facts = [None] * len(self.slots)
        self.supplies, self.rules, self.quotas = {}, RuleBook(), ViewedQuotas()
        self.capacities.forget(self.numbers)
        self._kept.clear()
        self.slices.replace(arrays, loaded.records)
        self.slices.make_room(len(self.slots))
        noted, self._replaying = self._replaying or [], None
        self.apply_items(loaded.items, replace=True)
        self.apply_supply(loaded.supply)
        self.apply_capacity(loaded.capacity)
        self.apply_buffers((), loaded.buffers)
        self.apply_pools((), loaded.channels)
        self.apply_quotas(loaded.quotas)
        for name, applied in noted:
            if name == "apply_items":
                self.apply_items(applied, replace=True)
            else:
                getattr(self, name)(applied)

    def forget_before(self, day: date) -> None:
        """Forget capacity of dates before `day` and supply that has all come in."""
        self.capacities.forget_before(day)
        for rows in self.supplies.values():
            for name in [name for name, row in rows.items() if row.quantity <= row.received]:
                del rows[name]

    def number(self, node_id: str) -> int:
        """Return the node's number, the next one when it is new."""
        number = self.numbers.get(node_id)
        if number is None:
            number = len(self.node_ids)
            self.node_ids.append(node_id)
            self.numbers[node_id] = number
        return number

    def slot(self, sku: str) -> int:
        """Return the sku's slot, the next one when it is new."""
        slot = self.slots.get(sku)
        if slot is None:
            slot = len(self.slots)
            self.slices.make_room(slot + 1)
            self.facts.append(None)
            self.slots[sku] = slot
        return slot

    def _touch(self, sku: str) -> None:
        """Give a sku a new stamp, or every sku where a rule is for all."""
        if sku == ANY:
            self.slices.touch_all()
        elif sku in self.slots:
            self.slices.touch(self.slots[sku])

    def _remember(self, name: str, rows: Sequence[Any]) -> None:
        if self._replaying is not None:
            self._replaying.append((name, list(rows)))

    def _add(self, taking: Taking, sign: int) -> None:
        if len(taking.stock):
            self.slices.add_pending(taking.stock, sign)
        self._add_awaited(taking, sign)

    def _add_awaited(self, taking: Taking, sign: int) -> None:
        """Add `sign` times what a plan takes of supply and capacity."""
        for sku, supply_id, units in taking.supply:
            self._pending_supply[sku, supply_id] += sign * units
            if not self._pending_supply[sku, supply_id]:
                del self._pending_supply[sku, supply_id]
        self.capacities.add_pending(taking.capacity, sign)

    def _free_by_node(self, sku: str) -> dict[str, int]:
        """Return on hand less reserved and unavailable of each record, below zero when short."""
        return {
            self.node_ids[number]: on_hand - reserved - unavailable - pending
            for number, on_hand, reserved, unavailable, pending in self.cells(sku).tolist()
        }

    def _resolve(self, sku: str, slot: int, channel: str) -> tuple[int, Ints]:
        """Return the buffers of a sku's records and how many records that are.

        One figure, of 0 records, where no rule names a node; of `NO_RECORD` where there is none yet.
        """
        if not self.rules.names_nodes(sku):
            return 0, np.array([self.buffer(sku, ANY, channel)[0]], np.int64)
        numbers = self.slices.cells(slot)[:, NODE].tolist()
        units = [self.buffer(sku, self.node_ids[number], channel)[0] for number in numbers]
        return len(units) or NO_RECORD, np.array(units or [0], np.int64)
