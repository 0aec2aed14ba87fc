"""Ratios between rows of one run, and what they should be. Pure.

A figure in answers a second says as much about the machine as about the service; a ratio of two
figures that were measured side by side says what the service makes of the machine. Both are taken
from the same round, so that noise which lasts longer than a cell falls on both.
"""

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from tests.benchmarks.figures import Spread, spread

Rounds = Sequence[Mapping[str, Mapping[str, float]]]
"""For each round, the figures of each row."""
Figure = tuple[str, str]
"""A row and one of its figures."""


class Ratio(msgspec.Struct, frozen=True, kw_only=True):
    """One figure over another, or a figure alone, and where it should be."""

    name: str
    says: str
    over: Figure
    under: Figure | None = None
    at_least: float | None = None
    at_most: float | None = None
    lower: bool = False
    """Whether smaller is better where nothing is asked; what is asked says it otherwise."""

    @property
    def higher_is_better(self) -> bool:
        """Whether a larger value is an improvement."""
        return self.at_most is None and not self.lower

    def met(self, value: float) -> bool | None:
        """Tell whether a value is where it should be; None where nothing is asked."""
        if self.at_least is not None:
            return value >= self.at_least
        if self.at_most is not None:
            return value <= self.at_most
        return None


RATIOS = [
    Ratio(
        name="throughput/echo",
        says="allocations a second / echo",
        over=("uniform", "per_s"),
        under=("echo", "per_s"),
        at_least=0.35,
    ),
    Ratio(
        name="cpu echo/allocation",
        says="CPU of an echo / of an allocation, everything included",
        over=("echo", "cpu_us"),
        under=("uniform", "cpu_us"),
    ),
    Ratio(
        name="throughput/framework",
        says="allocations a second / echo through the framework",
        over=("uniform", "per_s"),
        under=("echo_framed", "per_s"),
        at_least=0.35,
    ),
    Ratio(
        name="throughput/naive",
        says="allocations a second / naive baseline",
        over=("uniform", "per_s"),
        under=("naive", "per_s"),
        at_least=10,
    ),
    Ratio(
        name="throughput/guarded",
        says="allocations a second / one transaction each",
        over=("uniform", "per_s"),
        under=("guarded", "per_s"),
    ),
    Ratio(
        name="throughput/bare",
        says="allocations a second / bare commits",
        over=("uniform", "per_s"),
        under=("bare_many", "per_s"),
    ),
    Ratio(
        name="hot/uniform",
        says="hot sku / uniform, orders a second",
        over=("hot", "per_s"),
        under=("uniform", "per_s"),
        at_least=0.8,
    ),
    Ratio(
        name="hot last/before",
        says="hot sku: p99 of the last 1 % of units / median before",
        over=("hot", "last_p99_ms"),
        under=("hot", "before_p50_ms"),
        at_most=10,
    ),
    Ratio(
        name="idle/bare",
        says="one caller: p50 / bare commit p50",
        over=("idle", "p50_ms"),
        under=("bare", "p50_ms"),
        at_most=3,
    ),
    Ratio(
        name="half load p99",
        says="open loop at 0.5: p99 / max(12 p50, 25 ms)",
        over=("open_50", "p99_ms"),
        under=("open_50", "limit_ms"),
        at_most=1,
    ),
    Ratio(
        name="overload kept",
        says="open loop at 1.25: accepted / saturation",
        over=("overload", "per_s"),
        under=("uniform", "per_s"),
        at_least=0.7,
    ),
    Ratio(
        name="overload p99",
        says="open loop at 1.25: accepted p99 / p99 at 0.5",
        over=("overload", "p99_ms"),
        under=("open_50", "p99_ms"),
        at_most=5,
    ),
    Ratio(
        name="crowd/peak",
        says="4 x the callers that saturate / saturation",
        over=("crowd", "per_s"),
        under=("uniform", "per_s"),
        at_least=0.9,
    ),
    Ratio(
        name="quotes/echo",
        says="quotes / echo",
        over=("quotes", "per_s"),
        under=("echo", "per_s"),
    ),
    Ratio(
        name="availability/echo",
        says="reads of 20 skus / echo of reads",
        over=("reads", "per_s"),
        under=("echo_reads", "per_s"),
        at_least=0.5,
    ),
    Ratio(
        name="cold availability/echo",
        says="reads of 20 skus of which none was kept / echo of reads",
        over=("cold_reads", "per_s"),
        under=("echo_reads", "per_s"),
    ),
    Ratio(
        name="matrix cells",
        says="full matrix, 20 skus x 457 nodes, cells a second",
        over=("wide", "cells_per_s"),
        at_least=3e6,
    ),
    Ratio(
        name="mixed/echo",
        says="95 % reads, 5 % allocations / echo of reads",
        over=("mixed", "per_s"),
        under=("echo_reads", "per_s"),
    ),
    Ratio(
        name="optimizer 50x4",
        says="optimizer, 50 nodes x 4 lines, CPU ms",
        over=("optimizer", "50x4_ms"),
        at_most=0.3,
    ),
    Ratio(
        name="optimizer 500x6",
        says="optimizer, 500 nodes x 6 lines, CPU ms",
        over=("optimizer", "500x6_ms"),
        at_most=1,
    ),
    Ratio(
        name="optimizer 500x10",
        says="optimizer, 500 nodes x 10 lines, CPU ms",
        over=("optimizer", "500x10_ms"),
        at_most=8,
    ),
    Ratio(
        name="optimizer 5000/500",
        says="optimizer, 5,000 / 500 nodes, 1 to 6 lines, CPU, worst",
        over=("optimizer", "growth"),
        at_most=2,
    ),
    Ratio(
        name="optimizer 5000/500 everywhere",
        says="the same where every node holds every sku",
        over=("optimizer", "growth_everywhere"),
        at_most=2,
    ),
    Ratio(
        name="optimizer/cp-sat",
        says="CP-SAT / optimizer, CPU time of the same small orders",
        over=("optimizer", "cp_sat_ms"),
        under=("optimizer", "compared_ms"),
    ),
    Ratio(
        name="optimizer/loop",
        says="optimizer, 50 x 4 / a fixed piece of Python and numpy",
        over=("optimizer", "50x4_ms"),
        under=("optimizer", "calibration_ms"),
        lower=True,
    ),
    Ratio(
        name="proven",
        says="share of plans proven optimal",
        over=("uniform", "proven"),
        at_least=1,
    ),
]


