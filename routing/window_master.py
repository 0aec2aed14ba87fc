"""What stock and capacity are worth to many orders: the restricted master, solved by GLOP."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from ortools.linear_solver import pywraplp  # type: ignore[attr-defined]

from routing.facts import Floats
from routing.grid import Ints
from routing.window_ground import Column

__all__ = ["Master", "Priced", "Prices", "priced_minor"]


class Prices(NamedTuple):
    """What a unit of each cell, of each capacity and of the churn budget is worth."""

    cells: Floats
    rooms: Floats
    move: float


class Priced(NamedTuple):
    """An optimum of the fractional master."""

    minor: float
    """What the plans known so far cost at least, orders that share nothing included."""
    prices: Prices
    orders: Floats
    """`[O]`: what each order costs at these prices, at most."""


class Master:
    """The fractional master, which grows: plans are added, and limits as plans may break them.

    Its rows are one for each order whose plans take anything that may run out, and one for each
    cell and capacity that may. All other orders take their cheapest plan.
    """

    def __init__(
        self,
        presents: Sequence[Column],
        have: tuple[Ints, Ints],
        *,
        move_minor: int,
        moves_max: int | None,
    ) -> None:
        """Start with the plan that each order has; every other is charged `move_minor` more."""
        self.have = have
        self.move_minor = move_minor
        self.columns: list[list[Column]] = [[each] for each in presents]
        self.keys: list[set[object]] = [{key_of(each)} for each in presents]
        self.solver = pywraplp.Solver.CreateSolver("GLOP")
        self.solver.SetSolverSpecificParametersAsString("use_preprocessing: false")
        self.variables: list[list[pywraplp.Variable]] = [[] for _ in presents]
        self.order_rows: dict[int, pywraplp.Constraint] = {}
        self.rows: tuple[dict[int, pywraplp.Constraint], ...] = ({}, {})
        self.users: tuple[dict[int, dict[int, int]], ...] = ({}, {})
        """By cell, and by capacity: the most that any plan of each order takes."""
        self.demand: tuple[dict[int, int], ...] = ({}, {})
        self.moves_max = moves_max
        self.move_row: pywraplp.Constraint | None = None
        self.entered = 0
        for order, column in enumerate(presents):
            self._noted(order, column)

    def add(self, order: int, column: Column) -> bool:
        """Add a plan of an order; tell whether it was not known yet."""
        key = key_of(column)
        if key in self.keys[order]:
            return False
        self.keys[order].add(key)
        self.columns[order].append(column)
        self._noted(order, column)
        return True

    def _noted(self, order: int, column: Column) -> None:
        for kind, taken in enumerate((column.cells, column.rooms)):
            for place, units in taken:
                users = self.users[kind].setdefault(place, {})
                before = users.get(order, 0)
                if units > before:
                    users[order] = units
                    self.demand[kind][place] = self.demand[kind].get(place, 0) + units - before

    def solve(self) -> Priced:
        """Solve the master as it is now."""
        self._grow()
        solver = self.solver
        if solver.Solve() != pywraplp.Solver.OPTIMAL:
            raise RuntimeError("the master has the present plans and cannot be infeasible")
        cells, rooms = (np.zeros(len(have)) for have in self.have)
        for kind, prices in enumerate((cells, rooms)):
            for place, row in self.rows[kind].items():
                prices[place] = max(0.0, -row.dual_value())
        move = max(0.0, -self.move_row.dual_value()) if self.move_row is not None else 0.0
        orders = np.array(
            [
                self.order_rows[order].dual_value()
                if order in self.order_rows
                else self._least(columns)
                for order, columns in enumerate(self.columns)
            ]
        )
        free = sum(
            self._least(columns)
            for order, columns in enumerate(self.columns)
            if order not in self.order_rows
        )
        return Priced(solver.Objective().Value() + free, Prices(cells, rooms, move), orders)

    def _least(self, columns: Sequence[Column]) -> int:
        return min(each.minor + (self.move_minor if n else 0) for n, each in enumerate(columns))

    def _grow(self) -> None:
        """Add rows for what may run out, and every plan of orders that they concern."""
        fresh: set[int] = set()
        for kind in range(2):
            for place, wanted in self.demand[kind].items():
                if place not in self.rows[kind] and wanted > self.have[kind][place]:
                    limit = float(self.have[kind][place])
                    row = self.solver.Constraint(-self.solver.infinity(), limit)
                    self.rows[kind][place] = row
                    fresh.update(self.users[kind][place])
                    self._extended(kind, place, row)
        if self.moves_max is not None and self.move_row is None:
            self.move_row = self.solver.Constraint(-self.solver.infinity(), float(self.moves_max))
            fresh.update(range(len(self.columns)))
        for order in sorted(fresh - self.order_rows.keys()):
            self.order_rows[order] = self.solver.Constraint(1.0, 1.0)
        for order in self.order_rows:
            self._entered(order)

    def _extended(self, kind: int, place: int, row: pywraplp.Constraint) -> None:
        """Put the plans that are in the master already on a new row."""
        for order in self.users[kind][place]:
            for column, variable in zip(self.columns[order], self.variables[order], strict=False):
                units = dict((column.cells, column.rooms)[kind]).get(place, 0)
                if units:
                    row.SetCoefficient(variable, float(units))

    def _entered(self, order: int) -> None:
        """Enter the plans of an order that are not in the master yet."""
        for n in range(len(self.variables[order]), len(self.columns[order])):
            column = self.columns[order][n]
            variable = self.solver.NumVar(0.0, self.solver.infinity(), "")
            charged = column.minor + (self.move_minor if n else 0)
            self.solver.Objective().SetCoefficient(variable, float(charged))
            self.order_rows[order].SetCoefficient(variable, 1.0)
            for kind, taken in enumerate((column.cells, column.rooms)):
                for place, units in taken:
                    row = self.rows[kind].get(place)
                    if row is not None:
                        row.SetCoefficient(variable, float(units))
            if n and self.move_row is not None:
                self.move_row.SetCoefficient(variable, 1.0)
            self.variables[order].append(variable)


def key_of(column: Column) -> object:
    """What tells plans apart that one order could have: what they take, and what they cost."""
    return column.minor, column.cells, column.rooms


def priced_minor(column: Column, prices: Prices) -> float:
    """What a plan costs with all it takes."""
    total = float(column.minor)
    for place, units in column.cells:
        total += prices.cells[place] * units
    for place, units in column.rooms:
        total += prices.rooms[place] * units
    return total
