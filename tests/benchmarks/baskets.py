"""Real baskets over the demonstration's network, through HTTP: how many are proven, and how fast.

Loading takes minutes, so the database stays in a folder and is used again by the next run. Each run
starts a service on it with the usual time for a decision, and one under load with the least. What
is not proven is planned again afterwards, from its decision record and with much more time, so that
what it costs too much is known and not only bounded.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import asyncpg
import msgspec
import numpy as np

from routing.plan import Plan
from routing.problem import Problem
from routing.solve import solve
from services.database import migrate
from services.demo.load import load
from services.demo.network import DemoNetwork, build
from services.demo.orders import orders
from services.embedded import Server
from services.orders.answers import AllocationAnswer
from services.orders.decisions import find_decision
from services.settings import Settings
from tests.benchmarks import wire
from tests.benchmarks.cells import Bench, Cell
from tests.benchmarks.rows import Figures
from tests.benchmarks.systems import Stand, create_key, in_thread, service
from tests.benchmarks.verify import verify

HOME = Path("reports/baskets")
"""Where the loaded database stays; `make clean` removes it."""
SEED = 1
CELL_S = 20.0
KEPT = 1_000_000
"""More answers than a cell has: all are looked at."""
STRATA = ((1, 3), (4, 6), (7, 10), (11, 20), (21, 40), (41, 200))
WAYS: Mapping[str, tuple[int, range, Mapping[str, str]]] = {
    "usual": (2, range(6_000), {}),
    "5 ms": (32, range(6_000, 18_000), {"NOM_DECISION_MS": "5", "NOM_DECISION_MIN_MS": "5"}),
}
"""Callers, baskets of the year in time order and settings, by what the report calls them.

