"""What the demonstration shows in a terminal: progress while it runs, and the report."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich import box
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

from services.demo import words
from services.demo.measure import Summary

STYLES = {"plain": "bold", "good": "bold green", "bad": "bold red"}


class Steps:
    """Progress bars of steps that tell which share of them is done."""

    def __init__(self, progress: Progress) -> None:
        """Show the steps in `progress`, each from its first report on."""
        self.progress = progress
        self.tasks: dict[str, TaskID] = {}

    def share(self, step: str, share: float) -> None:
        """Show that `share` of a step, from 0 to 1, is done."""
        if step not in self.tasks:
            self.tasks[step] = self.progress.add_task(step, total=1.0)
        self.progress.update(self.tasks[step], completed=share)


@contextmanager
def steps(console: Console) -> Iterator[Steps]:
    """Yield bars for steps of unknown size."""
    with Progress(
        TextColumn("{task.description:<18}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        console=console,
    ) as progress:
        yield Steps(progress)


@contextmanager
def counted(console: Console, name: str, total: int) -> Iterator[Progress]:
    """Yield a bar that counts to `total`; move it with `update(0, completed=…)`."""
    with Progress(
        TextColumn("{task.description:<18}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    ) as progress:
        progress.add_task(name, total=total)
        yield progress


def report(console: Console, summary: Summary) -> None:
    """Print the report."""
    console.print()
    console.rule(words.headline(summary))
    console.print(words.lead(summary))
    console.print()
    for figure in words.figures(summary):
        console.print(f"[{STYLES[figure.tone]}]{figure.value:>10}[/]  {figure.label}")
    for each in words.tables(summary):
        console.print()
        console.print(table(each))
    console.print()
    for paragraph in (words.cost_words(summary), words.proof_words(summary)):
        console.print(paragraph)
    console.print()
    for paragraph in words.notes(summary):
        console.print(paragraph, style="dim")


def table(each: words.Table) -> Table:
    """Return a table of figures as the terminal shows it."""
    shown = Table(
        title=each.title,
        title_justify="left",
        title_style="bold",
        show_header=any(each.header),
        box=box.SIMPLE,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    shown.add_column(each.header[0], no_wrap=True)
    for name in each.header[1:]:
        shown.add_column(name, justify="right" if any(each.header) else "left")
    for row in each.rows:
        shown.add_row(*row)
    return shown
