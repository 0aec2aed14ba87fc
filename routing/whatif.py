"""What would have had to be different at a node for a cheaper plan: worked out by solving again.

A change is told only if the order, solved again with it, gets a plan that costs less than the one
that was made, and solved again with a minor unit or a unit less of it, provably gets none. Without
the node nothing is cheaper, so every such plan uses it, be it to receive what another sends.
"""

import time
from collections.abc import Callable, Iterable
from datetime import date
from functools import partial
from typing import Literal, TypeVar, get_args

import msgspec

from routing.bundles import needs_of
from routing.plan import Plan
from routing.problem import Capacity, Lane, Node, Problem, Stock, Tariff
from routing.solve import solve

TIME_LIMIT_MS = 5_000
"""Time to find out all that there is to say of one node."""
DATES_MAX = 12
"""Dates of a node, the earliest that are tight, of which more places are asked one by one; no plan
looks at more (`candidates.py`)."""
LESS = " less"
"""Ends the names of tariffs that are lowered for a node alone."""

replace = msgspec.structs.replace
Price = Literal["worth", "risk", "surcharge"]
What = Literal["handling", "parcels", "stock", "worth", "risk", "surcharge", "capacity"]
"""Money; more units on hand; more places on a date; prices beyond money, see `routing.problem.Stock` and `Node`."""
Units = tuple[tuple[str, int], ...]


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """The least change of one kind at a node that makes a cheaper plan."""

    node_id: str
    what: What
    less_minor: int = 0
    """Less for each fulfillment, for each parcel, or for each unit."""
    units: Units = ()
    """More units on hand, by sku; with one less of any of them no plan is cheaper."""
    places: int = 0
    """More orders, or units where the node counts these, on `work_on`."""
    work_on: date | None = None
    objective_minor: int
    """Of the best plan with the change, its prices included."""


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """All that could be found out of one node."""

    node_id: str
    found: tuple[Change, ...]
    proven: bool
    """Whether what is not found is known not to exist; false where the time ran out."""


Priced = TypeVar("Priced", Node, Stock)


class Undecided(Exception):  # noqa: N818 - an answer, not a failure
    """The time ran out before a question was settled."""


class Asker:
    """Solves one order again and again with changes, until a deadline."""

    def __init__(self, problem: Problem, plan: Plan, deadline: float) -> None:
        """`plan` is the proven answer to `problem`."""
        self.problem = problem
        self.ceiling_minor = plan.objective_minor
        self.deadline = deadline

    def wins(self, problem: Problem) -> int | None:
        """The objective of a plan below that of the plan made; see `cheaper`."""
        found = self.cheaper(problem)
        return None if found is None else found.objective_minor

    def cheaper(self, problem: Problem) -> Plan | None:
        """A plan that costs less than the plan made; none when there is provably none.

        Raises `Undecided` when the time ends before either is known.
        """
        left_ms = round((self.deadline - time.perf_counter()) * 1000)
        if left_ms <= 0:
            raise Undecided
        again = solve(replace(problem, policy=replace(problem.policy, time_limit_ms=left_ms)))
        if again.objective_minor < self.ceiling_minor:
            return again
        if again.bound_minor < self.ceiling_minor:
            raise Undecided
        return None

    def least(self, most: int, changed: Callable[[int], Problem]) -> tuple[int, int] | None:
        """The least number up to `most` whose change wins, with its objective; none if none does.

        A larger number must win wherever a smaller one does.
        """
        objective = self.wins(changed(most)) if most > 0 else None
        if objective is None:
            return None
        fails, found = 0, (most, objective)
        while found[0] - fails > 1:
            middle = (fails + found[0]) // 2
            objective = self.wins(changed(middle))
            if objective is None:
                fails = middle
            else:
                found = middle, objective
        return found


Question = Callable[[Asker, str], Change | None]


