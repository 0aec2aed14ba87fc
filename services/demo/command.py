"""`nom demo`: real baskets over a real network, from an empty folder to a report."""

import asyncio
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from urllib.parse import urlsplit
from uuid import uuid4

import click
import msgspec
from rich.console import Console

from inventory.audit import audit, oversold
from services import keys
from services.database import Database, DatabaseAwayError, migrate
from services.demo import page, records, show, small
from services.demo.compare import Choice, Compared, choice, compare, problems
from services.demo.load import LoadError, load, read_stock
from services.demo.measure import Audited, Summary, summarize
from services.demo.network import DemoNetwork, build
from services.demo.orders import orders
from services.demo.packages import MissingPackageError
from services.demo.replay import Replay, ReplayError, replay
from services.demo.service import Address, ServiceError, own_service
from services.embedded import database_of
from services.embedded_home import EmbeddedError
from services.settings import Settings, SettingsError

REPORT = Path("reports/demo.html")
MENDABLE = (
    MissingPackageError,
    ServiceError,
    LoadError,
    ReplayError,
    EmbeddedError,
    SettingsError,
    DatabaseAwayError,
)
"""Errors that a person can mend; their messages say how."""
TELLING_PAUSE_S = 2.0
"""Longer than a worker takes to notice a network that was loaded into its database."""


class Wishes(msgspec.Struct, frozen=True, kw_only=True):
    """What the options ask for."""

    baskets: int
    concurrency: int
    seed: int
    compared: int
    choices: int


@click.command("demo")
@click.option("--baskets", type=click.IntRange(1), default=1_000, show_default=True, help="Orders.")
@click.option(
    "--concurrency", type=click.IntRange(1, 256), default=8, show_default=True, help="Callers."
)
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True)
@click.option(
    "--compare",
    "compared",
    type=click.IntRange(0),
    default=2_000,
    show_default=True,
    help="Orders, drawn by seed, that the greedy rule plans as well.",
)
@click.option(
    "--choices",
    type=click.IntRange(0),
    default=200,
    show_default=True,
    help="Orders, of those, asked for the cheapest and the earliest plan.",
)
@click.option(
    "--home",
    type=click.Path(path_type=Path, file_okay=False),
    help="Keep the demonstration's data here, and use what is there; else a passing folder.",
)
@click.option(
    "--url", help="Use the service running there, on the database of DATABASE_URL or NOM_HOME."
)
@click.option(
    "--report",
    type=click.Path(path_type=Path, dir_okay=False),
    default=REPORT,
    show_default=True,
    help="Where the page is written.",
)
@click.option(
    "--picture", type=click.Path(path_type=Path, dir_okay=False), help="Write the map as SVG too."
)
@click.option("--small", "only_small", is_flag=True, help="Only load the small network to try.")
def command(
    *,
    home: Path | None,
    url: str | None,
    report: Path,
    picture: Path | None,
    only_small: bool,
    **wished: int,
) -> None:
    """Replay a real grocer's baskets over 457 stores and 6 warehouses, and report.

    Builds the network, starts a service on a database of its own, loads it, sends every basket as
    an order over HTTP, compares the plans with the greedy rule, and checks the stock. With
    --concurrency 1 the same seed on the same date gives the same plans.
    """
    console = Console()
    try:
        if only_small:
            load_small()
            return
        wishes = Wishes(**wished)
        with console.status("Building the network …"):
            network = build(wishes.seed)
        with the_service(home, url, console) as service:
            summary = run(service, network, wishes, console)
    except MENDABLE as error:
        raise click.ClickException(str(error)) from error
    show.report(console, summary)
    write(report, page.render(network, summary), console)
    if picture is not None:
        write(picture, page.standalone_map(network, summary), console)


def load_small() -> None:
    """Load the small network into the database of the environment."""
    settings = Settings.from_environment(os.environ)
    with database_at(settings) as url:
        migrate(url)
        small.load(msgspec.structs.replace(settings, database_url=url))


@contextmanager
def database_at(settings: Settings) -> Iterator[str]:
    """Yield the URL of `DATABASE_URL`, else of the embedded database of `NOM_HOME`."""
    if settings.database_url is not None:
        yield settings.database_url
        return
    with database_of(settings.home) as url:
        yield url


@contextmanager
def the_service(home: Path | None, url: str | None, console: Console) -> Iterator[Address]:
    """Yield the running service at `url`, else one of our own in `home` or a passing folder."""
    if url is not None:
        parts = urlsplit(url)
        with database_at(Settings.from_environment(os.environ)) as database_url:
            yield Address(parts.hostname or "127.0.0.1", parts.port or 80, database_url)
        return
    with tempfile.TemporaryDirectory(prefix="nom-demo-") as passing:
        console.print("Starting a service of its own …")
        with own_service((home or Path(passing)).resolve()) as service:
            yield service


def run(service: Address, network: DemoNetwork, wishes: Wishes, console: Console) -> Summary:
    """Load, replay, compare and audit; return what it came to."""
    settings = Settings()
    with show.steps(console) as bars:
        loaded = asyncio.run(load(service.database_url, settings, network, bars.share))
    if not loaded:
        left = asyncio.run(read_stock(service.database_url))
        network = msgspec.structs.replace(network, stock=left)
    key = asyncio.run(new_key(service.database_url, settings))
    with show.counted(console, "orders", wishes.baskets) as progress:
        replayed = asyncio.run(
            replay(
                (service.host, service.port),
                key,
                orders(network, wishes.baskets, datetime.now(UTC).date(), run=uuid4().hex[:8]),
                concurrency=wishes.concurrency,
                watch=lambda done: progress.update(progress.task_ids[0], completed=done),
            )
        )
    compared, choices = compare_some(network, replayed, wishes, console)
    with console.status("Auditing …"):
        audited = asyncio.run(audit_all(service.database_url, settings))
    return summarize(network, replayed, compared, choices, audited, concurrency=wishes.concurrency)


async def new_key(url: str, settings: Settings) -> str:
    """Create a checkout key and wait until every worker knows the network."""
    database = Database(url, settings, connections_max=1)
    try:
        secret = await keys.create(database, "checkout", (), None)
    finally:
        await database.close()
    await asyncio.sleep(TELLING_PAUSE_S)
    return secret


def compare_some(
    network: DemoNetwork, replayed: Replay, wishes: Wishes, console: Console
) -> tuple[Sequence[Compared | None], Sequence[Choice]]:
    """Plan a seeded sample of the orders by the greedy rule, and ask some for their choice."""
    chance = Random(f"{wishes.seed}-sample")  # noqa: S311 - wanted the same again
    count = len(replayed.orders)
    drawn = chance.sample(range(count), min(count, wishes.compared))
    asked = set(drawn[: wishes.choices])
    compared: list[Compared | None] = []
    choices: list[Choice] = []
    with show.counted(console, "compared", len(drawn)) as progress:
        for each, problem in problems(network, replayed, set(drawn)):
            compared.append(compare(each, problem))
            if each.order.number in asked:
                choices.append(choice(each.order, problem))
            progress.update(progress.task_ids[0], completed=len(compared))
    return compared, choices


async def audit_all(url: str, settings: Settings) -> Audited:
    """Return what the two independent checks of the stock find."""
    database = Database(url, settings, connections_max=1)
    try:
        async with database.connect() as connection:
            await records.unlimited(connection)
            sold_twice = await oversold(connection)
            differences = await audit(connection)
    finally:
        await database.close()
    return Audited(sum(each.units for each in sold_twice), [each.what for each in differences])


def write(path: Path, text: str, console: Console) -> None:
    """Write a file and say so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    console.print(f"Wrote {path}")