def values(ratio: Ratio, rounds: Rounds) -> list[float]:
    """Return a ratio's value in each round that has its figures; what is over zero is left out."""
    return list(each_value(ratio, rounds))


def each_value(ratio: Ratio, rounds: Rounds) -> Iterator[float]:
    """Yield a ratio's value in each round that has its figures."""
    for figures in rounds:
        over = figures.get(ratio.over[0], {}).get(ratio.over[1])
        if ratio.under is None:
            under: float | None = 1.0
        else:
            under = figures.get(ratio.under[0], {}).get(ratio.under[1])
        if over is not None and under:
            yield over / under


def reckon(rounds: Rounds, wanted: Sequence[Ratio] = RATIOS) -> dict[str, Spread]:
    """Return the spread of each ratio that the rounds have figures for, by name."""
    found = {ratio.name: values(ratio, rounds) for ratio in wanted}
    return {name: spread(each) for name, each in found.items() if each}


def spreads(rounds: Rounds) -> dict[str, dict[str, Spread]]:
    """Return the spread of every figure of every row over the rounds."""
    collected: dict[str, dict[str, list[float]]] = {}
    for figures in rounds:
        for row, each in figures.items():
            for name, value in each.items():
                collected.setdefault(row, {}).setdefault(name, []).append(value)
    return {
        row: {name: spread(found) for name, found in each.items()}
        for row, each in collected.items()
    }
