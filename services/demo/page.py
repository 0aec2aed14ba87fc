"""The report as one page that needs nothing but itself: no script, no font, no other address."""

from collections.abc import Iterable
from html import escape
from math import log10
from pathlib import Path
from string import Template

from routing.plan import Cost
from services.demo import picture, words
from services.demo.measure import Summary
from services.demo.network import DemoNetwork
from services.demo.words import Figure, Table

HERE = Path(__file__).parent
COMPONENTS = {
    "parcels": "parcels",
    "handling": "handling",
    "split": "each parcel beyond the first",
    "lateness": "days late",
}
LATENCY_DECADES = 4
"""Latency bars are logarithmic, from 1 ms to 10 s: the eye compares factors."""


def render(network: DemoNetwork, summary: Summary) -> str:
    """Return the whole page."""
    return Template((HERE / "page.html").read_text()).substitute(
        style=styles("page.css", "map.css"),
        title=escape(words.headline(summary)),
        headline=escape(words.headline(summary)),
        lead=escape(words.lead(summary)),
        figures="\n".join(figure(each) for each in words.figures(summary)),
        width=picture.WIDTH,
        height=picture.HEIGHT,
        map_label="Map of the network: parcels from warehouses and stores to the zones they go to",
        map=picture.draw(network, summary),
        map_words=escape(words.map_words(summary, picture.FLOWS_MAX)),
        cost_words=escape(words.cost_words(summary)),
        cost_bars=cost_bars(summary),
        length_words=escape(words.length_words(summary)),
        length_bars=length_bars(summary),
        proof_words=escape(words.proof_words(summary)),
        proof_bars=proof_bars(summary),
        latency_words=escape(words.latency_words(summary)),
        latency_bars=latency_bars(summary),
        tables="\n".join(table(each) for each in words.tables(summary)),
        notes="\n".join(f"<p>{escape(each)}</p>" for each in words.notes(summary)),
    )


def standalone_map(network: DemoNetwork, summary: Summary) -> str:
    """Return the map alone as an SVG file that knows light and dark."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {picture.WIDTH} {picture.HEIGHT}" '
        f'role="img" aria-label="{escape(words.headline(summary))}">\n'
        f"<style>\n{palette()}\n{styles('map.css')}\n</style>\n"
        f'<rect width="100%" height="100%" rx="14" fill="var(--raised)"/>\n'
        f"{picture.draw(network, summary)}\n</svg>\n"
    )


def styles(*names: str) -> str:
    """Return the content of style sheets, one after the other."""
    return "\n".join((HERE / name).read_text().strip() for name in names)


def palette() -> str:
    """Return the part of the page's style sheet that names the colors, light and dark."""
    return styles("page.css").split("\n* {", 1)[0]


def figure(each: Figure) -> str:
    """Return one number that matters."""
    return (
        f'<div class="figure {each.tone}"><b>{escape(each.value)}</b>'
        f"<span>{escape(each.label)}</span></div>"
    )


def bars(rows: Iterable[tuple[str, str, str]]) -> str:
    """Return rows of a name, drawn bars and a value."""
    drawn = "\n".join(
        f'<tr><td>{escape(name)}</td><td class="track">{track}</td>'
        f'<td class="value">{escape(value)}</td></tr>'
        for name, track, value in rows
    )
    return f'<table class="bars"><tbody>\n{drawn}\n</tbody></table>'


def bar(style: str, share: float) -> str:
    """Return one bar that fills a share of its track."""
    return f'<div><i class="{style}" style="width:{100 * share:.1f}%"></i></div>'


def legend(entries: Iterable[tuple[str, str]]) -> str:
    """Return what the colors mean."""
    keys = "".join(f'<span><i class="{style}"></i>{escape(name)}</span>' for style, name in entries)
    return f'<div class="legend">{keys}</div>'


def cost_bars(summary: Summary) -> str:
    """Return what an order costs by component, ours and the greedy rule's."""
    compared = summary.comparison
    most = max(compared.cost.total_minor, compared.greedy_cost.total_minor, 1)
    rows = [
        (name, stacked(cost, most), words.dollars(cost.total_minor, compared.compared))
        for name, cost in (("nom", compared.cost), ("greedy rule", compared.greedy_cost))
    ]
    return bars(rows) + legend(COMPONENTS.items())


def stacked(cost: Cost, most_minor: int) -> str:
    """Return a cost as one bar of its components."""
    pieces = "".join(
        f'<i class="{name}" style="width:{100 * getattr(cost, f"{name}_minor") / most_minor:.2f}%">'
        "</i>"
        for name in COMPONENTS
    )
    return f"<div>{pieces}</div>"


def length_bars(summary: Summary) -> str:
    """Return what an order costs by its length, ours above the greedy rule's."""
    shown = [each for each in summary.lengths if each.compared]
    most = max((each.greedy_cost_minor / each.compared for each in shown), default=1)
    rows = [
        (
            words.length_name(each),
            bar("ours", each.cost_minor / each.compared / most)
            + bar("greedy", each.greedy_cost_minor / each.compared / most),
            words.dearer(each.cost_minor, each.greedy_cost_minor),
        )
        for each in shown
    ]
    return bars(rows) + legend([("ours", "nom"), ("greedy", "greedy rule")])


def proof_bars(summary: Summary) -> str:
    """Return the share of proven plans by length."""
    rows = [
        (
            words.length_name(each),
            whole_bar("ours", each.proven / each.planned),
            words.percent(each.proven, each.planned),
        )
        for each in summary.lengths
        if each.planned
    ]
    return bars(rows)


def whole_bar(style: str, share: float) -> str:
    """Return a bar on a track that shows what is missing to the whole."""
    return bar(style, share).replace("<div>", '<div class="whole">', 1)


def latency_bars(summary: Summary) -> str:
    """Return the percentiles of latency on a logarithmic scale."""
    latency = summary.latency
    rows = [
        (name, bar("ours", decades(value) / LATENCY_DECADES), words.milliseconds(value))
        for name, value in (
            ("median", latency.p50_ms),
            ("90 %", latency.p90_ms),
            ("99 %", latency.p99_ms),
            ("slowest", latency.max_ms),
        )
    ]
    return bars(rows) + legend([("ours", "logarithmic, from 1 ms to 10 s")])


def decades(milliseconds: float) -> float:
    """Return how many powers of ten a time is above one millisecond, within the scale."""
    return min(max(log10(max(milliseconds, 1.0)), 0.02), LATENCY_DECADES)


def table(each: Table) -> str:
    """Return a table of figures."""
    head = "".join(f"<th>{escape(name)}</th>" for name in each.header)
    head = f"<thead><tr>{head}</tr></thead>" if any(each.header) else ""
    rows = "\n".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in each.rows
    )
    kind = "scroll" if any(each.header) else "scroll plain"
    return f'<div class="{kind}"><table>{head}<tbody>\n{rows}\n</tbody></table></div>'
