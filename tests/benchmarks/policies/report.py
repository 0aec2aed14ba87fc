"""What a run says: a table for each world, and whether policies do what they should."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tests.benchmarks.policies.suite import (
    BEST,
    MYOPIC,
    SHIPPED,
    SHIPPED_TOLD,
    TOLD,
    Bounded,
    Ran,
)
from tests.benchmarks.policies.world import Floats

SETTLED = 0.03
"""Mean distance between bound and estimate up to which a bound counts as settled."""
KNOWN = 1.0
"""The same up to which shares of a gap are told at all. A bound that is too low makes the gap look
larger than it is and the share that is closed smaller, so they are told on the safe side."""
COLUMNS = (
    "| policy | total cost | against the optimum per order (95 %) | above the bound |"
    " gap closed (95 %) | online cost an order | split | late lines | short units |"
    " walk-ins lost | decision p50 / p99 ms |"
)
DRAWS = 4_000
"""Of the bootstrap behind intervals of shares of a gap."""


class Told(NamedTuple):
    """A policy in a world, over seeds; shares are of sums, as seeds differ in size."""

    world: str
    policy: str
    mean_minor: float
    change: float
    """Total cost against the myopic optimum, as a share."""
    low: float
    high: float
    """Its interval of 95 %."""
    closed: float
    """Share of the gap between myopic optimum and bound, and its interval."""
    closed_low: float
    closed_high: float
    above: float
    """Total cost above the bound, as a share."""


def paired(
    rows: Sequence[Ran], bounds: Sequence[Bounded], world: str, policy: str
) -> tuple[Floats, Floats, Floats]:
    """Totals of a policy, of the myopic optimum and bounds, by seed."""
    mine = {row.seed: row.total_minor for row in rows if (row.world, row.policy) == (world, policy)}
    base = {row.seed: row.total_minor for row in rows if (row.world, row.policy) == (world, MYOPIC)}
    least = {each.seed: each.bound_minor for each in bounds if each.world == world}
    seeds = sorted(mine)
    a, b, c = ([known[seed] for seed in seeds] for known in (mine, base, least))
    return np.array(a, float), np.array(b, float), np.array(c, float)


def told(rows: Sequence[Ran], bounds: Sequence[Bounded], world: str, policy: str) -> Told:
    """The figures of a policy in a world, with bootstrap intervals over paired seeds."""
    mine, base, least = paired(rows, bounds, world, policy)
    drawn = np.random.default_rng(1).integers(0, len(mine), (DRAWS, len(mine)))
    sums = [each[drawn].sum(axis=1) for each in (mine, base, least)]
    gap = max(1.0, base.sum() - least.sum())
    closed = (sums[1] - sums[0]) / np.maximum(1.0, sums[1] - sums[2])
    low, high = np.percentile(sums[0] / sums[1] - 1, (2.5, 97.5)).tolist()
    closed_low, closed_high = np.percentile(closed, (2.5, 97.5)).tolist()
    return Told(
        world,
        policy,
        float(mine.mean()),
        float(mine.sum() / base.sum() - 1),
        low,
        high,
        float((base.sum() - mine.sum()) / gap),
        closed_low,
        closed_high,
        float(mine.sum() / max(1.0, least.sum()) - 1),
    )


def written(rows: Sequence[Ran], bounds: Sequence[Bounded]) -> str:
    """The report as Markdown."""
    worlds = list(dict.fromkeys(row.world for row in rows))
    parts = [part for world in worlds for part in _world(rows, bounds, world)]
    return "\n".join([*parts, *_targets(rows, bounds, worlds)]) + "\n"


def bounded(bounds: Sequence[Bounded], world: str) -> bool:
    """Whether the bound of a world says anything of the gap."""
    return float(np.mean([each.gap for each in bounds if each.world == world])) < KNOWN


def _world(rows: Sequence[Ran], bounds: Sequence[Bounded], world: str) -> list[str]:
    """The table of a world."""
    mine = [row for row in rows if row.world == world]
    seeds, gaps = len({row.seed for row in mine}), [b.gap for b in bounds if b.world == world]
    distance = float(np.mean(gaps))
    known = "settled" if distance <= SETTLED else "not settled: judge by total cost"
    how = (
        f"within {distance:.2%} of an estimate from above" if distance < KNOWN else "of free stock"
    )
    head = (
        f"**{world}**: {seeds} seeds, {np.mean([row.orders for row in mine]):.0f} online orders and"
        f" {np.mean([row.walk_ins for row in mine]):.0f} walk-ins each; bound {how} ({known})"
    )
    names = dict.fromkeys(row.policy for row in mine)
    lines = [_line(rows, bounds, told(rows, bounds, world, policy)) for policy in names]
    return [head, "", COLUMNS, "|---" * COLUMNS.count(" |") + "|", *lines, ""]


def _line(rows: Sequence[Ran], bounds: Sequence[Bounded], found: Told) -> str:
    """One row of a world's table."""
    mine = [r for r in rows if (r.world, r.policy) == (found.world, found.policy)]
    orders = sum(row.orders for row in mine)
    closed = f"{found.closed:.0%} ({found.closed_low:.0%} to {found.closed_high:.0%})"
    above = f"{found.above:.2%}"
    if not bounded(bounds, found.world):
        closed, above = "-", "-"
    return (
        f"| {found.policy} | {found.mean_minor:,.0f} | {found.change:+.2%}"
        f" ({found.low:+.2%} to {found.high:+.2%}) | {above} | {closed} |"
        f" {sum(row.online_minor for row in mine) / orders:,.0f} |"
        f" {sum(row.split for row in mine) / orders:.1%} | {np.mean([r.late for r in mine]):.0f} |"
        f" {np.mean([r.short for r in mine]):.1f} | {np.mean([r.lost for r in mine]):.0f} |"
        f" {np.mean([r.p50_us for r in mine]) / 1e3:.2f} /"
        f" {np.mean([r.p99_us for r in mine]) / 1e3:.1f} |"
    )


def _targets(rows: Sequence[Ran], bounds: Sequence[Bounded], worlds: Sequence[str]) -> list[str]:
    """What the best shipped policy should do, and whether it does."""
    lines = ["| what should be | is |", "|---|---|"]
    for world in worlds:
        ran = {row.policy for row in rows if row.world == world}
        for policy, informed in ((BEST, TOLD), (SHIPPED, SHIPPED_TOLD)):
            if policy in ran:
                clear = told(rows, bounds, world, informed) if informed in ran else None
                lines += _verdicts(told(rows, bounds, world, policy), clear)
    return lines


def _verdicts(best: Told, clear: Told | None) -> list[str]:
    """What becomes of the targets of a world with a policy, and with the same policy when told."""
    of = f"| {best.world}, {best.policy}:"
    limit = "upper limit of total cost at most 0.5 % above the optimum per order"
    lines = [f"{of} {limit} | {best.high:+.2%} |"]
    if best.world in {"omni", "towns"}:
        lines.append(f"{of} closes at least 40 % of the gap | {best.closed:.1%} |")
        if clear is not None:
            lines.append(
                f"{of} closes at least 80 % of what it closes when told the demand |"
                f" {best.closed / clear.closed:.0%} |"
            )
    if best.world == "jasin-sinha":
        lines.append(f"{of} at most 0.8 % above the bound | {best.above:.2%} |")
    return lines
