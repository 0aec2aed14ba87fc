"""How fast the optimizer proves real baskets: CPU time and proof by length of basket.

Run as `python -m tests.benchmarks.routing [baskets per length]`. The baskets, the stock and the
tariffs are the demonstration's, on its opening stock; baskets are spread evenly over the year.
Figures depend on the machine, so nothing here passes or fails; a run prints what it measured.
"""

import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import msgspec
import numpy as np

from routing.plan import Plan
from routing.problem import Problem
from routing.solve import solve
from services.demo.compare import Rebuilt, cell
from services.demo.network import build
from services.demo.orders import Homes, baskets, order
from services.orders.request import AllocationRequest, verify
from services.orders.translate import Reading, View, problem

SEED = 1
NOW = datetime(2026, 5, 12, 14, 30, tzinfo=UTC)
STRATA = ((1, 3), (4, 6), (7, 10), (11, 20), (21, 40), (41, 200))
BASKETS = 60
LONG_MS, SHORT_MS = 1_000, 50
WITHIN_MS = (5, 50, 250)
PERCENTILES = (50, 90, 99)


class Measured(msgspec.Struct, frozen=True):
    """One basket solved: with a long limit, and again with a short one where it took longer."""

    plan: Plan
    cpu_ms: float
    hasty: Plan | None


def main(count: int) -> None:
    """Measure `count` baskets of each length and print a table."""
    problems = drawn(count)
    for stratum in STRATA:
        found = problems[stratum]
        for warm in found[:3]:
            solve(warm)
        report(stratum, [measure(each) for each in found])


def drawn(count: int) -> dict[tuple[int, int], list[Problem]]:
    """Return up to `count` problems for each stratum of lines, evenly spread over the year."""
    network = build(SEED)
    homes, rebuilt = Homes(network.cities, network.zones), Rebuilt(network)
    found = baskets(network.sales)
    lengths = np.array(found.ends) - np.array(found.starts)
    problems: dict[tuple[int, int], list[Problem]] = {}
    for low, high in STRATA:
        fitting = np.flatnonzero((lengths >= low) & (lengths <= high))
        chosen = fitting[np.linspace(0, len(fitting) - 1, min(count, len(fitting))).astype(int)]
        print(f"{low}-{high} lines: {len(fitting) / len(lengths):.1%} of {len(lengths)} baskets")
        slices = (slice(found.starts[n], found.ends[n]) for n in chosen.tolist())
        made = (order(network, lines, homes, NOW.date(), "bench").request for lines in slices)
        problems[low, high] = [asked(rebuilt, request) for request in made]
    return problems


def asked(rebuilt: Rebuilt, request: AllocationRequest) -> Problem:
    """Return what routing is asked for a basket on the opening stock."""
    cells = [
        cell(line.sku, node_id, quantity)
        for line in request.lines
        for node_id, quantity in sorted(rebuilt.on_hand[line.sku].items())
    ]
    zone = verify(request, rebuilt.network, NOW)
    reading = Reading(
        now=NOW,
        read_at=0.0,
        items=rebuilt.items,
        views={request.channel: View(cells, {})},
        network=rebuilt.network,
    )
    return problem(request, zone, reading, LONG_MS)


def measure(asked_for: Problem) -> Measured:
    """Solve a problem with the long limit and, where that was used, with the short one."""
    start = time.process_time()
    plan = solve(asked_for)
    cpu_ms = (time.process_time() - start) * 1_000
    hasty = None
    if cpu_ms > SHORT_MS or plan.status != "optimal":
        policy = msgspec.structs.replace(asked_for.policy, time_limit_ms=SHORT_MS)
        hasty = solve(msgspec.structs.replace(asked_for, policy=policy))
    return Measured(plan, cpu_ms, hasty)


def report(stratum: tuple[int, int], found: Sequence[Measured]) -> None:
    """Print one line of figures for a stratum."""
    cpu = np.array([each.cpu_ms for each in found])
    proven = np.array([each.plan.status == "optimal" for each in found])
    shares = [float(np.mean(proven & (cpu <= limit))) for limit in WITHIN_MS]
    ended = Counter(f"{each.plan.found_by} {each.plan.status}" for each in found)
    print(
        f"{stratum[0]}-{stratum[1]}: n {len(found)}, CPU ms "
        + " / ".join(f"{value:.1f}" for value in np.percentile(cpu, PERCENTILES))
        + f" / {cpu.mean():.1f} (p50/p90/p99/mean), proven "
        + " / ".join(f"{share:.0%}" for share in shares)
        + f" (5/50/250 ms), open at {SHORT_MS} ms: gap "
        + " excess ".join(f"{value:.1%}" for value in gaps(found))
        + f", ended {dict(ended)}",
        flush=True,
    )


def gaps(found: Sequence[Measured]) -> Iterator[float]:
    """Mean share of the objective, without shortage, that the hasty plans leave open and lose."""
    hasty = [each for each in found if each.hasty is not None and each.hasty.status != "optimal"]
    open_minor = [(h.objective_minor - h.bound_minor) / money(h) for h in plans(hasty)]
    yield float(np.mean(open_minor or [0]))
    lost = [
        (h.objective_minor - each.plan.objective_minor) / money(h)
        for each, h in zip(hasty, plans(hasty), strict=True)
    ]
    yield float(np.mean(lost or [0]))


def plans(found: Sequence[Measured]) -> list[Plan]:
    """Return the hasty plans."""
    return [each.hasty for each in found if each.hasty is not None]


def money(plan: Plan) -> int:
    """Return the money of a plan, or 1 where it costs nothing."""
    return max(1, plan.cost.total_minor)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else BASKETS)
