"""The picture of a run: total cost of each policy against the optimum per order, world by world.

Drawn by hand as SVG, so that it needs no library and looks the same everywhere.
"""

from collections.abc import Sequence

from tests.benchmarks.policies.report import Told, bounded, told
from tests.benchmarks.policies.suite import MYOPIC, Bounded, Ran

WIDTH, LEFT, RIGHT, ROW, HEAD = 960, 230, 60, 20, 34
LOW, HIGH = -0.18, 0.18
"""Change of total cost at the edges; what is beyond is drawn at the edge, with its figure."""
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #24292f }
.head { font-weight: 600 } .small { font-size: 11px; fill: #57606a }
.axis { stroke: #d0d7de } .worse { fill: #cf222e } .better { fill: #0969da }
.spread { stroke: #24292f } .bound { stroke: #1a7f37; stroke-width: 2 }
"""


def draw(rows: Sequence[Ran], bounds: Sequence[Bounded]) -> str:
    """Return the picture."""
    parts: list[str] = []
    top = 10
    for world in dict.fromkeys(row.world for row in rows):
        names = dict.fromkeys(row.policy for row in rows if row.world == world)
        found = [told(rows, bounds, world, name) for name in names]
        parts += _world(found, top, bound=bounded(bounds, world))
        top += HEAD + ROW * len(found) + 14
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}">'
        f'<style>{STYLE}</style><rect width="{WIDTH}" height="{top}" fill="#ffffff"/>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def at(change: float) -> float:
    """Where a change of cost is drawn."""
    share = (min(max(change, LOW), HIGH) - LOW) / (HIGH - LOW)
    return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)


def _world(found: Sequence[Told], top: int, *, bound: bool) -> list[str]:
    """A bar with its interval for each policy, and a line where the bound is."""
    bottom = top + HEAD + ROW * len(found)
    base = next(each for each in found if each.policy == MYOPIC)
    parts = [
        _text(10, top + 16, found[0].world, "head"),
        _text(LEFT, top + 16, "total cost against the optimum per order; the line is the bound"),
        f'<line class="axis" x1="{at(0)}" x2="{at(0)}" y1="{top + 24}" y2="{bottom}"/>',
    ]
    if bound:
        x = at(1 / (1 + base.above) - 1)
        parts.append(f'<line class="bound" x1="{x}" x2="{x}" y1="{top + 24}" y2="{bottom}"/>')
    for number, each in enumerate(found):
        y = top + HEAD + ROW * number
        first, last = sorted((at(0), at(each.change)))
        kind = "worse" if each.change > 0 else "better"
        parts += [
            _text(10, y + 10, each.policy),
            f'<rect class="{kind}" x="{first}" y="{y}" width="{last - first:.1f}" height="12"/>',
            _spread(at(each.low), at(each.high), y + 6),
            _text(WIDTH - RIGHT + 6, y + 10, f"{each.change:+.1%}", "small"),
        ]
    return parts


def _spread(first: float, last: float, y: float) -> str:
    return f'<line class="spread" x1="{first}" x2="{last}" y1="{y}" y2="{y}"/>'


def _text(x: float, y: float, words: str, kind: str = "") -> str:
    return f'<text x="{x}" y="{y}" class="{kind}">{words}</text>'
