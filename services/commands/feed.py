"""`nom import`: the command, its progress bar, its closing sentence and its exit codes."""

import asyncio
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from time import perf_counter
from typing import NoReturn

import asyncpg
import click
import msgspec
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)

from inventory.ledger import RECORDS_MAX
from services.database import driver_url
from services.embedded import database_of
from services.embedded_home import EmbeddedError
from services.feeds.apply import Watch
from services.feeds.imports import Order, Outcome, StrictError, import_file
from services.feeds.readers import FORMATS, format_of
from services.feeds.rows import KINDS, FileError, OrderRow
from services.fulfillment.takeover import Takeover
from services.planning import records as planning_records
from services.planning.network import build
from services.settings import Settings, SettingsError

DONE, SOME_REJECTED, REFUSED, BROKEN_OFF = 0, 1, 2, 3

EPILOG = """\b
Exit codes:
  0  every row was applied, now or by an earlier run
  1  the good rows were applied; the others are in the rejects file
  2  refused: the file, its columns or an option cannot be used, or --strict met a bad row
  3  broken off on the way, by the database or Ctrl-C; run it again and it goes on
"""


@click.command("import", epilog=EPILOG)
@click.argument("kind", type=click.Choice(tuple(KINDS)))
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--strict", is_flag=True, help="Apply nothing at all unless every row is good.")
@click.option("--source", help="Who says so; the file's name unless given.")
@click.option(
    "--rejects",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where rejected rows go; FILE.rejects.jsonl unless given.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(sorted(set(FORMATS.values()))),
    help="How to read FILE; by its ending unless given.",
)
def command(
    kind: str, file: Path, strict: bool, source: str | None, rejects: Path | None, form: str | None
) -> None:
    """Load nodes, items, stock, supply or open orders from a CSV, JSON Lines or Parquet FILE.

    Good rows are applied in small transactions that no checkout feels, bad ones are written to a
    rejects file with their line and the reason. An import that was broken off goes on where it
    stopped when it is run again. Open orders of another system are taken over as they stand, each
    whole or not at all: confirmed, on the nodes they name, with their work.
    """
    started = perf_counter()
    try:
        settings = Settings.from_environment(os.environ)
        order = Order(
            kind=KINDS[kind],
            path=existing(file),
            form=form or format_of(file),
            source=source or file.name,
            rejects=beside(file, rejects),
            strict=strict,
            chunk_rows=min(settings.import_chunk_rows, RECORDS_MAX),
            chunk_ms=settings.import_chunk_ms,
            lock_timeout_ms=settings.lock_timeout_ms,
        )
        outcome = run(settings, order)
    except StrictError as error:
        end(REFUSED, f"Refused: {error} {error.rejects} says why each of them cannot be applied.")
    except (FileError, SettingsError, EmbeddedError) as error:
        end(REFUSED, f"Refused: {error}")
    except asyncpg.UndefinedTableError:
        end(REFUSED, "Refused: the database is not set up for this version; run nom migrate first.")
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, KeyboardInterrupt) as error:
        why = str(error) or type(error).__name__
        end(
            BROKEN_OFF, f"Broken off: {why}. Run the same command again, and it goes on from there."
        )
    click.echo(closing_sentence(order, outcome, perf_counter() - started))
    sys.exit(SOME_REJECTED if outcome.rejected else DONE)


def existing(file: Path) -> Path:
    """Return the path of a file that is there; raises `FileError` when it is not."""
    if not file.is_file():
        raise FileError(f"There is no file {file}.")
    return file


def beside(file: Path, rejects: Path | None) -> Path:
    """Return where rejected rows of `file` go; raises `FileError` when that is the file itself."""
    path = rejects or file.with_name(f"{file.name}.rejects.jsonl")
    if path.exists() and path.samefile(file):
        raise FileError("--rejects names the file to be read, which it would overwrite.")
    return path


def end(code: int, sentence: str) -> NoReturn:
    """Say on standard error why the import ends here, and exit."""
    click.echo(sentence, err=True)
    sys.exit(code)


def run(settings: Settings, order: Order) -> Outcome:
    """Import on the database of the settings, the running one of the data folder by default."""
    given = settings.database_url
    with nullcontext(given) if given else database_of(settings.home) as url, progress() as watch:
        return asyncio.run(import_at(url, settings, order, watch))


async def import_at(url: str, settings: Settings, order: Order, watch: Watch) -> Outcome:
    """Import over a connection of its own, since the staged rows live in its session."""
    dsn = driver_url(url).replace("+asyncpg", "", 1)
    connection = await asyncpg.connect(dsn, server_settings={"application_name": "nom import"})
    try:
        return await import_file(connection, await able(connection, settings, order), watch)
    finally:
        # A session that hangs must not outlive the command: ending it rolls back one chunk at most.
        connection.terminate()


async def able(connection: asyncpg.Connection, settings: Settings, order: Order) -> Order:
    """Return the order to import with the means to apply open orders, where it is for those."""
    if order.kind.row is not OrderRow:
        return order
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        network = build(await planning_records.read_network(connection))
    return msgspec.structs.replace(order, apply=Takeover(network, settings))


@contextmanager
def progress() -> Iterator[Watch]:
    """Show a bar for each phase on a terminal, nothing elsewhere."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    with Progress(
        *columns, TimeElapsedColumn(), console=console, disable=not console.is_terminal
    ) as bars:
        tasks: dict[str, TaskID] = {}

        def watch(phase: str, share: float) -> None:
            if phase not in tasks:
                tasks[phase] = bars.add_task(phase.capitalize(), total=1.0)
            bars.update(tasks[phase], completed=share)

        yield watch


def closing_sentence(order: Order, outcome: Outcome, seconds: float) -> str:
    """Return what an import came to, in numbers."""
    kind, name = order.kind.name, order.path.name
    if outcome.finished_before_at is not None:
        at = outcome.finished_before_at.isoformat(sep=" ", timespec="seconds")
        return (
            f"{name} was imported completely at {at} ({outcome.applied:,} rows of {kind}), so there "
            "was nothing to do. To apply it once more, give it another --source."
        )
    told = [f"Imported {outcome.applied:,} rows of {kind} from {name} in {seconds:.1f} s."]
    if outcome.applied_before:
        told.append(f"{outcome.applied_before:,} of them an earlier run had applied.")
    if outcome.effect.outdated:
        told.append(f"{outcome.effect.outdated:,} were older than what is known; it was kept.")
    if outcome.effect.shortages:
        told.append(f"{outcome.effect.shortages:,} stock records now hold less than is promised.")
    if outcome.effect.repeated:
        told.append(f"{outcome.effect.repeated:,} were imported before and stayed as they are.")
    if outcome.rejected:
        told.append(
            f"{outcome.rejected:,} of {outcome.rows:,} rows were rejected; {order.rejects} says why."
        )
    return " ".join(told)
