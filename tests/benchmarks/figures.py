"""Figures of what was measured: latencies, spreads over rounds, ratios. Pure."""

import random
from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.generator import Outcome, floats, integers

Times = NDArray[np.float64]


class Spread(msgspec.Struct, frozen=True):
    """A figure over several rounds."""

    median: float
    low: float
    high: float
    rounds: int


class Answers(msgspec.Struct, frozen=True, kw_only=True):
    """What a cell's answers came to; the first moments, in which everything warms, left out."""

    per_s: float
    """Answers below 300 a second."""
    statuses: dict[int, int]
    """All answers by status, warm-up included."""
    p50_ms: float
    p90_ms: float
    p99_ms: float
    longest_ms: float
    late_p99_ms: float
    """How late the generator itself sent requests that were due, 99th percentile."""


def spread(values: Sequence[float]) -> Spread:
    """Return median, smallest and largest; raises ValueError when there are none."""
    if not values:
        raise ValueError("a figure needs at least one round")
    return Spread(float(np.median(values)), min(values), max(values), len(values))


def percentiles_ms(seconds: Times) -> tuple[float, float, float, float]:
    """Return the 50th, 90th and 99th percentile and the largest, in milliseconds; zeros of none."""
    if not len(seconds):
        return (0.0, 0.0, 0.0, 0.0)
    p50, p90, p99, longest = np.percentile(seconds, [50, 90, 99, 100]) * 1000
    return (float(p50), float(p90), float(p99), float(longest))


def arrivals(rate: float, seconds: float, seed: int) -> list[float]:
    """Return the instants of a Poisson process of `rate` per second, ascending, below `seconds`.

    Raises ValueError for a rate that is not above zero.
    """
    if rate <= 0:
        raise ValueError(f"a rate of {rate} arrivals a second never arrives; give one above 0")
    chance = random.Random(seed)
    instants: list[float] = []
    at = chance.expovariate(rate)
    while at < seconds:
        instants.append(at)
        at += chance.expovariate(rate)
    return instants


def answers(outcome: Outcome, seconds: float, warm_s: float) -> Answers:
    """Return the figures of an outcome over the answers given between `warm_s` and `seconds`.

    Latencies are those of the requests that were due in that time, however late their answers: an
    answer after the end is no throughput, but it is latency. Only answers below 300 count in both.
    """
    due = floats(outcome.due_s) - outcome.begun_s
    answered = floats(outcome.answered_s) - outcome.begun_s
    status = integers(outcome.status)
    good = status < 300
    in_time = good & (answered >= warm_s) & (answered < seconds)
    timed = good & (due >= warm_s) & (due < seconds)
    p50, p90, p99, longest = percentiles_ms((answered - due)[timed])
    late = floats(outcome.late_s)[timed]
    found, counts = np.unique(status, return_counts=True)
    return Answers(
        per_s=float(in_time.sum()) / (seconds - warm_s),
        statuses=dict(zip(found.tolist(), counts.tolist(), strict=True)),
        p50_ms=p50,
        p90_ms=p90,
        p99_ms=p99,
        longest_ms=longest,
        late_p99_ms=percentiles_ms(late)[2],
    )


class Sellout(msgspec.Struct, frozen=True, kw_only=True):
    """How a run on one sku ended."""

    sold: int
    per_s: float
    """Sold a second, from the first answer to the last sale."""
    median_before_ms: float
    """Of the answers before the last hundredth of the units was sold."""
    p99_last_ms: float
    """Of the answers while the last hundredth was sold."""
    p99_ms: float
    """Of all answers until the last sale."""


def sellout(outcome: Outcome, units: int) -> Sellout:
    """Return the figures of a run that sells `units` one by one and is then refused."""
    answered = floats(outcome.answered_s)
    latency = answered - floats(outcome.due_s)
    sold_at = np.flatnonzero(integers(outcome.status) < 300)
    if len(sold_at) < 2:
        return Sellout(sold=len(sold_at), per_s=0, median_before_ms=0, p99_last_ms=0, p99_ms=0)
    last_from = int(sold_at[min(len(sold_at) - 1, units - max(units // 100, 1))])
    until = int(sold_at[-1]) + 1
    return Sellout(
        sold=len(sold_at),
        per_s=len(sold_at) / float(answered[until - 1] - outcome.begun_s),
        median_before_ms=percentiles_ms(latency[:last_from])[0],
        p99_last_ms=percentiles_ms(latency[last_from:until])[2],
        p99_ms=percentiles_ms(latency[:until])[2],
    )
