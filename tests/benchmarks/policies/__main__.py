"""Run the benchmark of policies: `python -m tests.benchmarks.policies` (see `--help`).

Every finished world is written to `rows.jsonl` at once, so that a run that was stopped goes on where
it was; the report and the picture are made of what is there.
"""

import argparse
import multiprocessing
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import msgspec
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

from tests.benchmarks.policies.picture import draw
from tests.benchmarks.policies.report import written
from tests.benchmarks.policies.suite import MAKERS, Bounded, Ran, names_of, run

SEEDS = 20
FOLDER = Path("reports/policies")
Row = Ran | Bounded


class Done(msgspec.Struct, frozen=True):
    """Everything of one world and seed, a line of `rows.jsonl`."""

    world: str
    seed: int
    bounded: Bounded | None
    """None where it was found before."""
    ran: tuple[Ran, ...]


Asked = tuple[str, int, frozenset[str]]
"""A world, a seed and the policies that were run before."""


def one(asked: Asked) -> Done:
    """Run one world of one seed."""
    world, seed, _ = asked
    rows = list(run(*asked))
    bound = next((row for row in rows if isinstance(row, Bounded)), None)
    return Done(world, seed, bound, tuple(row for row in rows if isinstance(row, Ran)))


def rows_of(path: Path) -> list[Done]:
    """What was finished before."""
    if not path.exists():
        return []
    return [msgspec.json.decode(line, type=Done) for line in path.read_bytes().splitlines()]


def measured(asked: list[Asked], processes: int) -> Iterator[Done]:
    """Run worlds as processes become free; a single process is this one."""
    if processes == 1:
        yield from map(one, asked)
        return
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        yield from pool.imap_unordered(one, asked)


def main() -> None:
    """Run what is asked for, with a bar for each world, and write report and picture."""
    options = parsed()
    options.folder.mkdir(parents=True, exist_ok=True)
    path = options.folder / "rows.jsonl"
    if options.anew:
        path.unlink(missing_ok=True)
    done = rows_of(path)
    known: dict[tuple[str, int], set[str]] = defaultdict(set)
    for each in done:
        known[each.world, each.seed] |= {row.policy for row in each.ran}
    # Seed by seed, so that a run that is stopped has something of every world.
    every = [(world, seed) for seed in range(1, options.seeds + 1) for world in options.worlds]
    todo = [(*each, frozenset(known[each])) for each in every]
    todo = [each for each in todo if not each[2].issuperset(names_of(each[0]))]
    columns = ("{task.description:12}", BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns) as progress, path.open("ab") as file:
        bars = {world: progress.add_task(world, total=options.seeds) for world in options.worlds}
        left = {each[:2] for each in todo}
        for world, seed in every:
            progress.advance(bars[world], (world, seed) not in left)
        for found in measured(todo, options.processes):
            done.append(found)
            file.write(msgspec.json.encode(found) + b"\n")
            file.flush()
            progress.advance(bars[found.world])
    kept = [each for each in done if each.world in options.worlds and each.seed <= options.seeds]
    rows = [row for each in kept for row in each.ran]
    bounds = [each.bounded for each in kept if each.bounded is not None]
    text = written(rows, bounds)
    (options.folder / "report.md").write_text(text, encoding="utf-8")
    (options.folder / "report.svg").write_text(draw(rows, bounds), encoding="utf-8")
    print(text)


def parsed() -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description="Compare policies of fulfillment in many worlds.")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="seeds of each world")
    parser.add_argument("--worlds", nargs="+", default=list(MAKERS), choices=list(MAKERS))
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where rows and report go")
    parser.add_argument("--anew", action="store_true", help="forget what was run before")
    return parser.parse_args()


if __name__ == "__main__":
    main()
