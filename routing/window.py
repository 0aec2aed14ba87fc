"""Many orders that wait for their release, planned anew together: what is asked and what is told.

Each order has a plan already. `rearrange` looks for plans of whole orders that together cost less,
within the stock and the capacity that these orders hold and what is left beside them, and proves
how far from the cheapest it is. No promise gets worse. README.md has the formulation.
"""

from collections.abc import Mapping
from datetime import datetime

import msgspec

from routing.basket import Numbers
from routing.grid import Ints
from routing.plan import Plan
from routing.problem import Capacity, Line, Policy
from routing.terrain import Terrain

__all__ = ["Move", "Rearranged", "Rules", "Waiting", "Window"]


class Waiting(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A confirmed order for which nobody has done anything yet, as far as it is sent by parcel."""

    order_id: str
    terrain: Terrain
    """Of its destination, at the window's instant, as `leaning.leaned` has it for the policy."""
    lines: tuple[Line, ...]
    """What is to be sent, each sku on one line; exactly the units of its plan."""
    policy: Policy
    plan: Plan
    """What the customer was promised. What is collected is left out of it: it stays as it is."""
    beside: int = 0
    """Fulfillments of the order that are left out of the plan."""
    barred: frozenset[str] = frozenset()
    """Ids of nodes that get no further work of this order."""
    capped: frozenset[str] = frozenset()
    """Ids of nodes at which it may keep units that it holds and take no others."""
    stale: Mapping[str, int] = {}
    """By node id, as in `Basket`: the age of feeds too old for its strategy. Those nodes are capped
    or have a surcharge; the record of a move tells of it."""
    released_at: datetime | None = None
    """UTC: when its nodes are asked; nothing is given to one that would have to send it before."""
    prices: Mapping[str, tuple[Ints, Ints]] | None = None
    """By sku, parallel to the window's `left`: worth and risk of a unit to this order, of those it
    holds as before it took them; none for the window's."""
    surcharges: Mapping[str, int] | None = None
    """By node id, as in `Basket`; none for the window's."""


class Window(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Orders that share stock and capacity at one instant."""

    now: datetime
    """UTC."""
    orders: tuple[Waiting, ...]
    left: Mapping[str, tuple[Numbers, Ints]]
    """By sku: nodes by the terrains' numbers, and the units they have beside what plans hold."""
    prices: Mapping[str, tuple[Ints, Ints]] = {}
    """By sku, parallel to `left`: the worth and the risk of a unit, as in `Held`, to orders that
    have none of their own."""
    surcharges: Mapping[str, int] = {}
    """By node id, as in `Basket`, to orders that have none of their own."""
    room: Mapping[str, tuple[Capacity, ...]] = {}
    """By node id: what it can take beside what plans hold of it; other dates have no limit."""


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """How much may change, and for how long to look."""

    moves_max: int | None = None
    """Most orders whose plan changes."""
    saving_min_minor: int = 1
    """What every change has to save on average, at least 1."""
    time_limit_ms: int = 10_000
    gap: float = 1e-4
    """The search for prices ends when plans cost at most this share more than the bound."""
    seed: int = 1
    wholes_max: int = 100
    """Most orders that the optimizer is asked of again and again: kits, long ones and the like."""


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """An order's new plan."""

    order_id: str
    plan: Plan
    saving_minor: int
    """What it costs less than before by its own prices; negative where others save the more."""


class Rearranged(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a window."""

    groups: tuple[tuple[Move, ...], ...]
    """Moves that are made one group after another, those of a group in one step: each finds what it
    takes among what is left and what groups before it, or its own, have freed."""
    before_minor: int
    """What the orders' present plans cost, by their objectives at this instant."""
    after_minor: int
    charged_minor: int
    """What the moves have to save: `saving_min_minor` for each."""
    bound_minor: int
    """No plans of these orders that keep all promises cost less, what moves have to save added."""
    kept: int
    """Orders that were left as they are because they are out of the ordinary or too long."""
    rounds: int
    """How often all prices were set anew."""
    columns: int
    """Plans that were weighed against each other."""

    @property
    def moves(self) -> tuple[Move, ...]:
        """All moves, in the order in which they can be made."""
        return tuple(move for group in self.groups for move in group)

    @property
    def gap(self) -> float:
        """The share by which the plans may cost too much, at most."""
        open_minor = self.after_minor + self.charged_minor - self.bound_minor
        return open_minor / max(1, self.bound_minor)
