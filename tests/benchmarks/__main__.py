"""`python -m tests.benchmarks run` measures; `… check` compares a short run with the baseline."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
)

from tests.benchmarks import baseline, report
from tests.benchmarks.cells import Bench, MeasuredError, generator_peer, optimizer_peer
from tests.benchmarks.extras import EXTRAS, USUAL, Found
from tests.benchmarks.optimizer import WARM
from tests.benchmarks.ratios import reckon, spreads
from tests.benchmarks.report import Results
from tests.benchmarks.rows import ROWS, Figures, Round, Row, prepare
from tests.benchmarks.systems import stand
from tests.benchmarks.verify import verify

REPORTS = Path("reports")
SEED = 1
MINUTES = 30
WORKERS = 1
CHECKED = ("echo", "naive", "bare", "idle", "uniform", "hot", "echo_reads", "reads", "optimizer")
"""Rows that the baseline's ratios need."""

Options = Callable[[Callable[..., Any]], Callable[..., Any]]


class Wishes(msgspec.Struct, frozen=True, kw_only=True):
    """What the options ask for."""

    rounds: int
    seconds: float
    compared: int
    workers: int = WORKERS
    seed: int = SEED
    minutes: float = MINUTES
    extras: tuple[str, ...] = ()


FULL = Wishes(rounds=5, seconds=2.5, compared=400)
QUICK = Wishes(rounds=3, seconds=1.2, compared=60)


@click.group()
def main() -> None:
    """Measure the service beside what it is compared with, on this machine, in one run."""


@main.command("run")
@click.option("--quick", is_flag=True, help="Fewer rows and shorter cells; under three minutes.")
@click.option(
    "--with",
    "extras",
    multiple=True,
    type=click.Choice(tuple(EXTRAS)),
    help=f"Measured once, after the rounds. [{', '.join(USUAL)}; none with --quick]",
)
@click.option(
    "--minutes", type=click.FloatRange(1), default=MINUTES, show_default=True, help="Of a soak."
)
@click.option("--rows", help="Only these rows, by name, separated by commas.")
@click.option(
    "--rounds", type=click.IntRange(1), help=f"[{FULL.rounds}; {QUICK.rounds} with --quick]"
)
@click.option(
    "--seconds",
    type=click.FloatRange(0.5),
    help=f"Of a cell. [{FULL.seconds}; {QUICK.seconds} quick]",
)
@click.option(
    "--compared",
    type=click.IntRange(1),
    help=f"Orders in a round that CP-SAT plans too. [{FULL.compared}; {QUICK.compared} with --quick]",
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
def run_command(
    *, quick: bool, rows: str | None, extras: tuple[str, ...], reports: Path, **given: Any
) -> None:
    """Measure every row in turn, round by round, and write the report.

    Nothing is reported unless every order acknowledged is stored once and `nom audit` is silent.
    """
    console = Console()
    usual = QUICK if quick else FULL
    extras = extras or (() if quick or rows else USUAL)
    chosen = choose(rows, needed=("echo", "uniform") if extras else (), quick=quick)
    asked = {name: value for name, value in given.items() if value is not None}
    wishes = msgspec.structs.replace(usual, extras=extras, **asked)
    results = plainly(lambda: measure(chosen, wishes, console))
    report.show(results, console)
    for path in report.write(results, reports):
        console.print(f"Wrote {report.as_user(path)}", highlight=False)


@main.command("check")
@click.option("--renew", is_flag=True, help="Make what is found now the baseline.")
@click.option("--rounds", type=click.IntRange(1), default=QUICK.rounds, show_default=True)
@click.option("--seconds", type=click.FloatRange(0.5), default=QUICK.seconds, show_default=True)
def check_command(*, renew: bool, rounds: int, seconds: float) -> None:
    """Compare the ratios of a short run with the committed baseline; exit 1 where one got worse."""
    console = Console()
    chosen = [row for row in ROWS if row.name in CHECKED]
    wishes = msgspec.structs.replace(QUICK, rounds=rounds, seconds=seconds)
    results = plainly(lambda: measure(chosen, wishes, console))
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


def choose(names: str | None, *, quick: bool, needed: Sequence[str] = ()) -> list[Row]:
    """Return the rows asked for and those they build on; raises `click.UsageError` for a name that no row has."""
    if names is None:
        return [row for row in ROWS if row.quick or not quick]
    wanted = {name.strip() for name in names.split(",")}
    unknown = wanted - {row.name for row in ROWS}
    if unknown:
        every = ", ".join(row.name for row in ROWS)
        raise click.UsageError(f"There is no row {', '.join(sorted(unknown))}; rows are {every}.")
    wanted |= set(needed)
    wanted |= {name for row in ROWS if row.name in wanted for name in row.after}
    return [row for row in ROWS if row.name in wanted]


def plainly(work: Callable[[], Results]) -> Results:
    """Do `work`; a run whose figures would mean nothing ends with the reason and exit code 1."""
    try:
        return work()
    except MeasuredError as error:
        raise click.ClickException(f"{error}\nNothing is reported.") from error


def measure(rows: Sequence[Row], wishes: Wishes, console: Console) -> Results:
    """Run the rounds and the extras, check what they left behind, and return the figures."""
    started_at = report.now()
    console.print("Starting PostgreSQL, the service, the echo and the baseline …")
    with (
        optimizer_peer() as planner,
        generator_peer() as sender,
        stand(wishes.workers, wishes.seed) as systems,
    ):
        bench = Bench(systems, sender, seconds=wishes.seconds, seed=wishes.seed)
        with console.status("Warming up; what is compiled on first use takes a minute …"):
            traffic = prepare(bench)
            planner.ask(WARM)
        rounds: list[dict[str, Figures]] = []
        with progress(console) as bar:
            task = bar.add_task("", total=wishes.rounds * len(rows) + len(wishes.extras))
            for number in range(wishes.rounds):
                now = Round(bench, traffic, planner, number=number, compared=wishes.compared)
                figures: dict[str, Figures] = {}
                for row in rows:
                    bar.update(task, description=row.says)
                    figures[row.name] = row.measure(now)
                    bar.advance(task)
                rounds.append(figures)
            once: dict[str, Figures] = {}
            for name in wishes.extras:
                bar.update(task, description=name)
                once |= EXTRAS[name](bench, traffic, found_in(rounds, wishes))
                bar.advance(task)
        with console.status("Checking what was acknowledged …"):
            verify(systems.database_url, bench.sent)
    return Results(
        taken_at=started_at,
        machine=report.machine(),
        options=msgspec.to_builtins(wishes),
        rounds=rounds,
        once=once,
    )


def found_in(rounds: Sequence[dict[str, Figures]], wishes: Wishes) -> Found:
    """Return what the extras need of the rounds."""
    found = spreads(rounds)
    return Found(
        saturation=found["uniform"]["per_s"].median,
        connections=int(found["uniform"]["connections"].median),
        echo_per_s=found["echo"]["per_s"].median,
        minutes=wishes.minutes,
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
