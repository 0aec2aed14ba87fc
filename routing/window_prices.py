"""Prices of stock and capacity for a window, by column generation, and what they prove."""

import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from routing.facts import Bools, Floats
from routing.grid import Ints
from routing.window import Rules
from routing.window_ground import Column, Ground
from routing.window_master import Master, Prices, priced_minor
from routing.window_orders import Order, column_of
from routing.window_plans import Plans, plans
from routing.window_pricing import NEVER

__all__ = ["Clock", "Search"]

ROUNDS_MAX = 60
"""Most times that prices are set."""
OLD_SHARE = 0.5
"""How much of the best prices so far stays in those that are asked for next: they swing less to and
fro, and what they prove is better for it."""
PRICING_SHARE = 0.5
"""Share of the time after which prices are left as they are."""


class Clock(NamedTuple):
    """When the search began, and how long it may take."""

    started: float
    limit_s: float

    def left_s(self, share: float = 1.0) -> float:
        """Seconds left of a share of the time."""
        return self.started + self.limit_s * share - time.perf_counter()


class _Found(NamedTuple):
    """What an order answered last."""

    least: int
    """No plan other than the present one costs less at the prices asked."""
    cells: Ints
    rooms: Ints
    """What the plan answered takes of."""


class Search:
    """Column generation, with the bound that comes of it."""

    def __init__(self, at: Ground, orders: Sequence[Order], rules: Rules) -> None:
        """Start with the plans that orders have, everything free of charge."""
        self.at, self.orders, self.rules = at, orders, rules
        self.have = at.units, at.space
        self.charge = rules.saving_min_minor
        self.master = Master(
            [each.present for each in orders],
            self.have,
            move_minor=self.charge,
            moves_max=rules.moves_max,
        )
        self.asked = np.zeros(len(at.units), np.int64), np.zeros(len(at.space), np.int64)
        """The whole prices asked last."""
        self.found: list[_Found | None] = [None] * len(orders)
        self.touched = [each.touched() for each in orders]
        self.best = Prices(self.asked[0].astype(float), self.asked[1].astype(float), 0.0)
        self.bound = -float(NEVER)
        """No choice is charged less: what the best prices prove."""
        self.least: Floats = np.zeros(len(orders))
        """`[O]`: the least that an order is charged at the best prices."""
        self.rounds = 0

    def set_prices(self, clock: Clock) -> None:
        """Set prices until plans known so far cost hardly more than the bound."""
        self._ask(self.best)
        while self.rounds < ROUNDS_MAX and clock.left_s(PRICING_SHARE) > 0:
            optimum = self.master.solve()
            if optimum.minor - self.bound <= self.rules.gap * abs(optimum.minor):
                break
            if not (self._ask(_between(self.best, optimum.prices)) or self._ask(optimum.prices)):
                break

    def _ask(self, prices: Prices) -> bool:
        """Ask every order for its cheapest plan at rounded prices; tell whether any is new."""
        self.rounds += 1
        whole = np.rint(prices.cells).astype(np.int64), np.rint(prices.rooms).astype(np.int64)
        fallen = whole[0] < self.asked[0], whole[1] < self.asked[1]
        moved = whole[0] != self.asked[0], whole[1] != self.asked[1]
        fresh = False
        for n, order in enumerate(self.orders):
            if order.is_kept or not self._concerned(n, fallen, moved):
                continue
            answer = order.ask(*whole)
            split = order.first_minor if answer.least < NEVER else 0
            self.found[n] = _Found(answer.least - split, _NONE, _NONE)
            if answer.minor < NEVER:
                column = column_of(order, answer)
                fresh |= self.master.add(n, column)
                self.found[n] = _Found(
                    answer.least - split, _places(column.cells), _places(column.rooms)
                )
        self.asked = whole
        self._bounded(Prices(whole[0].astype(float), whole[1].astype(float), prices.move))
        return fresh

    def _concerned(self, n: int, fallen: tuple[Bools, Bools], moved: tuple[Bools, Bools]) -> bool:
        """Whether new prices can change an order's answer.

        They cannot where no price has fallen that it could pay, and none has moved that it pays.
        """
        found = self.found[n]
        if found is None:
            return True
        cells, rooms = self.touched[n]
        if not len(found.cells):
            return bool(moved[0][cells].any() or moved[1][rooms].any())
        return bool(
            fallen[0][cells].any()
            or fallen[1][rooms].any()
            or moved[0][found.cells].any()
            or moved[1][found.rooms].any()
        )

    def _bounded(self, prices: Prices) -> None:
        """Keep these prices if they prove more than any before."""
        presents = np.array([priced_minor(each.present, prices) for each in self.orders])
        others = np.array([float(each.least) if each else float(NEVER) for each in self.found])
        least = np.minimum(presents, others + prices.move + self.charge)
        paid = float(prices.cells @ self.have[0] + prices.rooms @ self.have[1])
        bound = float(least.sum()) - paid - prices.move * (self.rules.moves_max or 0)
        if bound > self.bound:
            self.bound, self.best, self.least = bound, prices, least

    def add_plans(self, n: int, scarce: tuple[Bools, Bools], slack: float, most: int) -> Plans:
        """Add an order's plans charged less than `slack` beyond its least at the best prices.

        What is left open and inexact is answered, beyond that least too.
        """
        beside = self.best.move + self.charge - self.least[n]
        whole = self.best.cells.astype(np.int64), self.best.rooms.astype(np.int64)
        found = plans(self.orders[n], whole, scarce, slack - beside, most)
        for column in found.columns:
            self.master.add(n, column)
        return found._replace(open_minor=found.open_minor + beside)

    def charged(self, column: Column) -> int:
        """What a plan is charged."""
        return column.minor + (self.charge if len(column.slots) else 0)

    def scarce(self) -> tuple[Bools, Bools]:
        """Which cells and capacities plans known so far could use up."""
        found = tuple(np.zeros(len(have), np.bool_) for have in self.have)
        for runs_out, demand, have in zip(found, self.master.demand, self.have, strict=True):
            for place, units in demand.items():
                runs_out[place] = units > have[place]
        return found[0], found[1]


_NONE = np.zeros(0, np.int64)


def _places(taken: tuple[tuple[int, int], ...]) -> Ints:
    return np.array([place for place, _ in taken], np.int64)


def _between(old: Prices, new: Prices) -> Prices:
    """Prices between the best so far and those of the master."""
    fresh = 1 - OLD_SHARE
    return Prices(
        OLD_SHARE * old.cells + fresh * new.cells,
        OLD_SHARE * old.rooms + fresh * new.rooms,
        OLD_SHARE * old.move + fresh * new.move,
    )