def changes(problem: Problem, plan: Plan, node_id: str) -> Changes:
    """What would have made a cheaper plan with a node of the problem than the `plan` that was made.

    For a node outside the plan: less handling, cheaper parcels, lower prices beyond money, more
    stock or places; for one in it: more stock or places. One that only receives what others send
    there is outside, but less handling would make the same plan cheaper. Of a plan that is not
    proven nothing can be said, as cheaper ones may exist anyway.
    """
    asker = Asker(problem, plan, time.perf_counter() + TIME_LIMIT_MS / 1000)
    if plan.status != "optimal" or all(each.node_id != node_id for each in problem.nodes):
        return Changes(node_id=node_id, found=(), proven=False)
    used = any(f.node_id == node_id for f in plan.fulfillments)
    prices = (partial(_price, what=what) for what in get_args(Price))
    receives = any(f.pickup_node == node_id for f in plan.fulfillments)
    handling = () if receives else (_handling,)
    asked: tuple[Question, ...] = (*handling, _parcels, *prices, _stock, _capacity)
    questions = (_stock, _capacity) if used else asked
    found: list[Change] = []
    proven = True
    for question in questions:
        try:
            change = question(asker, node_id)
        except Undecided:
            proven = False
        else:
            found += [change] if change else []
    return Changes(node_id=node_id, found=tuple(found), proven=proven)


def with_handling(problem: Problem, node_id: str, less_minor: int) -> Problem:
    """The problem with a node whose handling of a fulfillment costs so much less."""

    def lower(node: Node) -> Node:
        if node.node_id != node_id:
            return node
        return replace(node, handling_order_minor=node.handling_order_minor - less_minor)

    return replace(problem, nodes=tuple(map(lower, problem.nodes)))


def with_parcels(problem: Problem, node_id: str, less_minor: int) -> Problem:
    """The problem with a node each of whose parcels costs so much less, or nothing."""
    used = {lane.tariff_id for lane in problem.lanes if lane.node_id == node_id}

    def moved(lane: Lane) -> Lane:
        if lane.node_id != node_id:
            return lane
        return replace(lane, tariff_id=lane.tariff_id + LESS)

    def lowered(tariff: Tariff) -> Tariff:
        brackets = tuple(
            replace(each, price_minor=max(0, each.price_minor - less_minor))
            for each in tariff.brackets
        )
        return Tariff(tariff_id=tariff.tariff_id + LESS, brackets=brackets)

    own = (lowered(tariff) for tariff in problem.tariffs if tariff.tariff_id in used)
    return replace(
        problem, lanes=tuple(map(moved, problem.lanes)), tariffs=(*problem.tariffs, *own)
    )


def with_price(problem: Problem, node_id: str, what: Price, less_minor: int) -> Problem:
    """The problem with a node whose prices of one kind beyond money are so much less, or nothing."""
    field = f"{what}_minor"

    def lower(each: Priced) -> Priced:
        if each.node_id != node_id:
            return each
        return replace(each, **{field: max(0, getattr(each, field) - less_minor)})

    if what == "surcharge":
        return replace(problem, nodes=tuple(map(lower, problem.nodes)))
    return replace(problem, stock=tuple(map(lower, problem.stock)))


def with_stock(problem: Problem, node_id: str, units: Iterable[tuple[str, int]]) -> Problem:
    """The problem with so many more units on hand at a node, by sku."""
    more = dict(units)

    def raised(stock: Stock) -> Stock:
        if stock.node_id != node_id or stock.sku not in more:
            return stock
        return replace(stock, available=max(0, stock.available) + more[stock.sku])

    known = {each.sku for each in problem.stock if each.node_id == node_id}
    fresh = (
        Stock(node_id=node_id, sku=sku, available=count)
        for sku, count in more.items()
        if sku not in known
    )
    return replace(problem, stock=(*map(raised, problem.stock), *fresh))


def with_capacity(problem: Problem, node_id: str, work_on: date, places: int) -> Problem:
    """The problem with so many more places at a node on a date."""

    def raised(node: Node) -> Node:
        if node.node_id != node_id:
            return node
        rows = (
            replace(row, remaining=max(0, row.remaining) + places)
            if row.work_on == work_on
            else row
            for row in node.capacity
        )
        return replace(node, capacity=tuple(rows))

    return replace(problem, nodes=tuple(map(raised, problem.nodes)))


