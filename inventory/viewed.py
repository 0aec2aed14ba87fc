"""The values that a stock view holds and takes."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import msgspec
import numpy as np

from inventory.nodes import CapacityLeft
from inventory.slices import UNITS_MAX, Arrays, Ints, Numbers, build


class ItemFacts(msgspec.Struct, frozen=True):
    """What a plan needs to know of an item."""

    weight_grams: int
    requires: tuple[str, ...]
    """Capabilities a node must have to handle it."""
    volume_mm3: int = 0
    """Of one unit; 0 where its size is not known."""
    components: tuple[tuple[str, int], ...] = ()
    """Of a kit: what one is made up of, skus and units."""


def facts_of(
    weight_grams: int, requires: tuple[str, ...], volume_mm3: int = 0, kit: str = "[]"
) -> ItemFacts:
    """The facts of an item; the components of a kit are JSON objects of sku and quantity."""
    parts = () if kit == "[]" else msgspec.json.decode(kit)
    components = tuple((part["sku"], part["quantity"]) for part in parts)
    return ItemFacts(weight_grams, requires, volume_mm3, components)


class ViewedSupply(msgspec.Struct, frozen=True):
    """A supply as it was last seen."""

    node_id: str
    expected_on: date
    quantity: int
    trust_percent: int
    received: int
    promised: int
    version: int

    @property
    def free(self) -> int:
        """Units of what is still to come that may still be promised."""
        return max(self.quantity - self.received, 0) * self.trust_percent // 100 - self.promised


class ViewedCapacity(msgspec.Struct, frozen=True):
    """A node's capacity on one date as it was last seen."""

    unit: str
    planned: int | None
    maximum: int
    used: int
    version: int

    def left(self, node_id: str, work_on: date, slot: str, pending: int) -> CapacityLeft:
        """Return what is left of it when `pending` more is taken."""
        used = self.used + pending
        return CapacityLeft(
            node_id=node_id,
            work_on=work_on,
            slot=slot,
            unit=self.unit,  # type: ignore[arg-type]
            remaining=self.maximum - used,
            planned_remaining=None if self.planned is None else self.planned - used,
        )


class DailyDefault(msgspec.Struct, frozen=True):
    """What a node can do on a date that has no row of its own."""

    unit: str
    planned: int | None
    maximum: int


def daily_rows(
    daily: DailyDefault | None, from_on: date, days: int
) -> dict[tuple[date, str], ViewedCapacity]:
    """Return the rows that stand for a node's default on each of `days` dates."""
    if daily is None:
        return {}
    row = ViewedCapacity(daily.unit, daily.planned, daily.maximum, 0, 0)
    return {(from_on + timedelta(days=day), "day"): row for day in range(days)}


class Taking(msgspec.Struct, frozen=True):
    """What one plan takes while it is under way."""

    stock: Ints
    """Rows of slot, node number, units."""
    supply: tuple[tuple[str, str, int], ...] = ()
    """sku, supply_id, units"""
    capacity: tuple[tuple[str, date, str, int, int], ...] = ()
    """node_id, work_on, slot, orders, units"""


class Loaded(msgspec.Struct):
    """What a load has read, still in parts."""

    slots: list[Numbers] = []
    cells: list[Numbers] = []
    """Node number, on hand, reserved and unavailable of each stock record."""
    versions: list[Ints] = []
    records: int = 0
    items: list[Sequence[Any]] = []
    supply: list[Sequence[Any]] = []
    capacity: list[Sequence[Any]] = []
    buffers: list[Sequence[Any]] = []
    channels: list[Sequence[Any]] = []
    """Which channel takes from which pool."""
    quotas: list[Sequence[Any]] = []

    def add(self, slots: Numbers, nodes: Ints, counters: Ints) -> None:
        """Add stock records; counters are on hand, reserved, unavailable and version."""
        cells = np.column_stack((nodes, np.clip(counters[:, :3], -UNITS_MAX - 1, UNITS_MAX)))
        self.slots.append(slots)
        self.cells.append(cells.astype(np.int32))
        self.versions.append(counters[:, 3].copy())
        self.records += len(slots)

    def build(self) -> Arrays:
        """Return the stock records in their places, and let go of the parts."""
        slots = np.concatenate([*self.slots, np.zeros(0, np.int32)])
        cells = np.concatenate([*self.cells, np.zeros((0, 4), np.int32)])
        versions = np.concatenate([*self.versions, np.zeros(0, np.int64)])
        self.slots, self.cells, self.versions = [], [], []
        return build(slots, cells, versions)