More baskets than are answered: stock is for four weeks, and the same ones once more would be
refused for want of it.
"""
REPLANNED = 120
REPLAN_MS = 3_000
"""Time to find out what an order that was not proven could have cost."""


class Replanned(msgspec.Struct, frozen=True):
    """An order that was not proven, planned again."""

    lost: float
    """Share of its money that it could have saved, as far as is known now."""
    proven: bool
    """Whether that is all it could have saved."""


def measure(bench: Bench, echo_per_s: float) -> dict[str, Figures]:
    """Return the figures of both ways, by length of basket."""
    network = build(SEED)
    rows: dict[str, Figures] = {}
    with basket_database(network) as (url, process):
        for name in WAYS:
            cell, told = answered(bench, (url, process), network, name)
            rows |= by_length(name, told)
            lost = asyncio.run(replan(url, [each for each in told if unproven(each)]))
            rows[f"baskets, {name}"] = overall(cell, told, lost, echo_per_s)
        verify(url, [])
    return rows


@contextmanager
def basket_database(network: DemoNetwork) -> Iterator[tuple[str, int]]:
    """Yield the URL and the process of a PostgreSQL with the network, loaded if it is not yet."""
    HOME.mkdir(parents=True, exist_ok=True)
    with Server(HOME.resolve(), {"max_connections": "200"}) as server:
        in_thread(migrate, server.url)
        asyncio.run(load(server.url, Settings(), network, lambda _step, _share: None))
        if server.process is None:
            raise RuntimeError("PostgreSQL has no process")
        yield server.url, server.process.pid


def answered(
    bench: Bench,
    database: tuple[str, int],
    network: DemoNetwork,
    name: str,
) -> tuple[Cell, list[AllocationAnswer]]:
    """Send baskets to a service of its own for a while, one of `WAYS`; return cell and answers."""
    callers, numbers, settings = WAYS[name]
    url, process = database
    key = asyncio.run(create_key(url))
    with service(bench.stand.folder, url, bench.stand.workers, settings) as ours:
        stand: Stand = msgspec.structs.replace(bench.stand, database_url=url, postgres=process)
        here = Bench(stand, bench.sender, seconds=CELL_S, seed=bench.seed)
        here.cells = int(uuid4().hex[:6], 16)
        requests = wired(network, key)[numbers.start : numbers.stop]
        here.closed(ours, requests[:200], callers, seconds=2.0)
        every = here.load(ours, requests, callers, CELL_S)
        cell = here.run(ours, msgspec.structs.replace(every, kept=KEPT), ())
    decode = msgspec.json.Decoder(AllocationAnswer).decode
    return cell, [decode(body) for body in cell.outcome.kept]


def wired(network: DemoNetwork, key: str) -> list[bytes]:
    """Return the first baskets of the year as requests, in time order."""
    count = max(numbers.stop for _, numbers, _ in WAYS.values())
    found = orders(network, count, datetime.now(UTC).date(), run="bench")
    named = (msgspec.structs.replace(each.request, order_id=wire.TOKEN) for each in found)
    return [wire.post("/v1/allocations", key, request) for request in named]


def unproven(told: AllocationAnswer) -> bool:
    """Tell whether a plan is not proven optimal."""
    return told.solver.status != "optimal"


def gap(told: AllocationAnswer) -> float:
    """Return the share of its money that a plan leaves open."""
    open_minor = told.solver.objective_minor - told.solver.bound_minor
    return open_minor / max(1, told.cost.total.amount_minor)


def lines_of(told: AllocationAnswer) -> int:
    """Return how many lines an order had."""
    named = {line.line_id for each in told.fulfillments for line in each.lines}
    return len(named | {each.line_id for each in told.shortfalls})


def by_length(name: str, told: Sequence[AllocationAnswer]) -> dict[str, Figures]:
    """Return a row for each length of basket."""
    rows: dict[str, Figures] = {}
    for low, high in STRATA:
        those = [each for each in told if low <= lines_of(each) <= high]
        if those:
            open_gaps = [gap(each) for each in those if unproven(each)]
            elapsed = np.array([each.solver.elapsed_us for each in those]) / 1_000
            rows[f"baskets, {name}, {low}-{high} lines"] = {
                "orders": float(len(those)),
                "proven": 1 - len(open_gaps) / len(those),
                "gap of the rest": float(np.mean(open_gaps or [0])),
                "decision p50 ms": float(np.percentile(elapsed, 50)),
                "p99 ms": float(np.percentile(elapsed, 99)),
            }
    return rows


def overall(
    cell: Cell, told: Sequence[AllocationAnswer], lost: Sequence[Replanned], echo_per_s: float
) -> Figures:
    """Return the figures over all lengths."""
    elapsed = np.array([each.solver.elapsed_us for each in told]) / 1_000
    late = [
        each.solver.elapsed_us / 1_000 - each.solver.budget_ms
        for each in told
        if each.solver.budget_ms
    ]
    open_share = float(np.mean([unproven(each) for each in told]))
    loss = float(np.mean([each.lost for each in lost] or [0]))
    return {
        "orders a second": cell.answers.per_s,
        "share of echo": cell.answers.per_s / echo_per_s,
        "proven": 1 - open_share,
        "decision mean ms": float(elapsed.mean()),
        "longest past its budget ms": max(late, default=0.0),
        "server µs": cell.server_us,
        "planned again": float(len(lost)),
        "of these proven now": float(np.mean([float(each.proven) for each in lost] or [1.0])),
        "mean loss of the unproven": loss,
        "mean loss of all": loss * open_share,
        "refused": float(sum(n for status, n in cell.answers.statuses.items() if status >= 300)),
    }


async def replan(url: str, told: Sequence[AllocationAnswer]) -> list[Replanned]:
    """Plan orders again from their decision records, evenly chosen where there are many."""
    chosen = told[:: max(1, len(told) // REPLANNED)][:REPLANNED]
    connection = await asyncpg.connect(url)
    try:
        decisions = [await find_decision(connection, each.allocation_id) for each in chosen]
    finally:
        await connection.close()
    return [compared(each.plan, solve(with_time(each.problem))) for each in decisions]


def with_time(problem: Problem) -> Problem:
    """Return a problem with much time to solve it."""
    policy = msgspec.structs.replace(problem.policy, time_limit_ms=REPLAN_MS)
    return msgspec.structs.replace(problem, policy=policy)


def compared(hasty: Plan, patient: Plan) -> Replanned:
    """Return what a plan lost beside one that was made with more time, as a share of its money."""
    saved = max(0, hasty.objective_minor - patient.objective_minor)
    return Replanned(saved / max(1, hasty.cost.total_minor), patient.status == "optimal")
