"""The cheapest way to fulfill a grid, found and proven as far as time allows."""

import math

import msgspec
import numpy as np

from routing.ascent import FORCED, FREE, ascend, ascent
from routing.bonds import Bonds
from routing.clock import now_s, reading_s
from routing.compiled import compiled
from routing.deadlines import hopeful_until
from routing.exchange import exchanged
from routing.facts import (
    MISSING,
    SLACK_MINOR,
    Facts,
    Floats,
    facts,
    loose,
    objective_of,
    parcel_minor,
)
from routing.few import least_beyond_few
from routing.grid import Grid, Ints
from routing.parts import ROUNDS_SECOND, STUCK, WAITING, Parts, advance, whole
from routing.rules import quickest
from routing.settle import settle
from routing.sharing import Best, ascending, beaten, late

__all__ = ["Found", "bounded", "search"]

CLOSING_LONGER = (1_000, 10_000, 100_000)
"""Parts looked at to share units among the sets of slots left when all parts are explored."""

LEAST_S = 0.003
"""From the beginning of the search, for a better plan than that of rules where all the time went
before: an order costs a tenth more by rules."""


class Found(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """What the search found and what it proved."""

    units: Ints
    """`[K, I]`: the units of the cheapest plan found."""
    objective_minor: int
    bound_minor: int
    """No plan has a smaller objective."""
    slots: tuple[int, ...]
    """No cheaper plan opens any other slot; none when the plan is proven."""
    least_minor: tuple[int, ...]
    """By slot: no plan that opens it has a smaller objective."""
    improved: bool
    """Whether the plan is cheaper than what simple rules find, or than the one to begin with."""


def search(
    grid: Grid, deadline: float, start: Ints | None = None, bonds: Bonds | None = None
) -> Found:
    """The cheapest plan of a grid, found and proven as far as `deadline` allows.

    `deadline` is a reading of `time.perf_counter`. `start` are the units `[K, I]` of a plan to
    begin with, which stands unless there is a cheaper one, and is proven by prices, which tell slots
    apart; else simple rules find one, and plans of few slots are looked at first. Plans keep the
    limits of `bonds`, which bounds know nothing of.
    """
    hopeful = reading_s(hopeful_until(deadline))
    known, units, objective = _begun(grid, start, bonds)
    best = Best(units, np.array([objective], np.int64), np.array([reading_s(deadline)]))
    if not len(known.opening) or (grid.complete and known.prices[MISSING]):
        return _proven(best, objective)
    least = float(known.prices[MISSING]) if start is not None else _at_once(known, best)
    if start is None and beaten(best, least):
        return _proven(best, objective)
    parts = _explored(known, best, least, hopeful)
    return _found(grid, (parts, best), int(known.prices[MISSING]), objective)


@compiled
def _at_once(known: Facts, best: Best) -> float:
    """What a cheaper plan than the incumbent costs at least, which is one of few slots by then."""
    least_until = np.maximum(best.until, now_s() + LEAST_S)
    exchanged(known, Best(best.units, best.objective, least_until))
    return max(float(known.prices[MISSING]), least_beyond_few(known, best))


def _proven(best: Best, before: int) -> Found:
    """The incumbent where no plan is cheaper."""
    objective = int(best.objective[0])
    return Found(
        units=best.units,
        objective_minor=objective,
        bound_minor=objective,
        slots=(),
        least_minor=(objective,) * len(best.units),
        improved=objective < before,
    )


def bounded(grid: Grid, units: Ints, ceiling_minor: int) -> tuple[int, ...]:
    """By slot: no plan that opens it and costs less than `ceiling_minor` has a smaller objective.

    `units` `[K, I]` are those of a plan, from whose prices the bound is looked for.
    """
    known = facts(grid, ceiling_minor)
    if not len(known.opening) or (grid.complete and known.prices[MISSING]):
        return (ceiling_minor,) * len(units)
    best = Best(units, np.array([ceiling_minor], np.int64), np.array([reading_s(math.inf)]))
    least = _bounded(known, best)[: len(units)]
    rounded = np.clip(np.ceil(least - SLACK_MINOR), 0, ceiling_minor)
    return tuple(rounded.astype(np.int64).tolist())


@compiled
def _bounded(known: Facts, best: Best) -> Floats:
    """By slot, what prices alone prove of plans of the whole order that open it."""
    prices = _first_prices(known, best.units)
    room, parts = ascent(known), whole(known, prices, 0.0)
    room.trial[:] = prices
    ascend(known, room, parts.status[0], best, (ROUNDS_SECOND, 1))
    return room.least


def _begun(grid: Grid, start: Ints | None, bonds: Bonds | None) -> tuple[Facts, Ints, int]:
    """The facts for plans cheaper than one to begin with, that plan and its objective."""
    known = facts(grid, 0, bonds)
    if start is not None:
        units, objective = start, objective_of(known, start)
    else:
        units, objective = quickest(known, grid.complete)
    if loose(grid, known, int(objective)):
        known = facts(grid, int(objective), bonds)
    return known, units, int(objective)


@compiled
def _explored(known: Facts, best: Best, least: float, hopeful: float) -> Parts:
    """Look at the whole order, part by part; what is left of it when that ends or time is over.

    A plan that is cheaper than the incumbent is known to cost at least `least`.
    """
    parts = whole(known, _first_prices(known, best.units), least)
    if advance(known, ascent(known), parts, best, hopeful):
        _closed_longer(known, parts, best)
    return parts


@compiled
def _closed_longer(known: Facts, parts: Parts, best: Best) -> None:
    """Look longer at the sets of slots that could not be closed, those of the least bound first."""
    order = ascending(parts.stuck_value[: parts.counts[STUCK]])
    for parts_max in CLOSING_LONGER:
        for number in order:
            status, value = parts.stuck_status[number], parts.stuck_value[number]
            if not (late(best) or beaten(best, value) or (status == FREE).any()):
                lowest, _ = settle(known, np.flatnonzero(status == FORCED), best, parts_max)
                parts.stuck_value[number] = max(value, lowest)


def _found(grid: Grid, state: tuple[Parts, Best], missing: int, before: int) -> Found:
    """What the parts left over say."""
    parts, best = state
    slots, objective = len(grid.slot_minor), int(best.objective[0])
    waiting, stuck = int(parts.counts[WAITING]), int(parts.counts[STUCK])
    values = np.concatenate([parts.value[:waiting], parts.stuck_value[:stuck]])
    status = np.concatenate([parts.status[:waiting], parts.stuck_status[:stuck]])
    left = values <= objective - 1 + SLACK_MINOR
    lowest = float(values[left].min()) if left.any() else float(objective)
    # The bounds are on plans that fulfill all that can be; one unit more short costs at least this.
    dearest = 2**62 if grid.complete else max(objective, missing + int(grid.shortage_minor.min()))
    least = np.clip(np.ceil(parts.least[:slots] - SLACK_MINOR), 0, dearest)
    return Found(
        units=best.units,
        objective_minor=objective,
        bound_minor=min(objective, max(0, math.ceil(max(lowest, -1.0) - SLACK_MINOR))),
        slots=tuple(np.flatnonzero(status[left][:, :slots].any(axis=0)).tolist()),
        least_minor=tuple(least.astype(np.int64).tolist()),
        improved=objective < before,
    )


@compiled
def _first_prices(known: Facts, units: Ints) -> Floats:
    """Each opened slot's price shared by its units, half by weight and half by count."""
    prices = np.zeros(len(known.wanted))
    for k in range(len(units)):
        weight, count = 0.0, 0
        for n in range(known.starts[k], known.starts[k + 1]):
            weight += units[k, known.lines[n]] * known.grams[known.lines[n]]
            count += units[k, known.lines[n]]
        if count == 0:
            continue
        paid = parcel_minor(known, k, int(weight)) + known.opening[k]
        for n in range(known.starts[k], known.starts[k + 1]):
            i = known.lines[n]
            if units[k, i]:
                heavy = known.grams[i] / weight if weight > 0 else 1 / count
                each = paid * (heavy + 1 / count) / 2 + known.costs[n]
                prices[i] += each * units[k, i] / known.wanted[i]
    return prices
