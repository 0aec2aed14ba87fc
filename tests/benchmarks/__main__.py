"""`python -m tests.benchmarks run` measures; `… check` compares a short run with the baseline."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
)

from tests.benchmarks import baseline, report
from tests.benchmarks.cells import Bench, Generator, MeasuredError
from tests.benchmarks.ratios import reckon
from tests.benchmarks.report import Results
from tests.benchmarks.rows import ROWS, Figures, Round, Row, prepare
from tests.benchmarks.systems import stand
from tests.benchmarks.verify import verify

REPORTS = Path("reports")
SEED = 1
ROUNDS, SECONDS = 5, 2.5
QUICK_ROUNDS, QUICK_SECONDS = 3, 1.2
WORKERS = 1
CHECKED = ("echo", "naive", "bare", "idle", "uniform", "hot", "echo_reads", "reads")
"""Rows that the baseline's ratios need."""

Options = Callable[[Callable[..., Any]], Callable[..., Any]]


@click.group()
def main() -> None:
    """Measure the service beside what it is compared with, on this machine, in one run."""


@main.command("run")
@click.option("--quick", is_flag=True, help="Fewer rows and shorter cells; under three minutes.")
@click.option("--rows", help="Only these rows, by name, separated by commas.")
@click.option("--rounds", type=click.IntRange(1), help=f"[{ROUNDS}; {QUICK_ROUNDS} with --quick]")
@click.option(
    "--seconds", type=click.FloatRange(0.5), help=f"Of a cell. [{SECONDS}; {QUICK_SECONDS} quick]"
)
@click.option(
    "--workers", type=click.IntRange(1), default=WORKERS, show_default=True, help="Of each system."
)
@click.option("--seed", type=click.IntRange(0), default=SEED, show_default=True)
@click.option(
    "--reports",
    type=click.Path(path_type=Path, file_okay=False),
    default=REPORTS,
    show_default=True,
    help="Where bench.txt, bench.json and bench.svg are written.",
)
def run_command(*, quick: bool, rows: str | None, reports: Path, **given: float | None) -> None:
    """Measure every row in turn, round by round, and write the report.

    Nothing is reported unless every order acknowledged is stored once and `nom audit` is silent.
    """
    console = Console()
    chosen = choose(rows, quick=quick)
    usual = {
        "rounds": QUICK_ROUNDS if quick else ROUNDS,
        "seconds": QUICK_SECONDS if quick else SECONDS,
    }
    asked = {**given, **{name: given[name] or value for name, value in usual.items()}}
    results = plainly(lambda: measure(chosen, asked, console))
    report.show(results, console)
    for path in report.write(results, reports):
        console.print(f"Wrote {report.as_user(path)}", highlight=False)


@main.command("check")
@click.option("--renew", is_flag=True, help="Make what is found now the baseline.")
@click.option("--rounds", type=click.IntRange(1), default=QUICK_ROUNDS, show_default=True)
@click.option("--seconds", type=click.FloatRange(0.5), default=QUICK_SECONDS, show_default=True)
def check_command(*, renew: bool, rounds: int, seconds: float) -> None:
    """Compare the ratios of a short run with the committed baseline; exit 1 where one got worse."""
    console = Console()
    chosen = [row for row in ROWS if row.name in CHECKED]
    asked = {"rounds": rounds, "seconds": seconds, "workers": WORKERS, "seed": SEED}
    results = plainly(lambda: measure(chosen, asked, console))
    console.print(report.ratios_table(results))
    found = reckon(results.rounds)
    before = baseline.read()
    if renew:
        taken_on = results.taken_at.date().isoformat()
        about = f"{results.machine['cores']} cores, {results.machine['processor']}"
        baseline.write(baseline.renewed(before, found, taken_on=taken_on, machine=about))
        console.print(f"Wrote {report.as_user(baseline.FILE)}; commit it.", highlight=False)
        return
    worse = list(baseline.regressions(before, found))
    for each in worse:
        console.print(f"WORSE  {each}", highlight=False)
    if worse:
        console.print(
            f"The baseline is of {before.taken_on} ({before.machine}). If this is meant, renew it "
            'with: make bench-check BENCH="--renew"',
            highlight=False,
        )
        sys.exit(1)
    console.print(f"No ratio is worse than the baseline of {before.taken_on} allows.")


def choose(names: str | None, *, quick: bool) -> list[Row]:
    """Return the rows asked for and those they build on; raises `click.UsageError` for a name that no row has."""
    if names is None:
        return [row for row in ROWS if row.quick or not quick]
    wanted = {name.strip() for name in names.split(",")}
    unknown = wanted - {row.name for row in ROWS}
    if unknown:
        every = ", ".join(row.name for row in ROWS)
        raise click.UsageError(f"There is no row {', '.join(sorted(unknown))}; rows are {every}.")
    wanted |= {name for row in ROWS if row.name in wanted for name in row.after}
    return [row for row in ROWS if row.name in wanted]


def plainly(work: Callable[[], Results]) -> Results:
    """Do `work`; a run whose figures would mean nothing ends with the reason and exit code 1."""
    try:
        return work()
    except MeasuredError as error:
        raise click.ClickException(f"{error}\nNothing is reported.") from error


def measure(rows: Sequence[Row], asked: dict[str, Any], console: Console) -> Results:
    """Run the rounds, check what they left behind, and return the figures."""
    rounds: list[dict[str, Figures]] = []
    started_at = report.now()
    console.print("Starting PostgreSQL, the service, the echo and the baseline …")
    with stand(asked["workers"], asked["seed"]) as systems, Generator() as generator:
        bench = Bench(systems, generator, seconds=asked["seconds"], seed=asked["seed"])
        traffic = prepare(bench)
        with progress(console) as bar:
            task = bar.add_task("", total=asked["rounds"] * len(rows))
            for number in range(asked["rounds"]):
                now = Round(bench, traffic, number)
                figures: dict[str, Figures] = {}
                for row in rows:
                    bar.update(task, description=row.says)
                    figures[row.name] = row.measure(now)
                    bar.advance(task)
                rounds.append(figures)
        with console.status("Checking what was acknowledged …"):
            verify(systems.database_url, bench.sent)
    return Results(
        taken_at=started_at,
        machine=report.machine(),
        options={name: str(value) for name, value in asked.items()},
        rounds=rounds,
    )


def progress(console: Console) -> Progress:
    """Return a progress bar that costs next to nothing."""
    return Progress(
        TextColumn("{task.description:<42}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        refresh_per_second=2,
    )


if __name__ == "__main__":
    main()
