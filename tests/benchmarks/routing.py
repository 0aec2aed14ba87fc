"""How fast the optimizer proves real baskets: CPU time and proof by length of basket.

Run as `python -m tests.benchmarks.routing [baskets per length]`. The baskets, the stock and the
tariffs are the demonstration's, on its opening stock; baskets are spread evenly over the year. The
destination is prepared beforehand, as in the service, and every basket is decided within each of
several limits of time. Figures depend on the machine, so nothing here passes or fails.
"""

import gc
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec
import numpy as np

from routing.basket import Basket
from routing.plan import Plan
from routing.plan_basket import plan_basket
from routing.terrain import Terrain
from routing.warm import warm
from services.demo.compare import Rebuilt
from services.demo.network import build
from services.demo.orders import Homes, baskets, order
from services.orders.request import AllocationRequest, verify
from services.orders.strategies import strategy_of
from services.orders.translate import basket

SEED = 1
NOW = datetime(2026, 5, 12, 14, 30, tzinfo=UTC)
STRATA = ((1, 3), (4, 6), (7, 10), (11, 20), (21, 40), (41, 200))
BASKETS = 60
LIMITS_MS = (5, 20, 50, 250)
USUAL_MS, PATIENT_MS = 50, 5_000


class Asked(NamedTuple):
    """A destination as prepared beforehand, and what is asked for it."""

    terrain: Terrain
    basket: Basket


class Decided(msgspec.Struct, frozen=True):
    """A decision within a limit of time."""

    plan: Plan
    cpu_ms: float
    late_ms: float
    """Past the limit, by the clock."""


class Measured(msgspec.Struct, frozen=True):
    """One basket, by the limit in milliseconds; and the best plan known."""

    decided: dict[int, Decided]
    best: Plan


def drawn(
    count: int,
) -> tuple[dict[tuple[int, int], list[Asked]], dict[tuple[int, int], float]]:
    """Return up to `count` problems for each stratum of lines, evenly spread over the year.

    And the share of each stratum in the real mix.
    """
    network = build(SEED)
    homes, rebuilt = Homes(network.cities, network.zones), Rebuilt(network)
    found = baskets(network.sales)
    lengths = np.array(found.ends) - np.array(found.starts)
    problems: dict[tuple[int, int], list[Asked]] = {}
    shares: dict[tuple[int, int], float] = {}
    for low, high in STRATA:
        fitting = np.flatnonzero((lengths >= low) & (lengths <= high))
        chosen = fitting[np.linspace(0, len(fitting) - 1, min(count, len(fitting))).astype(int)]
        shares[low, high] = len(fitting) / len(lengths)
        slices = (slice(found.starts[n], found.ends[n]) for n in chosen.tolist())
        made = (order(network, lines, homes, NOW.date(), "bench").request for lines in slices)
        problems[low, high] = [asked(rebuilt, request) for request in made]
    return problems, shares


def asked(rebuilt: Rebuilt, request: AllocationRequest) -> Asked:
    """Return what routing is asked for a basket on the opening stock."""
    zone = verify(request, rebuilt.network, NOW)
    ground = rebuilt.grounds.find(rebuilt.network, zone, rebuilt.stock, NOW)
    strategy = strategy_of(request, rebuilt.network, zone)
    return Asked(ground.terrain, basket(request, rebuilt.stock, strategy, NOW))


def measure(asked_for: Asked) -> Measured:
    """Decide a basket within each limit, and know its optimum from the longest where it is proven."""
    decided = {}
    for limit_ms in LIMITS_MS:
        start, begun = time.process_time(), time.perf_counter()
        plan = plan_basket(*asked_for, limit_ms).plan
        wall_ms = (time.perf_counter() - begun) * 1_000
        cpu_ms = (time.process_time() - start) * 1_000
        decided[limit_ms] = Decided(plan, cpu_ms, max(0.0, wall_ms - limit_ms))
    longest = decided[LIMITS_MS[-1]].plan
    if longest.status != "optimal":
        longest = plan_basket(*asked_for, PATIENT_MS).plan
    return Measured(decided, longest)


def rows(count: int) -> dict[str, dict[str, float]]:
    """Measure `count` baskets of each length: figures by stratum, and over the real mix."""
    problems, shares = drawn(count)
    # As every process that plans does when it starts.
    warm()
    found = {}
    for stratum in STRATA:
        for first in problems[stratum][:2]:
            measure(first)
        gc.collect()
        found[stratum] = figures([measure(each) for each in problems[stratum]])
    named = {f"{low}-{high} lines": found[low, high] for low, high in STRATA}
    worst = [name for name in found[STRATA[0]] if "longest" in name]
    mix = {
        name: sum(shares[stratum] * found[stratum][name] for stratum in STRATA)
        for name in found[STRATA[0]]
        if name not in worst
    }
    for name in worst:
        mix[name] = max(each[name] for each in found.values())
    return named | {"real mix": mix}


def figures(found: Sequence[Measured]) -> dict[str, float]:
    """Return what the decisions of one stratum come to."""
    told: dict[str, float] = {}
    for limit_ms in LIMITS_MS:
        those = [each.decided[limit_ms] for each in found]
        late = np.array([each.late_ms for each in those])
        told[f"proven in {limit_ms} ms"] = float(
            np.mean([each.plan.status == "optimal" for each in those])
        )
        told[f"late at {limit_ms} ms"] = float(late.mean())
        told[f"longest late at {limit_ms} ms"] = float(late.max())
        told[f"gap of the open at {limit_ms} ms"] = gap(those)
        told[f"loss at {limit_ms} ms"] = float(np.mean([lost(each, limit_ms) for each in found]))
    cpu = np.array([each.decided[USUAL_MS].cpu_ms for each in found])
    told["CPU p50 ms"], told["CPU p90 ms"] = np.percentile(cpu, (50, 90)).tolist()
    told["CPU mean ms"] = float(cpu.mean())
    return told


def gap(those: Sequence[Decided]) -> float:
    """Mean share of the money that the plans not proven leave open."""
    plans = [each.plan for each in those if each.plan.status != "optimal"]
    return float(np.mean([(p.objective_minor - p.bound_minor) / money(p) for p in plans] or [0]))


def lost(found: Measured, limit_ms: int) -> float:
    """Return the share of its money that a plan could have saved, as far as is known."""
    hasty = found.decided[limit_ms].plan
    return (hasty.objective_minor - found.best.objective_minor) / money(hasty)


def money(plan: Plan) -> int:
    """Return the money of a plan, or 1 where it costs nothing."""
    return max(1, plan.cost.total_minor)


def main(count: int) -> None:
    """Measure `count` baskets of each length and print a table."""
    found = rows(count)
    names = list(found["real mix"])
    wide = max(len(name) for name in names)
    print(" " * wide + "".join(f"{row:>15}" for row in found))
    for name in names:
        shown = (
            f"{found[row][name]:15.1%}" if share(name) else f"{found[row][name]:15.2f}"
            for row in found
        )
        print(f"{name:<{wide}}" + "".join(shown), flush=True)


def share(name: str) -> bool:
    """Tell whether a figure is a share."""
    return name.startswith(("proven", "gap", "loss"))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else BASKETS)
