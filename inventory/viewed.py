"""The values that a stock view holds and takes."""

from collections.abc import Sequence
from datetime import date
from typing import Any

import msgspec

from inventory.slices import Ints


class ItemFacts(msgspec.Struct, frozen=True):
    """What a plan needs to know of an item."""

    weight_grams: int
    requires: tuple[str, ...]
    """Capabilities a node must have to handle it."""


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


class DailyDefault(msgspec.Struct, frozen=True):
    """What a node can do on a date that has no row of its own."""

    unit: str
    planned: int | None
    maximum: int


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

    slots: list[Ints] = []
    rows: list[Ints] = []
    """Node number, on hand, reserved, unavailable, version of each stock record."""
    items: list[Sequence[Any]] = []
    supply: list[Sequence[Any]] = []
    capacity: list[Sequence[Any]] = []
    buffers: list[Sequence[Any]] = []