def _handling(asker: Asker, node_id: str) -> Change | None:
    node = next(each for each in asker.problem.nodes if each.node_id == node_id)
    found = asker.least(
        node.handling_order_minor, lambda less: with_handling(asker.problem, node_id, less)
    )
    if found is None:
        return None
    return Change(node_id=node_id, what="handling", less_minor=found[0], objective_minor=found[1])


def _parcels(asker: Asker, node_id: str) -> Change | None:
    used = {lane.tariff_id for lane in asker.problem.lanes if lane.node_id == node_id}
    prices = [
        bracket.price_minor
        for tariff in asker.problem.tariffs
        if tariff.tariff_id in used
        for bracket in tariff.brackets
    ]
    most = max(prices, default=0)
    found = asker.least(most, lambda less: with_parcels(asker.problem, node_id, less))
    if found is None:
        return None
    return Change(node_id=node_id, what="parcels", less_minor=found[0], objective_minor=found[1])


def _price(asker: Asker, node_id: str, what: Price) -> Change | None:
    priced = asker.problem.nodes if what == "surcharge" else asker.problem.stock
    prices = (getattr(each, f"{what}_minor") for each in priced if each.node_id == node_id)
    found = asker.least(
        max(prices, default=0), lambda less: with_price(asker.problem, node_id, what, less)
    )
    if found is None:
        return None
    return Change(node_id=node_id, what=what, less_minor=found[0], objective_minor=found[1])


def _stock(asker: Asker, node_id: str) -> Change | None:
    """More units of one sku, the fewest of any; of several where one alone does not do."""
    problem = asker.problem
    lacking = _lacking(problem, node_id)
    alone: list[tuple[int, str, int]] = []
    for sku, most in lacking.items():
        found = asker.least(most, lambda more, sku=sku: with_stock(problem, node_id, [(sku, more)]))  # type: ignore[misc]
        if found is not None:
            alone.append((found[0], sku, found[1]))
    if alone:
        count, sku, objective = min(alone)
        return Change(
            node_id=node_id, what="stock", units=((sku, count),), objective_minor=objective
        )
    return _several(asker, node_id, lacking) if len(lacking) > 1 else None


def _capacity(asker: Asker, node_id: str) -> Change | None:
    """More places on one date, the fewest of any and then the earliest."""
    problem = asker.problem
    node = next(each for each in problem.nodes if each.node_id == node_id)
    units = sum(needs_of(problem.lines).values())
    found: list[tuple[int, date, int]] = []
    # What is kept back is there: places were not what was missing.
    limits = (row for row in node.capacity if row.remaining < units and not row.kept)
    tight = sorted(limits, key=_date)
    for row in tight[:DATES_MAX]:
        # Every fulfillment has a unit, so as many places as units are more than enough.
        most = units - max(0, row.remaining)
        more = asker.least(most, partial(with_capacity, problem, node_id, row.work_on))
        if more is not None:
            found.append((more[0], row.work_on, more[1]))
    if not found:
        return None
    places, work_on, objective = min(found)
    return Change(
        node_id=node_id,
        what="capacity",
        places=places,
        work_on=work_on,
        objective_minor=objective,
    )


def _date(row: Capacity) -> date:
    return row.work_on


def _several(asker: Asker, node_id: str, units: dict[str, int]) -> Change | None:
    """Units of several skus, each as few as the others allow."""
    problem = asker.problem
    objective = asker.wins(with_stock(problem, node_id, units.items()))
    if objective is None:
        return None
    for sku in sorted(units):

        def fewer(count: int, sku: str = sku) -> Problem:
            return with_stock(problem, node_id, (units | {sku: count}).items())

        without = asker.wins(fewer(0))
        found = (0, without) if without is not None else asker.least(units[sku], fewer)
        if found is None:
            raise Undecided
        units[sku], objective = found
    return Change(
        node_id=node_id,
        what="stock",
        units=tuple((sku, count) for sku, count in sorted(units.items()) if count),
        objective_minor=objective,
    )


def _lacking(problem: Problem, node_id: str) -> dict[str, int]:
    """Units of each sku of the order that the node does not have on hand."""
    needs = needs_of(problem.lines)
    for each in problem.stock:
        if each.node_id == node_id and each.sku in needs:
            needs[each.sku] -= max(0, each.available)
    return {sku: count for sku, count in sorted(needs.items()) if count > 0}
