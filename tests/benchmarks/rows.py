"""The rows of the benchmark: each measures one thing for a few seconds, once in every round."""

import asyncio
from collections.abc import Callable, Mapping
from random import Random

import msgspec

from tests.benchmarks import bare, shop, wire
from tests.benchmarks.bare import Work, Writes
from tests.benchmarks.cells import OPEN_CONNECTIONS_MAX, Bench, Cell, MeasuredError, Peer
from tests.benchmarks.figures import sellout
from tests.benchmarks.optimizer import Ask, Told
from tests.benchmarks.systems import READ_SKUS, Endpoint, exchange, memory_bytes

Figures = dict[str, float]

UNUSUAL_JSON = "application/json; charset=UTF-8"
"""A content type for which the service calls the framework, as for all that is not plain."""
OPTIMIZED = 20
"""Orders of each size that the optimizer plans in a round."""

BASKETS = 4_000
LEVELS = (8, 32, 64, 128)
"""Connections of a closed loop, rising to saturation."""
REFERENCE_LEVELS = (16, 64)
NAIVE_LEVELS = (8, 32)
READ_LEVEL = 32
WIDE_LEVEL = 8
"""Fewer, because each answer has more than a megabyte."""
BARE_CONNECTIONS = 8
READ_SHARE = 0.95
READS = 400
"""Different reads that are made beforehand."""
OVERLOAD = 1.25
OVERLOAD_CONNECTIONS = 4
"""Times the connections that saturate."""
REFUSALS = 200
"""Answers `insufficient-stock` after which a sku is sold out beyond doubt."""
HOT_CONNECTIONS = 64
P99_OVER_P50, P99_MS = 12, 25
"""What p99 may be in an open loop: so many times the median, or so many milliseconds."""


class Traffic(msgspec.Struct, frozen=True, kw_only=True):
    """Requests made before the first round."""

    allocations: list[bytes]
    units: list[int]
    """Of each allocation."""
    framed: list[bytes]
    """The same, written so that they go through the framework."""
    quotes: list[bytes]
    reads: list[bytes]
    cold: list[bytes]
    """The same reads, of which nothing can have been kept from before."""
    matrix: list[bytes]
    wide: list[bytes]
    """The same for skus that stand at every node of a large network."""
    mixed: list[bytes]
    mixed_units: list[int]
    writes: Writes
    """What the service writes for one order."""
    bare: Work
    guarded: Work


Planner = Peer[Ask, Told]


class Round:
    """One round: what its rows share and hand to the rows after them."""

    def __init__(
        self, bench: Bench, traffic: Traffic, planner: Planner, *, number: int, compared: int
    ) -> None:
        """Begin a round, in which `compared` orders are planned by CP-SAT too."""
        self.bench = bench
        self.traffic = traffic
        self.planner = planner
        self.number = number
        self.compared = compared
        self.saturation = 0.0
        """Allocations a second at the best level of this round."""
        self.saturating = LEVELS[-1]

    @property
    def ours(self) -> Endpoint:
        """The service."""
        return self.bench.stand.ours

    def allocate(self, connections: int) -> Cell:
        """Run the uniform workload in a closed loop."""
        traffic = self.traffic
        return self.bench.closed(self.ours, traffic.allocations, connections, units=traffic.units)


