"""The picture of a run: what is answered a second, and how long an answer takes as load rises.

Drawn by hand as SVG, so that it needs no library and looks the same everywhere.
"""

import math
import re
from collections.abc import Mapping, Sequence

import msgspec

from tests.benchmarks.figures import Spread

WIDTH, HEIGHT = 960, 400
LEFT, RIGHT, TOP, BOTTOM = 170, 40, 50, 50
GAP = 110
BARS = (
    ("echo", "echo"),
    ("uniform", "allocations"),
    ("hot", "one hot sku"),
    ("quotes", "quotes"),
    ("mixed", "95 % reads"),
    ("reads", "availability"),
    ("bare_many", "bare commits"),
    ("guarded", "guarded step"),
    ("naive", "naive baseline"),
)
"""Rows in the chart of answers a second, with their labels."""
OPEN = ("open_25", "open_50", "open_75", "overload")
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #24292f }
.head { font-weight: 600 } .small { font-size: 11px; fill: #57606a }
.axis { stroke: #d0d7de; fill: none } .bar { fill: #8c959f } .ours { fill: #0969da }
.spread { stroke: #24292f } .p50 { stroke: #0969da; fill: none; stroke-width: 2 }
.p99 { stroke: #cf222e; fill: none; stroke-width: 2 }
"""
NOT_OURS = frozenset({"echo", "naive", "bare_many", "guarded"})

Found = Mapping[str, Mapping[str, Spread]]


class Scale(msgspec.Struct, frozen=True):
    """Where a value is drawn: from `start` for `low` to `end` for `high`."""

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    def at(self, value: float) -> float:
        """Return the place of a value."""
        low, high, shown = self.low, self.high, value
        if self.logarithmic:
            low, high, shown = math.log10(low), math.log10(high), math.log10(max(value, low, 1e-6))
        return round(self.start + (shown - low) / ((high - low) or 1) * (self.end - self.start), 1)


def levels(found: Found) -> dict[int, tuple[Spread, Spread, Spread]]:
    """Return answers a second, p50 and p99 of the closed loop by number of callers, ascending."""
    figures = found.get("uniform", {})
    numbers = sorted(int(m[1]) for name in figures if (m := re.fullmatch(r"per_s@(\d+)", name)))
    return {
        n: (figures[f"per_s@{n}"], figures[f"p50_ms@{n}"], figures[f"p99_ms@{n}"]) for n in numbers
    }


def draw(found: Found) -> str:
    """Return the picture."""
    middle = WIDTH / 2 + 30
    parts = [*bars(found, LEFT, middle - GAP / 2), *latencies(found, middle + GAP / 2)]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}">'
        f"<style>{STYLE}</style>"
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def bars(found: Found, left: float, right: float) -> list[str]:
    """Return the chart of answers a second."""
    shown = [(row, label) for row, label in BARS if "per_s" in found.get(row, {})]
    if not shown:
        return []
    high = max(found[row]["per_s"].high for row, _ in shown)
    scale = Scale(0, high, left, right)
    parts = [text(left, TOP - 22, "answers a second", "head")]
    step = (HEIGHT - TOP - BOTTOM) / len(shown)
    for number, (row, label) in enumerate(shown):
        value, top = found[row]["per_s"], TOP + number * step
        middle = top + step * 0.4
        style = "bar" if row in NOT_OURS else "ours"
        width = scale.at(value.median) - left
        parts += [
            text(left - 10, middle + 4, label, anchor="end"),
            box(left, top, width, step * 0.8, style),
            line(scale.at(value.low), middle, scale.at(value.high), middle, "spread"),
            text(scale.at(value.high) + 6, middle + 4, f"{value.median:,.0f}", "small"),
        ]
    return parts


def latencies(found: Found, left: float) -> list[str]:
    """Return the chart of the open loop's latency by rate."""
    shown = [found[row] for row in OPEN if "rate" in found.get(row, {})]
    if not shown:
        return []
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    highest = max(each["p99_ms"].high for each in shown)
    lowest = min(each["p50_ms"].low for each in shown)
    low, high = (
        10 ** math.floor(math.log10(max(lowest, 0.01))),
        10 ** math.ceil(math.log10(highest)),
    )
    across = Scale(0, max(each["rate"].median for each in shown) * 1.05, left, right)
    up = Scale(low, high, bottom, TOP, logarithmic=True)
    parts = [
        text(left, TOP - 22, "latency in ms, open loop, by orders due a second", "head"),
        line(left, TOP, left, bottom, "axis"),
        line(left, bottom, right, bottom, "axis"),
        *(mark for power in decades(low, high) for mark in grid(power, up, left, right)),
    ]
    for each in shown:
        x = across.at(each["rate"].median)
        parts.append(text(x, bottom + 18, f"{each['rate'].median:,.0f}", "small", anchor="middle"))
    for name in ("p50", "p99"):
        points = [(across.at(s["rate"].median), up.at(s[f"{name}_ms"].median)) for s in shown]
        parts += curve(name, points)
    return parts


def decades(low: float, high: float) -> list[float]:
    """Return the powers of ten between two of them."""
    first, last = round(math.log10(low)), round(math.log10(high))
    return [10.0**power for power in range(first, last + 1)]


def grid(value: float, up: Scale, left: float, right: float) -> list[str]:
    """Return a line across the chart, and its label."""
    return [
        line(left, up.at(value), right, up.at(value), "axis"),
        text(left - 8, up.at(value) + 4, f"{value:,g}", "small", anchor="end"),
    ]


def curve(name: str, points: Sequence[tuple[float, float]]) -> list[str]:
    """Return a line through points, with its name at the end."""
    drawn = " ".join(f"{x},{y}" for x, y in points)
    x, y = points[-1]
    return [
        f'<polyline class="{name}" points="{drawn}"/>',
        *(f'<circle class="{name}" cx="{x}" cy="{y}" r="3"/>' for x, y in points),
        text(x + 8, y + 4, name, "small"),
    ]


def line(x1: float, y1: float, x2: float, y2: float, style: str) -> str:
    """Return a straight line."""
    return f'<line class="{style}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def text(x: float, y: float, said: str, style: str = "", anchor: str = "start") -> str:
    """Return some words."""
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{said}</text>'


def box(x: float, y: float, width: float, height: float, style: str) -> str:
    """Return a rectangle."""
    size = f'width="{width:.1f}" height="{height:.1f}"'
    return f'<rect class="{style}" x="{x:.1f}" y="{y:.1f}" {size}/>'
