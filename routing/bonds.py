"""Limits that couple slots or lines, as arrays: stock that several share, capacities, shipments."""

from typing import NamedTuple

import numpy as np

from routing.compiled import compiled
from routing.grid import Ints
from routing.instance import Instance

__all__ = ["Bonds", "bonds_of", "kept", "no_bonds"]


class Bonds(NamedTuple):
    """Limits on units, U of them, and on slots opened, V of them."""

    most: Ints
    """`[U]`: the most units."""
    starts: Ints
    """`[K + 1]`: what slot k counts against are the entries from `starts[k]` on."""
    which: Ints
    """`[N]`: the limit that units of a slot and line count against."""
    lines: Ints
    """`[N]`: the line; a pair may be in several entries."""
    open_most: Ints
    """`[V]`: the most slots opened."""
    open_starts: Ints
    """`[V + 1]`: the slots counted are the entries from here on."""
    open_slots: Ints


def no_bonds(slots: int) -> Bonds:
    """No limits on so many slots."""
    none = np.zeros(0, np.int64)
    return Bonds(none, np.zeros(slots + 1, np.int64), none, none, none, none[:0].copy(), none)


def bonds_of(instance: Instance) -> Bonds:
    """The limits of an instance."""
    entries = sorted(
        (k, number, i) for number, limit in enumerate(instance.unit_limits) for k, i in limit.pairs
    )
    table = np.array(entries, np.int64).reshape(-1, 3)
    slots = np.arange(len(instance.slots) + 1)
    opens = [np.array(most.slots, np.int64) for most in instance.open_limits]
    ends = np.cumsum([0, *(len(each) for each in opens)])
    return Bonds(
        np.array([limit.units_max for limit in instance.unit_limits], np.int64),
        np.searchsorted(table[:, 0], slots).astype(np.int64),
        table[:, 1].copy(),
        table[:, 2].copy(),
        np.array([most.slots_max for most in instance.open_limits], np.int64),
        ends.astype(np.int64),
        np.concatenate([np.zeros(0, np.int64), *opens]),
    )


@compiled
def kept(bonds: Bonds, slots: Ints, share: Ints) -> bool:
    """Whether units `[m, I]` of some slots keep every limit."""
    if len(bonds.most):
        used = np.zeros(len(bonds.most), np.int64)
        for a in range(len(slots)):
            if slots[a] < len(bonds.starts) - 1:
                for n in range(bonds.starts[slots[a]], bonds.starts[slots[a] + 1]):
                    used[bonds.which[n]] += share[a, bonds.lines[n]]
        if (used > bonds.most).any():
            return False
    for limit in range(len(bonds.open_most)):
        opened = 0
        for n in range(bonds.open_starts[limit], bonds.open_starts[limit + 1]):
            for a in range(len(slots)):
                opened += slots[a] == bonds.open_slots[n] and share[a].any()
        if opened > bonds.open_most[limit]:
            return False
    return True
