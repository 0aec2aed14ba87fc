"""`nom explain`: why an order went where it went, in sentences."""

import os
from uuid import UUID

import click

from services.commands.session import with_database
from services.database import Database
from services.orders.decisions import explained
from services.problems import Refused
from services.settings import Settings


@click.command("explain")
@click.argument("allocation_id", type=click.UUID)
@click.option("--node", help="Also say why this node was not chosen, and what it lacked.")
def command(allocation_id: UUID, node: str | None) -> None:
    """Say why an allocation's plan is what it is.

    Moves before its release are told after it. What was seen then counts; what would have changed the plan is found by solving it again.
    """

    async def work(database: Database) -> list[str]:
        currency = Settings.from_environment(os.environ).currency
        told = await explained(database, allocation_id, node, currency)
        moved = [sentence for each in told["moves"] for sentence in each["sentences"]]
        return [*told["sentences"], *moved, *([told["why_not"]] if node else [])]

    try:
        said = with_database(work)
    except Refused as refused:
        raise click.ClickException(refused.detail) from refused
    for sentence in said:
        click.echo(sentence)