Measure = Callable[[Round], Figures]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to measure."""

    name: str
    says: str
    """What it is, in the words of the report."""
    measure: Measure
    quick: bool = True
    """Whether a quick run has it too."""
    after: tuple[str, ...] = ()
    """Rows of the same round whose figures it builds on."""


def prepare(bench: Bench) -> Traffic:
    """Make the requests of a seed, and find out what an order writes."""
    stand, seed = bench.stand, bench.seed
    baskets = shop.baskets(BASKETS, seed)
    chance = Random(seed)
    skus = [
        [shop.sku_of(n) for n in chance.sample(range(shop.SKUS), READ_SKUS)] for _ in range(READS)
    ]
    wide = [
        [shop.wide_sku(n) for n in chance.sample(range(shop.WIDE_SKUS), READ_SKUS)]
        for _ in range(READS)
    ]
    reads = [wire.availability(each, stand.key) for each in skus]
    matrix = [wire.availability(each, stand.key, matrix=True) for each in skus]
    orders = wire.allocations(baskets, stand.key)
    writing = [chance.random() >= READ_SHARE for _ in baskets]
    sample = next(each for each in baskets if len(each.lines) == 2)
    stored = msgspec.json.decode(
        exchange(stand.ours.port, wire.allocations([sample], stand.key)[0], "allocation")
    )
    stock = shop.build(seed).stock
    writes = asyncio.run(bare.capture(stand.database_url, stored["order_id"]))
    return Traffic(
        allocations=orders,
        units=[each.units for each in baskets],
        framed=wire.allocations(baskets, stand.key, UNUSUAL_JSON),
        quotes=wire.quotes(baskets, stand.key),
        reads=reads,
        cold=[wire.unheard(each, stand.key) for each in skus],
        matrix=matrix,
        wide=[wire.availability(each, stand.key, matrix=True) for each in wide],
        mixed=[
            order if writes_it else reads[number % READS]
            for number, (order, writes_it) in enumerate(zip(orders, writing, strict=True))
        ],
        mixed_units=[each.units for each in baskets],
        writes=writes,
        bare=bare.bare_work(writes, stock),
        guarded=bare.guarded_work(stock),
    )


def best(cells: Mapping[int, Cell]) -> tuple[int, Figures]:
    """Return the level of the most answers a second, and its figures with those of all levels."""
    level = max(cells, key=lambda each: cells[each].answers.per_s)
    figures = {**cells[level].figures(), "connections": float(level)}
    for each, cell in cells.items():
        figures |= {
            f"per_s@{each}": cell.answers.per_s,
            f"p50_ms@{each}": cell.answers.p50_ms,
            f"p99_ms@{each}": cell.answers.p99_ms,
        }
    return level, figures


def echo_orders(now: Round) -> Figures:
    """Measure the echo of allocations."""
    traffic, stand = now.traffic, now.bench.stand
    cells = {n: now.bench.closed(stand.echo, traffic.allocations, n) for n in REFERENCE_LEVELS}
    return best(cells)[1]


def echo_framed(now: Round) -> Figures:
    """Measure the echo of allocations through the framework."""
    traffic, stand = now.traffic, now.bench.stand
    cells = {n: now.bench.closed(stand.echo, traffic.framed, n) for n in REFERENCE_LEVELS}
    return best(cells)[1]


def alone(now: Round) -> Figures:
    """Measure the optimizer; raises `MeasuredError` where CP-SAT finds something cheaper."""
    asked = Ask(seed=now.number + 1, orders=OPTIMIZED, compared=now.compared)
    told = now.planner.ask(asked)
    if told.wrong:
        raise MeasuredError("\n".join(["The optimizer is wrong.", *told.wrong]))
    return {
        **told.timed,
        "growth": told.growth,
        "growth_everywhere": told.growth_everywhere,
        "proven": told.proven,
        "compared": float(told.compared),
        "compared_ms": told.compared_ms,
        "cp_sat_ms": told.cp_sat_ms,
    }


def naive_orders(now: Round) -> Figures:
    """Measure the naive baseline."""
    traffic, stand = now.traffic, now.bench.stand
    cells = {n: now.bench.closed(stand.naive, traffic.allocations, n) for n in NAIVE_LEVELS}
    return best(cells)[1]


def idle(now: Round) -> Figures:
    """Measure one caller alone."""
    return now.allocate(1).figures()


def uniform(now: Round) -> Figures:
    """Measure rising concurrency, and remember where it saturates."""
    now.saturating, figures = best({level: now.allocate(level) for level in LEVELS})
    now.saturation = figures["per_s"]
    return figures


def hot(now: Round) -> Figures:
    """Sell one sku to its last unit; raises `MeasuredError` when another number is sold."""
    units = max(200, int(now.saturation * now.bench.seconds))
    stand = now.bench.stand
    asyncio.run(shop.put_hot_stock(stand.database_url, now.number, units))
    basket = shop.Basket(zone=0, lines=[(shop.hot_sku(now.number), 1)])
    cell = now.bench.closed(
        now.ours,
        wire.allocations([basket], stand.key),
        HOT_CONNECTIONS,
        units=[1],
        seconds=now.bench.seconds * 8,
        stop=(409, REFUSALS),
    )
    ended = sellout(cell.outcome, units)
    if ended.sold != units:
        raise MeasuredError(
            f"of {units} units of a hot sku {ended.sold} were sold: {cell.answers.statuses}"
        )
    return {
        **cell.figures(),
        "per_s": ended.per_s,
        "p50_ms": ended.median_before_ms,
        "p99_ms": ended.p99_ms,
        "units": float(units),
        "before_p50_ms": ended.median_before_ms,
        "last_p99_ms": ended.p99_last_ms,
    }


def bare_one(now: Round) -> Figures:
    """Measure the bare commit on one connection."""
    bench = now.bench
    return dict(bare.measure(bench.stand.bare_url, now.traffic.bare, 1, bench.seconds, now.number))


def bare_many(now: Round) -> Figures:
    """Measure the bare commit on several connections."""
    bench, connections = now.bench, BARE_CONNECTIONS
    work = now.traffic.bare
    return dict(bare.measure(bench.stand.bare_url, work, connections, bench.seconds, now.number))


def guarded(now: Round) -> Figures:
    """Measure one transaction per order through the guarded step."""
    bench, connections = now.bench, BARE_CONNECTIONS
    work = now.traffic.guarded
    return dict(bare.measure(bench.stand.bare_url, work, connections, bench.seconds, now.number))


def quotes(now: Round) -> Figures:
    """Measure quotes."""
    return now.bench.closed(now.ours, now.traffic.quotes, READ_LEVEL).figures()


def echo_reads(now: Round) -> Figures:
    """Measure the echo of reads."""
    return now.bench.closed(now.bench.stand.echo, now.traffic.reads, READ_LEVEL).figures()


def reads(now: Round) -> Figures:
    """Measure reads of twenty skus over all nodes."""
    return now.bench.closed(now.ours, now.traffic.reads, READ_LEVEL).figures()


def cold_reads(now: Round) -> Figures:
    """Measure the same where every sku has to be written anew, as if all had changed."""
    return now.bench.closed(now.ours, now.traffic.cold, READ_LEVEL).figures()


def wide_matrix(now: Round) -> Figures:
    """Measure reads with every cell of a large network."""
    figures = now.bench.closed(now.ours, now.traffic.wide, WIDE_LEVEL).figures()
    return {**figures, "cells_per_s": figures["per_s"] * READ_SKUS * shop.WIDE_NODES}


def matrix(now: Round) -> Figures:
    """Measure reads with every cell."""
    return now.bench.closed(now.ours, now.traffic.matrix, READ_LEVEL).figures()


def mixed(now: Round) -> Figures:
    """Measure reads with some allocations among them."""
    traffic = now.traffic
    return now.bench.closed(
        now.ours, traffic.mixed, READ_LEVEL, units=traffic.mixed_units
    ).figures()


def open_at(share: float) -> Measure:
    """Return what measures the open loop at a share of the round's saturation."""

    def measure(now: Round) -> Figures:
        rate = max(1.0, now.saturation * share)
        traffic = now.traffic
        cell = now.bench.open(now.ours, traffic.allocations, rate, units=traffic.units)
        told = cell.answers
        limit_ms = max(P99_OVER_P50 * told.p50_ms, P99_MS)
        return {**cell.figures(), "rate": rate, "limit_ms": limit_ms}

    return measure


