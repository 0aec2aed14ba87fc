"""From a basket on a prepared destination to its plan and the record of it."""

from typing import NamedTuple

import msgspec

from routing.basket import Basket, problem_of, seen
from routing.plan import Plan
from routing.problem import ProblemError
from routing.record import write
from routing.solve import solve
from routing.terrain import Terrain


class Planned(NamedTuple):
    """A plan and the record that explains it."""

    plan: Plan
    record: bytes
    """See `routing.record`: `expand` tells the rest on reading."""


def plan_basket(terrain: Terrain, basket: Basket, time_limit_ms: int) -> Planned:
    """The cheapest plan for a basket, proven so when its status is `optimal`, with its record.

    Always answers within about `time_limit_ms`. Raises `ProblemError` for an order that contradicts
    itself, and for one placed when the terrain's dates do not hold.
    """
    if not terrain.covers(basket.now):
        raise ProblemError(
            f"the order is of {basket.now}, the terrain holds from {terrain.from_at} until"
            f" {terrain.until_at}; prepare it anew"
        )
    policy = msgspec.structs.replace(basket.policy, time_limit_ms=time_limit_ms)
    there = seen(terrain, basket)
    plan = solve(problem_of(terrain.destination, there, basket.now, basket.lines, policy))
    return Planned(plan, write(terrain, basket, policy, there, plan))
