"""The report of a run: a table to read, the figures as JSON, a picture."""

import os
import platform
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec
import psutil
from rich import box
from rich.console import Console
from rich.table import Table

from services import __version__
from tests.benchmarks import picture
from tests.benchmarks.figures import Spread
from tests.benchmarks.optimizer import LINES, NODES
from tests.benchmarks.ratios import RATIOS, Ratio, reckon, spreads
from tests.benchmarks.rows import ROWS

WIDTH = 110
COLUMNS = (
    ("p50_ms", "p50 ms", 2),
    ("p99_ms", "p99 ms", 2),
    ("server_us", "server µs", 0),
    ("postgres_us", "database µs", 0),
    ("generator_us", "sender µs", 0),
)
"""Figure, head and decimals of each column after the first; CPU time is for one answer."""


class Results(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that one run measured."""

    taken_at: datetime
    machine: dict[str, str]
    options: dict[str, Any]
    rounds: list[dict[str, dict[str, float]]]
    """For each round, the figures of each row."""
    once: dict[str, dict[str, float]] = {}
    """Figures of the rows that are measured once in a run."""


def machine() -> dict[str, str]:
    """Return what of this machine bears on the figures."""
    return {
        "cores": str(psutil.cpu_count()),
        "processor": processor(),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "nom": __version__,
    }


def processor() -> str:
    """Return the processor's name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else "unknown"


def now() -> datetime:
    """Return this moment."""
    return datetime.now(UTC)


def show(results: Results, console: Console) -> None:
    """Print the report."""
    found = spreads(results.rounds)
    console.print(heading(results, found))
    console.print(rows_table(found))
    console.print(levels_table(found))
    if "optimizer" in found:
        console.print(optimizer_table(found["optimizer"]))
        console.print(agreement(found["optimizer"]))
    console.print(ratios_table(results))
    for table in once_tables(results.once):
        console.print(table)


def heading(results: Results, found: Mapping[str, Mapping[str, Spread]]) -> str:
    """Return what must be known to read the tables."""
    others = [each["others_cores"].median for each in found.values() if "others_cores" in each]
    busy = f"{max(others):.1f}" if others else "an unknown number of"
    about = ", ".join(f"{name} {value}" for name, value in results.machine.items())
    asked = ", ".join(f"{name} {value}" for name, value in results.options.items())
    return (
        f"nom bench, {results.taken_at:%Y-%m-%d %H:%M} UTC\n{about}\n{asked}\n\n"
        f"Medians of {len(results.rounds)} rounds, smallest and largest in brackets. Every system "
        "ran on this machine, on one PostgreSQL with fsync, and so did the load generator. "
        f"Programs that are no part of it kept up to {busy} cores busy.\n"
    )


def rows_table(found: Mapping[str, Mapping[str, Spread]]) -> Table:
    """Return the table of the rows."""
    table = plain_table("what was measured", "answers a second", *(head for _, head, _ in COLUMNS))
    for row in ROWS:
        figures = found.get(row.name, {})
        if "per_s" in figures:
            cells = [
                f"{figures[name].median:,.{decimals}f}" if name in figures else ""
                for name, _, decimals in COLUMNS
            ]
            table.add_row(row.says, told(figures["per_s"], 0), *cells)
    return table


def levels_table(found: Mapping[str, Mapping[str, Spread]]) -> Table:
    """Return the table of the closed loop by number of callers."""
    table = plain_table("allocations by callers", "answers a second", "p50 ms", "p99 ms")
    for level, figures in picture.levels(found).items():
        table.add_row(str(level), told(figures[0], 0), told(figures[1], 2), told(figures[2], 2))
    return table


def optimizer_table(figures: Mapping[str, Spread]) -> Table:
    """Return the table of the optimizer's CPU time by size of the order."""
    table = plain_table("optimizer, CPU ms, nodes", *(f"{lines} lines" for lines in LINES))
    for nodes in NODES:
        cells = (f"{figures[f'{nodes}x{lines}_ms'].median:.2f}" for lines in LINES)
        table.add_row(str(nodes), *cells)
    return table


def agreement(figures: Mapping[str, Spread]) -> str:
    """Return what the comparison with CP-SAT came to; a run in which it fails has no report."""
    count = figures["compared"].median * figures["compared"].rounds
    return (
        f"{figures['proven'].median:.1%} of these plans are proven optimal. On {count:,.0f} smaller "
        f"orders every plan costs what CP-SAT proves to be the least: "
        f"{figures['compared_ms'].median:.2f} ms here, {figures['cp_sat_ms'].median:.2f} ms there.\n"
    )


def ratios_table(results: Results) -> Table:
    """Return the table of the ratios, with what is asked of them."""
    table = plain_table("ratio", "value", "asked", "")
    reckoned = reckon(results.rounds)
    for ratio in RATIOS:
        value = reckoned.get(ratio.name)
        if value is not None:
            verdict = {True: "met", False: "MISSED", None: ""}[ratio.met(value.median)]
            decimals = 0 if value.median >= 1_000 else 3
            table.add_row(ratio.says, told(value, decimals), asked(ratio), verdict)
    return table


def once_tables(once: Mapping[str, Mapping[str, float]]) -> Iterator[Table]:
    """Yield tables of what was measured once, things with the same figures beside each other."""
    for names, group in groupby(once.items(), key=lambda row: tuple(row[1])):
        rows = dict(group)
        table = Table(box=box.SIMPLE, pad_edge=False)
        table.add_column("measured once", overflow="fold", min_width=24)
        for row in rows:
            table.add_column(row, justify="right", overflow="fold")
        for name in names:
            table.add_row(name, *(number(figures[name]) for figures in rows.values()))
        yield table


def plain_table(first: str, *rest: str) -> Table:
    """Return an empty table whose first column names things and whose others have figures."""
    table = Table(box=box.SIMPLE, pad_edge=False)
    table.add_column(first, overflow="fold", min_width=24)
    for head in rest:
        table.add_column(head, justify="right", no_wrap=True)
    return table


def told(value: Spread, decimals: int) -> str:
    """Return a spread as it is printed."""
    figures = [f"{each:,.{decimals}f}" for each in (value.median, value.low, value.high)]
    return f"{figures[0]} ({figures[1]}-{figures[2]})"


def number(value: float) -> str:
    """Return a figure with as many digits as it is worth."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def asked(ratio: Ratio) -> str:
    """Return what is asked of a ratio."""
    if ratio.at_least is not None:
        return f">= {number(ratio.at_least)}"
    return f"<= {number(ratio.at_most)}" if ratio.at_most is not None else ""


def write(results: Results, folder: Path) -> list[Path]:
    """Write the report as text, JSON and picture; return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    text, figures, drawn = (folder / f"bench.{ending}" for ending in ("txt", "json", "svg"))
    with text.open("w") as file:
        show(results, Console(file=file, width=WIDTH))
    reckoned = reckon(results.rounds)
    everything = {**msgspec.to_builtins(results), "ratios": msgspec.to_builtins(reckoned)}
    figures.write_bytes(msgspec.json.format(msgspec.json.encode(everything)))
    drawn.write_text(picture.draw(spreads(results.rounds)))
    return [text, figures, drawn]


def as_user(path: Path) -> str:
    """Return a path as one would type it here."""
    return os.path.relpath(path)