def overload_open(now: Round) -> Figures:
    """Measure the open loop beyond saturation; raises `MeasuredError` for errors but 429."""
    before = memory_bytes(now.ours.processes)
    rate = max(1.0, now.saturation * OVERLOAD)
    cell = now.bench.open(
        now.ours,
        now.traffic.allocations,
        rate,
        units=now.traffic.units,
        seconds=now.bench.seconds * 2,
        ready=OPEN_CONNECTIONS_MAX,
    )
    figures = overloaded(cell, memory_bytes(now.ours.processes) - before)
    return {**figures, "rate": rate}


def overload_closed(now: Round) -> Figures:
    """Measure the closed loop far beyond saturation; raises `MeasuredError` for errors but 429."""
    before = memory_bytes(now.ours.processes)
    cell = now.allocate(now.saturating * OVERLOAD_CONNECTIONS)
    return overloaded(cell, memory_bytes(now.ours.processes) - before)


def overloaded(cell: Cell, grown_bytes: int) -> Figures:
    """Return the figures of an overload; raises `MeasuredError` for errors but 429."""
    strange = {s: n for s, n in cell.answers.statuses.items() if s not in {201, 429}}
    if strange:
        raise MeasuredError(f"under overload there were other answers than 201 and 429: {strange}")
    return {**cell.figures(), "memory_grown_mb": grown_bytes / 1e6}


SATURATED = ("uniform",)
ROWS = [
    Row(name="echo", says="echo of allocations", measure=echo_orders),
    Row(name="echo_framed", says="echo, through the framework", measure=echo_framed),
    Row(name="naive", says="naive baseline", measure=naive_orders),
    Row(name="bare", says="bare commit, 1 connection", measure=bare_one),
    Row(name="bare_many", says="bare commit, 8 connections", measure=bare_many, quick=False),
    Row(name="guarded", says="guarded step, 8 connections", measure=guarded, quick=False),
    Row(name="idle", says="allocations, one caller", measure=idle),
    Row(name="uniform", says="allocations, closed loop to saturation", measure=uniform),
    Row(name="hot", says="one hot sku, sold out", measure=hot, after=SATURATED),
    Row(
        name="open_25",
        says="open loop at 0.25",
        measure=open_at(0.25),
        quick=False,
        after=SATURATED,
    ),
    Row(name="open_50", says="open loop at 0.5", measure=open_at(0.5), after=SATURATED),
    Row(
        name="open_75",
        says="open loop at 0.75",
        measure=open_at(0.75),
        quick=False,
        after=SATURATED,
    ),
    Row(name="overload", says="open loop at 1.25", measure=overload_open, after=SATURATED),
    Row(
        name="crowd",
        says="closed loop, 4 x the callers",
        measure=overload_closed,
        quick=False,
        after=SATURATED,
    ),
    Row(name="quotes", says="quotes", measure=quotes, quick=False),
    Row(name="echo_reads", says="echo of reads", measure=echo_reads),
    Row(name="reads", says="availability, 20 skus", measure=reads),
    Row(name="cold_reads", says="availability, 20 skus, none kept", measure=cold_reads),
    Row(name="matrix", says="availability, every cell", measure=matrix),
    Row(name="wide", says="availability, 20 skus x 457 nodes", measure=wide_matrix),
    Row(name="mixed", says="95 % reads, 5 % allocations", measure=mixed, quick=False),
    Row(name="optimizer", says="the optimizer alone", measure=alone),
]
